"""Error → response: the one table. Servers and the proxy call error_response for whatever a handler raised."""

from __future__ import annotations

from objstore.core import errors
from objstore.core.listing import OverLimit
from objstore.http.listing import NotAcceptable
from objstore.http.response import Response, plain
from objstore.http.status import CLIENT_CLOSED_REQUEST, HTTPStatus

_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (errors.InvalidName, HTTPStatus.PRECONDITION_FAILED),
    (OverLimit, HTTPStatus.PRECONDITION_FAILED),
    (errors.BadRequest, HTTPStatus.BAD_REQUEST),
    (NotAcceptable, HTTPStatus.NOT_ACCEPTABLE),
    (errors.InvalidTimestamp, HTTPStatus.BAD_REQUEST),
    (errors.BodyTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (errors.WrongBody, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.ClientDisconnected, CLIENT_CLOSED_REQUEST),
    (errors.ClientTooSlow, HTTPStatus.REQUEST_TIMEOUT),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.NameCollision, HTTPStatus.FORBIDDEN),
    (errors.Corrupt, HTTPStatus.NOT_FOUND),
    (errors.UnknownPolicy, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.LockTimeout, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.DeviceUnavailable, HTTPStatus.INSUFFICIENT_STORAGE),
)


def status_of(error: Exception) -> int | None:
    """The status for an error of the table, or None for one that nobody expected."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return None


def error_response(error: Exception) -> Response | None:
    """The answer to an expected error; None for one that is a bug (the caller logs it and answers 500)."""
    status = status_of(error)
    if status is None:
        return None
    headers = {}
    timestamp = getattr(error, "timestamp", None)
    if timestamp is not None:
        headers["x-backend-timestamp"] = timestamp.internal
    return plain(status, str(error), headers)
