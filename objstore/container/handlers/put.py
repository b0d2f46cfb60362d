"""PUT, POST and DELETE of a container. Source: formats 6.3."""

from __future__ import annotations

from objstore.container.account_update import account_nodes
from objstore.container.service import POLICY_DEFAULT, POLICY_INDEX, ContainerService
from objstore.core.errors import NotFound
from objstore.core.headers import is_true
from objstore.core.names import BackendPath
from objstore.core.policy import LEGACY_INDEX
from objstore.core.timestamp import Timestamp
from objstore.db.container import ContainerBroker, PutResult
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus

NO_CONTAINER = "No such container"


def put_container(service: ContainerService, request: Request, path: BackendPath) -> Response:
    timestamp = request.timestamp()
    nodes = account_nodes(request)
    policy_index = service.policy_of(request)
    default_index = service.policy_of(request, POLICY_DEFAULT)
    broker = service.broker(path)
    result = _put(service, request, path, broker, timestamp, policy_index, default_index)
    headers = {POLICY_INDEX: str(result.info.storage_policy_index)}
    if result.is_mismatch:
        return plain(HTTPStatus.CONFLICT, "The container has another storage policy", headers)
    if result.is_stale:
        return plain(HTTPStatus.CONFLICT, "Deleted at a later time than this", headers)
    broker.settle_sync_link()
    if not service.tell_account(request, path, nodes, broker, result.info):
        return plain(HTTPStatus.NOT_FOUND, "No such account")
    return plain(HTTPStatus.CREATED if result.is_created else HTTPStatus.ACCEPTED, headers=headers)


def post(service: ContainerService, request: Request) -> Response:
    path = request.backend_path(4, 4)
    timestamp = request.timestamp()
    service.node.check_room(path)
    put_timestamp = None if is_true(request.header("x-backend-no-timestamp-update")) else timestamp
    broker = service.broker(path)
    try:
        before = broker.post(put_timestamp, service.metadata_of(request, timestamp), service.check_metadata)
    except NotFound:
        return plain(HTTPStatus.NOT_FOUND, NO_CONTAINER)
    if before.is_deleted:
        return plain(HTTPStatus.NOT_FOUND, NO_CONTAINER)
    broker.settle_sync_link()
    return plain(HTTPStatus.NO_CONTENT)


def delete_container(service: ContainerService, request: Request, path: BackendPath) -> Response:
    """Works on a full disk: it needs no room but SQLite's own."""
    timestamp = request.timestamp()
    nodes = account_nodes(request)
    broker = service.broker(path)
    try:
        result = broker.delete(timestamp)
    except NotFound:
        return plain(HTTPStatus.NOT_FOUND, NO_CONTAINER)
    if not result.is_empty:
        return plain(HTTPStatus.CONFLICT, "The container is not empty")
    if not result.is_deleted:
        return plain(HTTPStatus.CONFLICT, "Put at a later time than this")
    broker.settle_sync_link()
    if not service.tell_account(request, path, nodes, broker, result.info):
        return plain(HTTPStatus.NOT_FOUND, "No such account")
    return plain(HTTPStatus.NO_CONTENT if result.existed else HTTPStatus.NOT_FOUND)


def _put(
    service: ContainerService,
    request: Request,
    path: BackendPath,
    broker: ContainerBroker,
    timestamp: Timestamp,
    policy_index: int | None,
    default_index: int | None,
) -> PutResult:
    items = service.metadata_of(request, timestamp)
    service.check_metadata(items)
    fallback = LEGACY_INDEX if default_index is None else default_index
    if not broker.exists:
        index = fallback if policy_index is None else policy_index
        assert path.account is not None and path.container is not None
        if broker.create(path.account, path.container, timestamp, service.node.clock.now(), index, items):
            return PutResult(broker.info(), is_created=True)
    return broker.put(timestamp, items, service.check_metadata, policy_index, fallback)
