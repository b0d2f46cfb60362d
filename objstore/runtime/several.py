"""The same question about many things, some at a time: a bounded crew of green threads over a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from objstore.runtime import green

T = TypeVar("T")
R = TypeVar("R")


def several(most: int, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """function(item) of every item, in their order; at most `most` run at once.

    Raises the first error that a call raised; what has not begun by then never does. Nothing runs on when this returns
    or is killed.
    """
    results: list[R | None] = [None] * len(items)
    pending = iter(range(len(items)))
    errors: list[BaseException] = []

    def work() -> None:
        for index in pending:
            try:
                results[index] = function(items[index])
            except Exception as error:  # The boundary of a job: told to whoever gave it.
                errors.append(error)
            if errors:
                return

    crew = [green.spawn(work) for _ in range(min(most, len(items)))]
    try:
        for task in crew:
            task.join()
    finally:
        for task in crew:
            if not task.is_done:
                task.kill()
    if errors:
        raise errors[0]
    return cast("list[R]", results)
