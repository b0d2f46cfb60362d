"""POST and DELETE of an account. Source: formats 6.2."""

from __future__ import annotations

from objstore.account.handlers.read import STATUS, STATUS_DELETED, missing
from objstore.account.service import AccountService, metadata_of
from objstore.core.errors import NotFound
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus


def post(service: AccountService, request: Request) -> Response:
    path = request.backend_path(3, 3)
    timestamp = request.timestamp()
    service.node.check_room(path)
    try:
        before = service.broker(path).post(metadata_of(request, timestamp), service.check_metadata)
    except NotFound:
        return missing(None)
    if before.is_deleted:
        return missing(before)
    return plain(HTTPStatus.NO_CONTENT)


def delete(service: AccountService, request: Request) -> Response:
    """Marks the account deleted even when it has containers: the reaper takes them out. Works on a full disk."""
    path = request.backend_path(3, 3)
    timestamp = request.timestamp()
    try:
        before = service.broker(path).delete(timestamp)
    except NotFound:
        return missing(None)
    if before.is_deleted:
        return missing(before)
    if before.put_timestamp >= timestamp.internal:
        return plain(HTTPStatus.CONFLICT, "Put at a later time than this")
    return Response(HTTPStatus.NO_CONTENT, {"content-type": "text/html; charset=utf-8", STATUS: STATUS_DELETED})
