"""Two sorted streams side by side, for comparing a tree with a listing of any length in no memory. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

L = TypeVar("L")
R = TypeVar("R")


def joined(
    left: Iterable[L], right: Iterable[R], left_name: Callable[[L], str], right_name: Callable[[R], str]
) -> Iterator[tuple[L, R | None]]:
    """Every item of left, and the one of right that has the same name. Both sorted by name, in order of code points,
    which is the order of UTF-8 and of listings; what is not in order only finds nobody."""
    others = iter(right)
    other = next(others, None)
    for item in left:
        name = left_name(item)
        while other is not None and right_name(other) < name:
            other = next(others, None)
        yield item, other if other is not None and right_name(other) == name else None
