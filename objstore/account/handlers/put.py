"""PUT of an account, and PUT of a container's row into its account (what container servers report). Formats 6.2."""

from __future__ import annotations

from objstore.account.handlers.read import STATUS, STATUS_DELETED
from objstore.account.service import AccountService, metadata_of
from objstore.core.errors import BadRequest, InvalidTimestamp
from objstore.core.headers import is_true
from objstore.core.names import BackendPath
from objstore.core.timestamp import Timestamp
from objstore.db.account import AccountBroker
from objstore.db.merge import ContainerRow, is_gone
from objstore.db.pending import checked_number
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus


def put(service: AccountService, request: Request) -> Response:
    path = request.backend_path(3, 4)
    service.node.check_room(path)
    if path.container is not None:
        return put_row(service, request, path)
    return put_account(service, request, path)


def put_account(service: AccountService, request: Request, path: BackendPath) -> Response:
    timestamp = request.timestamp()
    items = metadata_of(request, timestamp)
    service.check_metadata(items)
    broker = service.broker(path)
    assert path.account is not None
    if not broker.exists and broker.create(path.account, timestamp, service.node.clock.now(), items):
        return plain(HTTPStatus.CREATED)
    before = broker.put(timestamp, items, service.check_metadata)
    if before.is_marked_deleted:
        return plain(HTTPStatus.FORBIDDEN, "Recently deleted", {STATUS: STATUS_DELETED})
    if before.is_deleted:
        if before.delete_timestamp >= timestamp.internal:
            return plain(HTTPStatus.CONFLICT, "Deleted at a later time than this")
        return plain(HTTPStatus.CREATED)
    return plain(HTTPStatus.ACCEPTED)


def put_row(service: AccountService, request: Request, path: BackendPath) -> Response:
    """Durable when answered. 201, or 204 when the container says it is deleted."""
    assert path.container is not None
    row = _row(request, path.container)
    broker = service.broker(path)
    if not _takes_rows(service, request, path, broker):
        return plain(HTTPStatus.NOT_FOUND, "No such account")
    broker.report(row)
    assert row.put_timestamp is not None and row.delete_timestamp is not None
    return plain(HTTPStatus.NO_CONTENT if row.delete_timestamp > row.put_timestamp else HTTPStatus.CREATED)


def _takes_rows(service: AccountService, request: Request, path: BackendPath, broker: AccountBroker) -> bool:
    assert path.account is not None
    if not broker.exists:
        if not service.node.is_auto_created(path.account):
            return False
        broker.create(path.account, Timestamp.parse(request.header("x-put-timestamp") or ""), service.node.clock.now())
        return True
    if is_true(request.header("x-account-override-deleted")):
        return True
    return not broker.info(fresh=False).is_deleted


def _row(request: Request, container: str) -> ContainerRow:
    put, delete = _time(request, "x-put-timestamp"), _time(request, "x-delete-timestamp")
    object_count = _count(request, "x-object-count")
    return ContainerRow(
        name=container,
        put_timestamp=put,
        delete_timestamp=delete,
        object_count=object_count,
        bytes_used=_count(request, "x-bytes-used"),
        deleted=int(is_gone(put, delete, object_count)),
        storage_policy_index=_count(request, "x-backend-storage-policy-index", 0),
    )


def _time(request: Request, name: str) -> str:
    """A timestamp as it is stored: `0` for one never set stays so (formats 6.2, pitfall 6)."""
    text = request.header(name)
    if text is None:
        raise BadRequest(f"Missing {name} header")
    if text == "0":
        return text
    try:
        return Timestamp.parse(text).internal
    except InvalidTimestamp as error:
        raise BadRequest(f"Invalid {name} header: {error}") from None


def _count(request: Request, name: str, default: int | None = None) -> int:
    text = request.header(name)
    if text is None and default is not None:
        return default
    try:
        return checked_number(text or "")
    except ValueError:
        raise BadRequest(f"{name} {text!r} is not a whole number") from None
