"""Things broken on purpose: each is a mistake somebody could make in objstore, and the checkers have to notice it.

python -m tests.sim --mutation "no fsync" --seeds 1..20
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from objstore.account.passes.reap import AccountReaper
from objstore.container.passes.reconcile import ContainerReconciler
from objstore.db import rows
from objstore.db.tail import Tail
from objstore.http.response import Response
from objstore.object import body
from objstore.object.handlers.put import PutHandler
from objstore.object.passes import replicate
from objstore.object.passes.deliver import Deliverer, Delivery
from objstore.object.passes.untold import Retelling
from objstore.object.update import ContainerUpdates
from objstore.proxy.quorum import WriteQuorum
from objstore.replication import db_replicator
from objstore.storage import cleanup, resolve
from tests.sim.disk import SimFs
from tests.sim.host import HOST


def _no_fsync() -> None:
    """Files and directories are written, and never synced."""
    SimFs.syncs_are_real = False


def _lost_on_the_way() -> None:
    """Servers answer 201 to a PUT that they have forgotten, now and then."""
    stores = PutHandler.__call__

    def forgets(self: PutHandler, request: Any) -> Response:
        if HOST.random.random() < 0.3:
            return Response(201, {"etag": request.header("etag") or "", "content-type": "text/plain"})
        return stores(self, request)

    PutHandler.__call__ = forgets  # type: ignore[method-assign]


def _early_removal() -> None:
    """A handoff removes what one primary has confirmed, or none."""

    def removable(replicas: Any, confirmed: Any, needed: int) -> Any:
        found: dict[str, list[Any]] = {}
        for replica in replicas:
            found.setdefault(replica.hash_hex[-3:], []).append(replica)
        return found

    replicate.removable = removable


def _early_database_removal() -> None:
    """A handoff's database goes whatever the primaries said."""
    db_replicator.may_remove_handoff = lambda *_, **__: True  # type: ignore[attr-defined]


def _one_is_enough() -> None:
    """One copy of three makes a success."""
    WriteQuorum.has_success = property(lambda self: self.success_count >= 1)  # type: ignore[assignment,method-assign]
    WriteQuorum.verdict = lambda self: next((each for each in self._slots if each // 100 == 2), 503)  # type: ignore[method-assign,assignment]


def _tombstones_forgotten() -> None:
    """Tombstones are cleaned away at once."""
    cleanup.CleaningRules.is_reclaimable = lambda self, file: True  # type: ignore[method-assign,assignment]


def _oldest_wins() -> None:
    """Of two files of a kind the older one counts."""
    resolve._newest = lambda files: min(files, key=lambda file: file.timestamp, default=None)


def _unchecked_reads() -> None:
    """Bodies are sent as they are found."""
    body.BodyChecker.problem = property(lambda self: None)  # type: ignore[assignment,method-assign]


def _rows_unsynced() -> None:
    """Pending rows are written, not synced."""
    append = Tail.append

    def unsynced(self: Tail, fs: Any, records: Any, timeout_s: float) -> Any:
        class Hasty:
            def __getattr__(self, name: str) -> Any:
                return (lambda *_: None) if name == "sync_data" else getattr(fs, name)

        return append(self, Hasty(), records, timeout_s)  # type: ignore[arg-type]

    Tail.append = unsynced  # type: ignore[method-assign]


def _last_row_wins() -> None:
    """The row that comes last counts, however old it is."""
    rows.merge_object = lambda stored, incoming: incoming  # type: ignore[attr-defined]


def _rows_dropped() -> None:
    """A row that no container server takes is not kept."""
    ContainerUpdates.keep = lambda *_, **__: None  # type: ignore[method-assign]


def _reaped_in_name_only() -> None:
    """The reaper deletes no object."""
    AccountReaper._delete_objects = lambda *_: 0  # type: ignore[method-assign]


def _never_told_again() -> None:
    """Names of a server that was killed before it told of them are nobody's business."""
    Retelling.run = lambda *_: 0  # type: ignore[method-assign]


def _rsync_is_believed() -> None:
    """A handoff takes what rsync sent without complaint for stored."""

    def believes(self: Deliverer, node: Any, device: str, subject: Any, batch: Any) -> Delivery:
        counts: Counter[str] = Counter()
        suffixes = sorted({replica.hash_hex[-3:] for replica in batch})
        failure = self._push(node, device, subject, suffixes, counts)
        return Delivery(counts, frozenset(() if failure else (replica.hash_hex for replica in batch)), failure)

    Deliverer.confirm = believes  # type: ignore[method-assign]


def _deleted_before_it_was_moved() -> None:
    """The reconciler deletes the misplaced copy and has made no other."""
    ContainerReconciler._copy = lambda *_: True  # type: ignore[method-assign]


MUTATIONS: dict[str, Callable[[], None]] = {
    "no fsync": _no_fsync,
    "lost on the way": _lost_on_the_way,
    "early removal": _early_removal,
    "early database removal": _early_database_removal,
    "one is enough": _one_is_enough,
    "tombstones forgotten": _tombstones_forgotten,
    "oldest wins": _oldest_wins,
    "unchecked reads": _unchecked_reads,
    "rows unsynced": _rows_unsynced,
    "last row wins": _last_row_wins,
    "rows dropped": _rows_dropped,
    "reaped in name only": _reaped_in_name_only,
    "never told again": _never_told_again,
    "rsync is believed": _rsync_is_believed,
    "deleted before it was moved": _deleted_before_it_was_moved,
}
