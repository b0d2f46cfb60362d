"""One container in one pass: first what others should have brought by now, then this replica's own share of the news.

Every primary of a container has its own database with its own two points (db/sync_rows.py), and does in each pass:

1. Of the rows up to point 1, tried by this one or left to others in earlier passes: all that are above point 2 and not
   known to be there. The other cluster is asked first, so that what others brought costs a HEAD. Point 2 follows as far
   as everything is confirmed.
2. Of the rows above point 1: those that are its own, by a hash of the name among the primaries. Point 1 follows as far
   as they were tried.

So no primary waits for another one, most objects are sent once, and a row that could not be brought, by whomever, holds
point 2 back until it is there. What fails is bounded: a step ends when the other cluster is away or refuses us for some
rows in a row, or after many rows that failed by themselves. It never ends twice at the same rows: step 1 goes on behind
them in the next pass, and point 1 passes what was tried.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from objstore.container.passes.sync_peer import Said, Verdict
from objstore.container.passes.sync_progress import Progress
from objstore.daemon.pass_ import FAILURES
from objstore.db.container import ContainerBroker
from objstore.db.sync_rows import SyncRow, SyncState, raise_points, rows_after
from objstore.runtime.several import several

BATCH = 64
"""Rows between two looks at the clock and two notes in the database."""
FAILED_AT_MOST = 100
"""Rows of a step that fail by themselves."""
AWAY_AT_MOST = 3
"""Rows of a step, none between them done, for which the other cluster was away or refused us; with several under way, a
few more."""
_LOGGED_AT_MOST = 5
_log = logging.getLogger("objstore.container-sync")


@dataclass(frozen=True, slots=True)
class Share:
    """Which of the primaries this one is."""

    index: int
    count: int

    def owns(self, name: str) -> bool:
        digest = hashlib.md5(name.encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index


@dataclass(slots=True)
class ContainerTurn:
    """bring: of one row. concurrency: rows at once. has_time: asked before every batch of a step; given the step's
    number."""

    broker: ContainerBroker
    state: SyncState
    share: Share
    progress: Progress
    bring: Callable[[SyncRow], Said]
    concurrency: int
    has_time: Callable[[int], bool]
    counts: Counter[str] = field(default_factory=Counter)
    ended_by: Said | None = None
    """Why the last step that ran ended early, if it did because of the other cluster."""
    _tried: int = field(init=False, default=-1)
    _done: int = field(init=False, default=-1)
    _away: int = field(init=False, default=0)
    _failed: int = field(init=False, default=0)

    def run(self) -> Counter[str]:
        """Do the turn; counts of the pass."""
        self._tried, self._done = self.state.tried, self.state.done
        for step in (self._check_others, self._do_own):
            self._away = self._failed = 0
            self.ended_by = None
            if not step():
                _log.info("container=%r: has another target or database now; begun anew", self.state.info.path)
                break
        return self.counts

    # Step 1; both steps return False when what they did could not be noted.

    def _check_others(self) -> bool:
        begin = max(self.progress.resume, self._done)
        for after, through in ((begin, self._tried), (self._done, begin)):
            position = after
            while rows := self._rows(position, through):
                if not (self.has_time(1) and self._goes_on()):
                    self.progress.resume = position
                    return True
                self._bring([row for row in rows if row.row_id not in self.progress.confirmed])
                position = rows[-1].row_id
                if not self._note_done():
                    return False
        self.progress.resume = -1
        return True

    def _note_done(self) -> bool:
        """Raise point 2 as far as everything is confirmed; False when this container has another target now."""
        reached = self._done
        for rows in self._batches(self._done, self._tried):
            now = self.progress.reached(reached, [row.row_id for row in rows])
            if now == reached:
                break
            reached = now
            if reached != rows[-1].row_id:
                break
        if reached == self._done:
            return True
        self._done = reached
        self.progress.forget_through(reached)
        return self._noted()

    # Step 2

    def _do_own(self) -> bool:
        while self.has_time(2) and self._goes_on():
            rows = self._rows(self._tried, None)
            if not rows:
                break
            untried = self._bring([row for row in rows if self.share.owns(row.name)])
            self._tried = min(untried, default=rows[-1].row_id + 1) - 1
            if not self._noted():
                return False
        return True

    # Both

    def _bring(self, rows: Sequence[SyncRow]) -> list[int]:
        """The ROWIDs that were not tried, because the step is over. Manifests come after what they may be made of."""
        untried = []
        for of_manifests in (False, True):
            batch = [row for row in rows if row.is_manifest == of_manifests]
            for row, said in zip(batch, several(self.concurrency, self._one, batch), strict=True):
                if said is None:
                    untried.append(row.row_id)
                else:
                    self._count(row, said)
        return untried

    def _one(self, row: SyncRow) -> Said | None:
        if not self._goes_on():
            return None
        said = self.bring(row)
        if said.verdict is Verdict.DONE:
            self._away = 0
        elif said.verdict is Verdict.FAILED:
            self._failed += 1
        else:
            self._away += 1
            if self._away >= AWAY_AT_MOST:
                self.ended_by = said
        return said

    def _count(self, row: SyncRow, said: Said) -> None:
        if said.verdict is Verdict.DONE:
            self.progress.confirmed.add(row.row_id)
            self.counts["deletes" if row.is_deleted else "confirmed" if said.is_known else "puts"] += 1
            return
        self.counts[FAILURES] += 1
        if self.counts[FAILURES] <= _LOGGED_AT_MOST:
            _log.warning(
                "container=%r object=%r reason=%r: not synced, tried again", self.state.info.path, row.name, said.why
            )

    def _goes_on(self) -> bool:
        return self.ended_by is None and self._failed < FAILED_AT_MOST

    def _rows(self, after: int, through: int | None) -> list[SyncRow]:
        return self.broker.database.read(lambda connection: rows_after(connection, after, through, BATCH))

    def _batches(self, after: int, through: int) -> Iterator[list[SyncRow]]:
        while rows := self._rows(after, through):
            yield rows
            after = rows[-1].row_id

    def _noted(self) -> bool:
        tried, done = self._tried, self._done
        return self.broker.database.write(lambda connection: raise_points(connection, self.state, tried, done))
