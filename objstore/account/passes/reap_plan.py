"""Whose turn it is to reap a container of a deleted account. Pure.

The primaries of the account share its containers out by a hash of the name, so that they do not do each other's work.
A node that is away would leave its share undone: some time after the account fell due everybody takes everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

SHARED_FOR_S = 3600.0
"""How long after an account is due each node keeps to its share."""
T = TypeVar("T")


def is_ours(container: str, index: int, primary_count: int, overdue_s: float) -> bool:
    """index: of this node among the account's primaries. overdue_s: since the account might be reaped."""
    if overdue_s >= SHARED_FOR_S:
        return True
    digest = hashlib.md5(container.encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()
    return int.from_bytes(digest, "big") % primary_count == index


def shared_out(targets: Sequence[T], place: int, place_count: int) -> list[T]:
    """Which of some servers the one at a place tells, so that together they tell all, and each tells one at least."""
    return list(targets[place::place_count]) or [targets[place % len(targets)]]
