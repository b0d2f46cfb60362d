"""A whole database for a peer that has none, or is far behind: a copy as of one moment, brought to its tmp/.

1. SQLite copies the file into its own directory, as *.tmp (formats 5.1: who finds an old one removes it). Writers wait
   only for that, never for the network, and no page of the copy is half written.
2. rsync takes it to the peer's tmp/, where a module is configured; where that fails, or there is none, it goes in
   pieces over REPLICATE, which our own servers know (doc/decisions).
3. complete_rsync or rsync_then_merge make it the peer's database. Only the peer removes what it replaces.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from objstore.db.connection import Busy
from objstore.db.database import Database
from objstore.db.outbound import snapshot
from objstore.peers.db_replicas import DatabasePeers, Done, Missing, Place
from objstore.peers.failure import NodeFailure
from objstore.replication.db_rsync import Rsync

PIECE_BYTES = 4 * 1024 * 1024
COPY_SUFFIX = ".tmp"


@dataclass(frozen=True, slots=True)
class Files:
    """Sends whole files. rsync: None where it is not installed or no module is set. region: of this node, None when it
    is not known."""

    peers: DatabasePeers
    rsync: Rsync | None = None

    def send(
        self, database: Database, path: str, sender_id: str, place: Place, *, is_merge: bool, is_far: bool = False
    ) -> Done | Missing | NodeFailure:
        """Bring the file at `path` (of that database, whose id is sender_id) to a peer. is_merge: it has one."""
        location = database.location
        copy = f"{location.directory}/{uuid.uuid4().hex}{COPY_SUFFIX}"
        try:
            database.shared.threads.run(location.device_path, snapshot, path, copy)
            answer = self._bring(database, copy, sender_id, place, is_far)
        except (OSError, sqlite3.Error, Busy) as error:
            return NodeFailure(f"no copy of {path}: {error}")
        finally:
            database.shared.threads.run(location.device_path, _remove, copy)
        if not isinstance(answer, Done):
            return answer
        finish = self.peers.rsync_then_merge if is_merge else self.peers.complete_rsync
        return finish(place, sender_id, os.path.basename(path))

    def _bring(
        self, database: Database, copy: str, name: str, place: Place, is_far: bool
    ) -> Done | Missing | NodeFailure:
        run = database.shared.threads.run
        device = database.location.device_path
        if self.rsync is not None:
            try:
                problem = run(device, self.rsync.push, self.rsync.command(copy, place.node, name, is_far=is_far))
            except ValueError as error:
                problem = str(error)
            if not problem:
                return Done()
            database.shared.logger.info(
                "peer=%s hash=%s problem=%r: rsync failed, sending in band", place, place.hash, problem
            )
        return self._upload(lambda offset: run(device, _piece, copy, offset), name, place)

    def _upload(self, piece: Callable[[int], bytes], name: str, place: Place) -> Done | Missing | NodeFailure:
        offset = 0
        while data := piece(offset):
            answer = self.peers.upload(place, name, offset, data)
            if not isinstance(answer, Done):
                return answer
            offset += len(data)
        return Done()


def _piece(path: str, offset: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(PIECE_BYTES)


def _remove(path: str) -> None:
    for name in (path, f"{path}-journal"):
        try:
            os.unlink(name)
        except FileNotFoundError:
            pass
