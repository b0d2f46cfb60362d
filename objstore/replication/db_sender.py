"""Bringing one replica of a database up to ours: the sending side of database replication.

    sync ─┬─ 404: the whole file (complete_rsync); a peer that takes none gets an empty database and then rows
          └─ 200: what is newer of the peer's state is taken over; shard ranges go both ways; then
                equal, or all merged      nothing
                far behind                the whole file (rsync_then_merge)
                else                      merge_items …, merge_syncs; we note how far we pushed

Both sides do this to each other, so that after a round each has the rows of both. Every step may be repeated, and cut
off after any other: a point is raised only after its rows are durable at the peer. Source: formats 6.8.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from objstore.core.errors import DomainError
from objstore.core.policy import Policies
from objstore.core.timestamp import Timestamp
from objstore.db import outbound, replica, shards
from objstore.db.database import Database
from objstore.db.location import CONTAINERS
from objstore.db.outbound import LocalState
from objstore.db.sync_points import OUTGOING, raise_sync_points
from objstore.peers.db_replicas import DatabasePeers, Done, Missing, Place, Replica
from objstore.peers.failure import NodeFailure
from objstore.replication.db_file import Files
from objstore.replication.db_plan import Fate, InSync, SendFile, SendRows, Side, may_send_rows, plan
from objstore.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Limits:
    """per_diff, max_diffs: rows of one merge_items, and of those how many per peer and pass."""

    per_diff: int = 1000
    max_diffs: int = 100


@dataclass(slots=True)
class Report:
    """What came of one peer. rows, files: sent. reason: why it failed, "" when it did not."""

    fate: Fate
    rows: int = 0
    files: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    peers: DatabasePeers
    files: Files
    policies: Policies
    clock: Clock
    limits: Limits = Limits()

    def send(
        self,
        database: Database,
        state: LocalState,
        place: Place,
        *,
        is_handoff: bool = False,
        may_create: bool = True,
        is_far: bool = False,
    ) -> Report:
        """Bring the peer up to `state` (of database, just read). is_handoff: what we noted to have pushed counts for
        nothing, the peer itself must say what it has. may_create: whether a peer without the database gets one."""
        talk = _Talk(self, database, state, place, is_handoff, is_far)
        try:
            return talk.run(may_create)
        except DomainError as error:  # Of our own file: locked, full, or just quarantined.
            return talk.failed(str(error))


@dataclass(slots=True)
class _Talk:
    """One exchange of one database with one peer."""

    sender: Sender
    database: Database
    state: LocalState
    place: Place
    is_handoff: bool
    is_far: bool
    rows: int = 0
    files: int = 0

    def run(self, may_create: bool) -> Report:
        answer = self._sync()
        if isinstance(answer, Missing):
            return self._create() if may_create else self._report(Fate.ABSENT)
        return self._bring_up(answer)

    def failed(self, reason: str, is_unmounted: bool = False) -> Report:
        return Report(Fate.UNMOUNTED if is_unmounted else Fate.FAILED, self.rows, self.files, reason)

    def _report(self, fate: Fate) -> Report:
        return Report(fate, self.rows, self.files)

    def _sync(self) -> Replica | Missing | NodeFailure:
        is_container = self.database.location.datadir == CONTAINERS
        with_policy = is_container and len(self.sender.policies) > 1
        answer = self.sender.peers.sync(self.place, self.state.sync_arguments(with_policy), self.state.names)
        if isinstance(answer, Replica) and is_container:
            index = answer.state.policy_index
            if index is None or self.sender.policies.by_index(index) is None:
                return NodeFailure(f"it says storage policy {index}, which this cluster does not have")
        return answer

    def _create(self) -> Report:
        """A peer without the database."""
        files = self.database.location.files()
        if not files:
            return self.failed("the database has gone meanwhile")
        # While sharding the older file has the rows; the peer's own sharder makes the newer one.
        sender_id = self.state.id
        if len(files) > 1:
            sender_id = self.database.read(
                lambda connection: outbound.local_state(connection, CONTAINERS).id, path=files[0], fresh=False
            )
        answer = self._send_file(files[0], sender_id, is_merge=False)
        if isinstance(answer, Done):
            return self._report(Fate.BEHIND)
        if isinstance(answer, NodeFailure) and answer.is_unmounted:
            return self.failed(answer.reason, is_unmounted=True)
        made = self.sender.peers.put(self.place, "/" + "/".join(filter(None, self.state.names)), self._put_headers())
        if isinstance(made, NodeFailure):
            return self.failed(made.reason, made.is_unmounted)
        return self._bring_up(self._sync(), with_file=False)

    def _put_headers(self) -> list[tuple[str, str]]:
        put = self.state.put_timestamp
        timestamp = put if Timestamp.parse(put).is_set() else self.state.created_at
        headers = [("X-Timestamp", timestamp)]
        if self.state.container is not None:
            headers.append(("X-Backend-Storage-Policy-Index", str(self.state.policy_index)))
        return headers

    def _bring_up(self, answer: Replica | Missing | NodeFailure, with_file: bool = True) -> Report:
        """A peer that has the database."""
        if isinstance(answer, NodeFailure):
            return self.failed(answer.reason, answer.is_unmounted)
        if isinstance(answer, Missing):
            return self._report(Fate.ABSENT)
        self._take_over(answer)
        if self.state.shard_max_row >= 0 or answer.shard_max_row >= 0:
            problem = self._exchange_ranges(answer)
            if problem:
                return self.failed(problem)
            if not self._has_rows_for_replicas():
                # What it has goes to its shards; a replica is whole when it knows their ranges.
                has_rows = self.database.read(lambda connection: outbound.has_rows(connection, CONTAINERS), fresh=False)
                is_settled = not has_rows and len(self.database.location.files()) == 1
                return self._report(Fate.CONFIRMED if is_settled else Fate.BEHIND)
        return self._send(answer, with_file)

    def _take_over(self, answer: Replica) -> None:
        database, datadir, remote = self.database, self.database.location.datadir, answer.state
        if database.read(lambda connection: replica.has_news(connection, datadir, remote), fresh=False):
            now = self.sender.clock.now().internal
            database.write(lambda connection: replica.take_over(connection, datadir, remote, now))

    def _exchange_ranges(self, answer: Replica) -> str:
        """Shard ranges both ways; the problem, or ""."""
        peers, place = self.sender.peers, self.place
        if answer.shard_max_row >= 0:
            theirs = peers.shard_ranges(place)
            if not isinstance(theirs, list):
                return theirs.reason if isinstance(theirs, NodeFailure) else "it has no shard ranges any more"
            if theirs:
                self.database.write(lambda connection: shards.merge_ranges(connection, theirs))
        ours = self.database.read(
            lambda connection: shards.read_ranges(connection, with_deleted=True, with_own=True), fresh=False
        )
        if not ours:
            return ""
        told = peers.merge_shard_ranges(place, ours, self.state.id)
        return "" if isinstance(told, Done) else getattr(told, "reason", "it has gone meanwhile")

    def _has_rows_for_replicas(self) -> bool:
        return self.database.read(
            lambda connection: may_send_rows(shards.own_range(connection), bool(shards.read_ranges(connection))),
            fresh=False,
        )

    def _send(self, answer: Replica, with_file: bool) -> Report:
        state, limits = self.state, self.sender.limits
        ours, theirs = Side(state.max_row, state.hash), Side(answer.state.max_row, answer.state.hash)
        # What we noted to have pushed is worth a look only where the rows differ.
        pushed = -1 if self.is_handoff or ours.hash == theirs.hash else self._pushed(answer.state.id)
        todo = plan(ours, theirs, answer.point, pushed, per_diff=limits.per_diff, max_diffs=limits.max_diffs)
        if isinstance(todo, InSync):
            return self._report(Fate.CONFIRMED)
        if isinstance(todo, SendFile):
            current = self.database.location.current()
            if with_file and current is not None:
                sent = self._send_file(current, state.id, is_merge=True)
                if isinstance(sent, Done):
                    return self._report(Fate.BEHIND)
            after = max(answer.point, pushed)
            todo = SendRows(after if after <= state.max_row else -1, limits.per_diff * limits.max_diffs)
        return self._send_rows(answer, todo)

    def _send_rows(self, answer: Replica, todo: SendRows) -> Report:
        peers = self.sender.peers
        after, sent = todo.after, 0
        while after < self.state.max_row:
            if sent >= todo.count_max:
                return self._report(Fate.BEHIND)
            rows = self._rows_after(after)
            if not rows:
                break
            told = peers.merge_items(self.place, rows, self.state.id)
            if not isinstance(told, Done):
                return self.failed(getattr(told, "reason", "it has gone meanwhile"))
            after, sent, self.rows = rows[-1]["ROWID"], sent + len(rows), self.rows + len(rows)
        points = [{"remote_id": remote_id, "sync_point": point} for remote_id, point in self.state.followed]
        told = peers.merge_syncs(self.place, points)
        if not isinstance(told, Done):
            return self.failed(getattr(told, "reason", "it has gone meanwhile"))
        self.database.write(
            lambda connection: raise_sync_points(connection, [(answer.state.id, self.state.max_row)], OUTGOING)
        )
        return self._report(Fate.CONFIRMED)

    def _pushed(self, remote_id: str) -> int:
        return self.database.read(lambda connection: outbound.pushed(connection, remote_id), fresh=False)

    def _rows_after(self, row_id: int) -> list[dict[str, Any]]:
        datadir, count = self.database.location.datadir, self.sender.limits.per_diff
        return self.database.read(
            lambda connection: outbound.rows_after(connection, datadir, row_id, count), fresh=False
        )

    def _send_file(self, path: str, sender_id: str, *, is_merge: bool) -> Done | Missing | NodeFailure:
        answer = self.sender.files.send(
            self.database, path, sender_id, self.place, is_merge=is_merge, is_far=self.is_far
        )
        if isinstance(answer, Done):
            self.files += 1
        else:
            reason = answer.reason if isinstance(answer, NodeFailure) else "it did not take it"
            self.database.shared.logger.warning(
                "peer=%s file=%r problem=%r: whole database not sent", self.place, os.path.basename(path), reason
            )
        return answer
