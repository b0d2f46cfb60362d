"""X-Delete-At: checking it, and keeping the queue of objects to expire in step. Source: formats 4.15, 6.4.

A new time is sent to the queue's containers like any row. The entry of an old time is removed by way of async_pending
alone, and only by the replicas the proxy picked for that, so that one request does not enqueue the same removal thrice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from objstore.core.errors import BadRequest
from objstore.core.headers import is_true
from objstore.core.names import BackendPath
from objstore.core.timestamp import Timestamp
from objstore.http.request import Request
from objstore.object.expiring import ENTRY_CONTENT_TYPE, QueueEntry
from objstore.object.requests import referer
from objstore.object.rows import ContainerRow
from objstore.object.update import NO_FOOTERS, Report, expiry_replicas
from objstore.storage.layout import ObjectAddress

if TYPE_CHECKING:
    from objstore.object.context import ObjectContext

_EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
_QUEUE_POLICY = 0


def parse_delete_at(request: Request, timestamp: Timestamp) -> int | None:
    """X-Delete-At in seconds, None when it is not set. Raises BadRequest when it is no number, or before the request
    was made; a replicator may bring what has expired on its way."""
    text = request.header("x-delete-at")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise BadRequest("Non-integer X-Delete-At")
    moment = int(text)
    if moment < timestamp.seconds and not is_true(request.header("x-backend-replication")):
        raise BadRequest("X-Delete-At in past")
    return moment


class Expiries:
    def __init__(self, context: ObjectContext) -> None:
        self._context = context

    def changed(
        self,
        request: Request,
        path: BackendPath,
        address: ObjectAddress,
        data_timestamp: Timestamp,
        size: int,
        new_s: int | None,
        old_s: int | None,
        footers: Mapping[str, str] = NO_FOOTERS,
    ) -> tuple[Report, ...]:
        """Bring the queue from old_s to new_s (seconds, None: does not expire): what is to be sent for that, beside the
        container's row. size: of the object, for statistics. footers: may name more servers of the queue."""
        if new_s == old_s and new_s is None or is_true(request.header("x-backend-replication")):
            return ()
        assert path.account is not None and path.container is not None and path.obj is not None
        timestamp = request.timestamp()
        reports: tuple[Report, ...] = ()
        if new_s is not None:
            entry = self._context.expiry.entry(new_s, path.account, path.container, path.obj)
            entry = QueueEntry(entry.account, request.header("x-delete-at-container") or entry.container, entry.obj)
            row = ContainerRow(
                "PUT", entry.account, entry.container, entry.obj, _QUEUE_POLICY, timestamp,
                0, ENTRY_CONTENT_TYPE.format(size), _EMPTY_MD5, content_type_timestamp=data_timestamp,
                transaction_id=request.header("x-trans-id") or "-", referer=referer(request),
            )  # fmt: skip
            reports = (Report(row, expiry_replicas(request, entry.account, entry.container, footers)),)
        if old_s is not None and old_s != new_s and _cleans_queue(request):
            entry = self._context.expiry.entry(old_s, path.account, path.container, path.obj)
            row = ContainerRow(
                "DELETE", entry.account, entry.container, entry.obj, _QUEUE_POLICY, timestamp,
                transaction_id=request.header("x-trans-id") or "-", referer=referer(request),
            )  # fmt: skip
            self._context.updates.keep(address.device, address.policy_index, row)
        return reports


def _cleans_queue(request: Request) -> bool:
    value = request.header("x-backend-clean-expiring-object-queue")
    return value is None or is_true(value)
