"""Natural group commit: rows that arrive for one database while a write is on its way share the next write.

Who finds a quiet database writes, in its own green thread, after one turn of the hub: whatever rows that turn brought
go along, with one fdatasync. Those who come during the write wait; when it is done the first of them writes the rows of
all and wakes the others. Under load the groups grow by themselves; a lone row waits for nothing but that turn.

A writer that is killed takes nobody with it: its group is written by the next in line. Rows may then stand twice in the
file, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from objstore.runtime.green import Future, sleep

Key = TypeVar("Key")

BATCH_RECORDS_MAX = 1000
"""Records of one write; more wait for the next, so that one write never holds the lock for long."""


class AppendGroups(Generic[Key]):
    """write(key, records) makes records durable; it raises for all of them together."""

    def __init__(self, write: Callable[[Key, Sequence[bytes]], None]) -> None:
        self._write = write
        self._lines: dict[Key, list[_Waiting]] = {}

    def append(self, key: Key, records: Sequence[bytes]) -> None:
        """Return when the records are durable; raise what write() raised."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = []
            try:
                sleep(0)
            except BaseException:
                self._hand_over(key, line)
                raise
            self._lead(key, line, records, _taken(line, BATCH_RECORDS_MAX - len(records)))
            return
        mine = _Waiting(records)
        line.append(mine)
        try:
            mine.outcome.wait()
        except BaseException:
            self._leave(key, line, mine)
            raise
        if mine.leads:
            self._lead(key, line, records, _taken(line, BATCH_RECORDS_MAX - len(records)))

    def _lead(self, key: Key, line: list[_Waiting], records: Sequence[bytes], others: list[_Waiting]) -> None:
        """Write for oneself and others, then have the next in line go on."""
        try:
            self._write(key, [*records, *(record for each in others for record in each.records)] if others else records)
        except Exception as error:  # Every writer of the group hears of it; the next group may fare better.
            for each in others:
                each.outcome.fail(error)
            raise
        except BaseException:
            line[:0] = [each for each in others if not each.is_gone]
            raise
        else:
            for each in others:
                each.outcome.set()
        finally:
            self._hand_over(key, line)

    def _hand_over(self, key: Key, line: list[_Waiting]) -> None:
        if line:
            first = line.pop(0)
            first.leads = True
            first.outcome.set()
        else:
            del self._lines[key]

    def _leave(self, key: Key, line: list[_Waiting], mine: _Waiting) -> None:
        """One was killed while it waited, or its group failed."""
        mine.is_gone = True
        if mine in line:
            line.remove(mine)
        elif mine.leads:
            self._hand_over(key, line)


class _Waiting:
    """leads: it has been told to write itself. is_gone: nobody waits for the outcome any more."""

    __slots__ = ("records", "outcome", "leads", "is_gone")

    def __init__(self, records: Sequence[bytes]) -> None:
        self.records = records
        self.outcome = Future()
        self.leads = False
        self.is_gone = False


def _taken(line: list[_Waiting], records_max: int) -> list[_Waiting]:
    """The first of the line, as many as fit, taken out of it."""
    count = 0
    for each in line:
        records_max -= len(each.records)
        if records_max < 0:
            break
        count += 1
    taken = line[:count]
    del line[:count]
    return taken
