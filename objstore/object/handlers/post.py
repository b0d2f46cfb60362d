"""POST to an object: a new set of user metadata, and perhaps a new content type. Source: formats 4.4, 6.4.

The two have separate times. A request (a replicator's, mostly) may bring a content type that is newer than the stored
one with metadata that is not, or the other way round; each part wins or loses on its own.
"""

from __future__ import annotations

from objstore.core.errors import BadRequest, Conflict, InvalidTimestamp
from objstore.core.names import BackendPath
from objstore.core.timestamp import Timestamp
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus
from objstore.object.context import ObjectContext
from objstore.object.expiries import Expiries, parse_delete_at
from objstore.object.handlers.read import not_found, opens_expired
from objstore.object.requests import next_part_power, referer
from objstore.object.rows import ContainerRow
from objstore.object.update import Replicas, Report, container_replicas
from objstore.storage.engine import CONTENT_TYPE, CRC_HEADER, Absent, StoredObject
from objstore.storage.layout import ObjectAddress

_SYSMETA = "x-object-sysmeta-"
_OVERRIDE = "x-object-sysmeta-container-update-override-"


class PostHandler:
    def __init__(self, context: ObjectContext) -> None:
        self._context = context
        self._expiries = Expiries(context)

    def __call__(self, request: Request) -> Response:
        path, address = self._context.locate_for_change(request)
        timestamp = request.timestamp()
        delete_at_s = parse_delete_at(request, timestamp)
        stored = self._context.engine.open(address)
        if isinstance(stored, Absent):
            return not_found(stored)
        stored.close()
        if stored.is_expired(self._context.clock.now()) and not opens_expired(request):
            return plain(HTTPStatus.NOT_FOUND, headers={"x-backend-timestamp": stored.timestamp.internal})
        content_type, typed_at = _content_type(request, stored, timestamp)
        if stored.timestamp >= timestamp and typed_at <= stored.content_type_timestamp:
            raise Conflict(address.name, stored.timestamp)
        assert path.account is not None and path.container is not None
        replicas = container_replicas(request, path.account, path.container)
        with self._context.change(request, address.device) as change:
            change.begin()
            with self._context.updates.announced(replicas):
                self._write(request, address, stored, timestamp, content_type, typed_at)
            self._tell(request, path, address, stored, timestamp, content_type, typed_at, delete_at_s, replicas)
        return _accepted(stored, content_type)

    def _write(
        self,
        request: Request,
        address: ObjectAddress,
        stored: StoredObject,
        timestamp: Timestamp,
        content_type: str,
        typed_at: Timestamp,
    ) -> None:
        headers = self._context.kept_headers(request, with_sysmeta=False)
        # A content type that was PUT with the data stays there; one that was POSTed is carried along.
        posted_at = typed_at if typed_at > stored.data_timestamp else None
        if posted_at is not None:
            headers[CONTENT_TYPE] = content_type
        part_power = next_part_power(request)
        engine = self._context.engine
        self._context.threads.run_short(
            address.device, lambda: engine.post(address, timestamp, headers, posted_at, next_part_power=part_power)
        )

    def _tell(
        self,
        request: Request,
        path: BackendPath,
        address: ObjectAddress,
        stored: StoredObject,
        timestamp: Timestamp,
        content_type: str,
        typed_at: Timestamp,
        delete_at_s: int | None,
        replicas: Replicas,
    ) -> None:
        queued: tuple[Report, ...] = ()
        if timestamp > stored.timestamp:
            queued = self._expiries.changed(
                request, path, address, stored.data_timestamp, stored.size, delete_at_s, stored.delete_at_s
            )
        assert path.account is not None and path.container is not None and path.obj is not None
        size = stored.headers.get(_OVERRIDE + "size", "")
        row = ContainerRow(
            "PUT", path.account, path.container, path.obj, address.policy_index, stored.data_timestamp,
            int(size) if size.isascii() and size.isdigit() else stored.size,
            content_type, stored.headers.get(_OVERRIDE + "etag") or stored.etag,
            content_type_timestamp=typed_at, meta_timestamp=max(timestamp, stored.timestamp),
            transaction_id=request.header("x-trans-id") or "-", referer=referer(request),
        )  # fmt: skip
        self._context.updates.send(address.device, address.policy_index, [*queued, Report(row, replicas)])


def _content_type(request: Request, stored: StoredObject, timestamp: Timestamp) -> tuple[str, Timestamp]:
    """(content type, when it was set) after this POST: the request's if it says one that is newer, else the stored."""
    value = request.header("content-type")
    stated = request.header("content-type-timestamp")
    if value:
        try:
            moment = timestamp if stated is None else Timestamp.parse(stated)
        except InvalidTimestamp as error:
            raise BadRequest(f"Invalid Content-Type-Timestamp: {error}") from None
        if moment > stored.content_type_timestamp:
            return value, moment
    return stored.headers.get(CONTENT_TYPE, ""), stored.content_type_timestamp


def _accepted(stored: StoredObject, content_type: str) -> Response:
    headers = {"x-backend-content-type": content_type}
    headers.update(
        (name, value) for name, value in stored.headers.items() if name.startswith(_SYSMETA) and name != CRC_HEADER
    )
    return plain(HTTPStatus.ACCEPTED, headers=headers)
