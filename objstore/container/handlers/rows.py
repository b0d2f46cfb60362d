"""Objects' rows: PUT and DELETE one (object servers), UPDATE many at once. Durable when answered. Source: formats 6.3.

A row needs nothing but the database file: a deleted container's database takes rows too (they bring it back when they
are newer). Where the container is sharded, a caller that accepts redirects is sent to the shard (formats 6.5).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from objstore.container.handlers.put import NO_CONTAINER
from objstore.container.service import ContainerService
from objstore.core.errors import BadRequest, BodyTooLarge, InvalidName, InvalidTimestamp, NotFound
from objstore.core.headers import is_true
from objstore.core.names import BackendPath, quoted, text_of
from objstore.core.timestamp import Timestamp
from objstore.db.container import ContainerBroker
from objstore.db.merge import ObjectRow
from objstore.db.pending import checked_number
from objstore.db.wire_rows import object_row_of
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus

UPDATE_BYTES_MAX = 64 * 1024 * 1024
"""Body of one UPDATE."""

_DELETED_TYPE = "application/deleted"
_DELETED_ETAG = "noetag"


def put_row(service: ContainerService, request: Request, path: BackendPath) -> Response:
    assert path.obj is not None
    timestamp = request.timestamp()
    row = ObjectRow(
        name=path.obj,
        created_at=timestamp.internal,
        size=_size(request),
        content_type=_text(_required(request, "x-content-type")),
        etag=_text(_required(request, "x-etag")),
        deleted=0,
        storage_policy_index=service.row_policy(request),
    )
    times = _time(request, "x-content-type-timestamp"), _time(request, "x-meta-timestamp")
    return _store(service, request, path, row, timestamp, times, HTTPStatus.CREATED)


def delete_row(service: ContainerService, request: Request, path: BackendPath) -> Response:
    assert path.obj is not None
    timestamp = request.timestamp()
    index = service.row_policy(request)
    row = ObjectRow(path.obj, timestamp.internal, 0, _DELETED_TYPE, _DELETED_ETAG, 1, index)
    return _store(service, request, path, row, timestamp, (None, None), HTTPStatus.NO_CONTENT)


def update(service: ContainerService, request: Request) -> Response:
    """Many rows of one container: all of them, or 400 and none."""
    path = request.backend_path(4, 4)
    timestamp = request.timestamp()
    index = service.row_policy(request)
    rows = [object_row_of(item, index) for item in json_list(request)]
    broker = service.broker(path)
    service.node.check_room_for(broker.database)
    if not _added(service, request, path, broker, timestamp, lambda: broker.add_many(rows)):
        return plain(HTTPStatus.NOT_FOUND, NO_CONTAINER)
    return plain(HTTPStatus.ACCEPTED)


def json_list(request: Request) -> list[Any]:
    """The body as a JSON list. Raises BadRequest, BodyTooLarge."""
    if (request.content_length or 0) > UPDATE_BYTES_MAX:
        raise BodyTooLarge(UPDATE_BYTES_MAX)
    body = request.body.read(UPDATE_BYTES_MAX + 1)
    if len(body) > UPDATE_BYTES_MAX:
        raise BodyTooLarge(UPDATE_BYTES_MAX)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"Invalid JSON: {error}") from None
    if not isinstance(found, list):
        raise BadRequest("Invalid JSON: expected a list")
    return found


def _store(
    service: ContainerService,
    request: Request,
    path: BackendPath,
    row: ObjectRow,
    timestamp: Timestamp,
    times: tuple[str | None, str | None],
    status: int,
) -> Response:
    broker = service.broker(path)
    if not row.deleted:
        service.node.check_room_for(broker.database)
    redirect = _redirect(request, row.name, broker)
    if redirect is not None:
        return redirect
    if not _added(service, request, path, broker, timestamp, lambda: broker.add(row, *times)):
        return plain(HTTPStatus.NOT_FOUND, NO_CONTAINER)
    return plain(status)


def _added(
    service: ContainerService,
    request: Request,
    path: BackendPath,
    broker: ContainerBroker,
    timestamp: Timestamp,
    add: Callable[[], None],
) -> bool:
    """Whether the rows were stored. Where that is due the database is made for them; else False when there is none."""
    try:
        add()
    except NotFound:
        assert path.account is not None and path.container is not None
        if not service.may_create(request, path.account):
            return False
        broker.create(path.account, path.container, timestamp, service.node.clock.now(), service.row_policy(request))
        add()
    service.note_change(path, broker)
    return True


def _redirect(request: Request, name: str, broker: ContainerBroker) -> Response | None:
    """301 to the shard that takes this name's updates, when there is one and the caller would follow."""
    if not is_true(request.header("x-backend-accept-redirect")):
        return None
    try:
        shard = broker.shard_for_update(name)
    except NotFound:
        return None
    if shard is None:
        return None
    location = f"/{shard.name}/{name}"
    safe = quoted(location)
    if safe != location and not is_true(request.header("x-backend-accept-quoted-location")):
        return None
    return plain(
        HTTPStatus.MOVED_PERMANENTLY,
        "This container is sharded",
        {
            "location": safe,
            "x-backend-location-is-quoted": "true",
            "x-backend-redirect-timestamp": Timestamp.parse(shard.timestamp).internal,
        },
    )


def _size(request: Request) -> int:
    text = _required(request, "x-size")
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(f"X-Size {text!r} is not a number of bytes")
    try:
        return checked_number(text)
    except ValueError:
        raise BadRequest(f"X-Size {text[:40]!r} is more than any object has") from None


def _required(request: Request, name: str) -> str:
    value = request.header(name)
    if value is None:
        raise BadRequest(f"Missing {name} header")
    return value


def _time(request: Request, name: str) -> str | None:
    text = request.header(name)
    if text is None:
        return None
    try:
        return Timestamp.parse(text).internal
    except InvalidTimestamp as error:
        raise BadRequest(f"Invalid {name} header: {error}") from None


def _text(value: str) -> str:
    """Text of a header; bytes that are not UTF-8 stay what they look like, a row must not fail for them."""
    try:
        return text_of(value)
    except InvalidName:
        return value
