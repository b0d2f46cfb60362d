"""Taking turns between disks: the order in which a pass offers its jobs, so that every disk has work from the start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def interleaved(sources: Iterable[Iterable[T]]) -> Iterator[T]:
    """One of each source in turn, lazily; sources that end drop out."""
    turns = [iter(source) for source in sources]
    while turns:
        for source in list(turns):
            try:
                yield next(source)
            except StopIteration:
                turns.remove(source)
