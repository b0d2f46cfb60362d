"""One question for all who ask the same at once: the first asks, the others wait for its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from objstore.runtime import green

T = TypeVar("T")


class GivenUp(Exception):
    """Whoever asked for all was killed. Nothing is known of the answer."""


class SingleFlight(Generic[T]):
    """Questions that are being asked, by key. Used by green threads of one process."""

    def __init__(self) -> None:
        self._asked: dict[str, green.Future] = {}

    def run(self, key: str, ask: Callable[[], T]) -> T:
        """What ask() returns or raises, asked here or by whoever was first. Raises GivenUp."""
        asked = self._asked.get(key)
        if asked is not None:
            found: T = asked.wait()
            return found
        self._asked[key] = future = green.Future()
        try:
            answer = ask()
        except BaseException as error:
            # A green thread that is killed here takes nobody along.
            future.fail(error if isinstance(error, Exception) else GivenUp(key))
            raise
        finally:
            del self._asked[key]
        future.set(answer)
        return answer
