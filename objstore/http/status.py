"""Status codes. Everything above uses HTTPStatus or the four named here, never bare numbers."""

from __future__ import annotations

import http

__all__ = [
    "BLACKLISTED",
    "CLIENT_CLOSED_REQUEST",
    "HTTPStatus",
    "RATE_LIMITED",
    "TOO_MANY_BACKEND_REQUESTS",
    "is_success",
    "reason",
    "status_line",
]


class HTTPStatus:
    """The codes in use, by the names of the standard library's enum, as plain numbers: a member of an enum costs a
    call at every mention, a dozen for each request."""

    CONTINUE = 100
    SWITCHING_PROTOCOLS = 101
    OK = 200
    CREATED = 201
    ACCEPTED = 202
    NO_CONTENT = 204
    PARTIAL_CONTENT = 206
    MULTIPLE_CHOICES = 300
    MOVED_PERMANENTLY = 301
    FOUND = 302
    SEE_OTHER = 303
    NOT_MODIFIED = 304
    TEMPORARY_REDIRECT = 307
    BAD_REQUEST = 400
    UNAUTHORIZED = 401
    FORBIDDEN = 403
    NOT_FOUND = 404
    METHOD_NOT_ALLOWED = 405
    NOT_ACCEPTABLE = 406
    REQUEST_TIMEOUT = 408
    CONFLICT = 409
    GONE = 410
    LENGTH_REQUIRED = 411
    PRECONDITION_FAILED = 412
    REQUEST_ENTITY_TOO_LARGE = 413
    REQUEST_URI_TOO_LONG = 414
    REQUESTED_RANGE_NOT_SATISFIABLE = 416
    EXPECTATION_FAILED = 417
    UNPROCESSABLE_ENTITY = 422
    TOO_MANY_REQUESTS = 429
    REQUEST_HEADER_FIELDS_TOO_LARGE = 431
    INTERNAL_SERVER_ERROR = 500
    NOT_IMPLEMENTED = 501
    BAD_GATEWAY = 502
    SERVICE_UNAVAILABLE = 503
    GATEWAY_TIMEOUT = 504
    HTTP_VERSION_NOT_SUPPORTED = 505
    INSUFFICIENT_STORAGE = 507


BLACKLISTED = 497
"""The account is refused by its rate limit (proxy)."""

RATE_LIMITED = 498
"""The account or container is over its rate (proxy)."""

CLIENT_CLOSED_REQUEST = 499
"""The client went away before its request was whole."""

TOO_MANY_BACKEND_REQUESTS = 529
"""The device is over its rate (backend)."""

_REASONS = {status.value: status.phrase for status in http.HTTPStatus} | {
    BLACKLISTED: "Blacklisted",
    RATE_LIMITED: "Rate Limited",
    CLIENT_CLOSED_REQUEST: "Client Disconnect",
    TOO_MANY_BACKEND_REQUESTS: "Too Many Backend Requests",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "Requested Range Not Satisfiable",
}
_LINES = {code: f"{code} {reason}" for code, reason in _REASONS.items()}


def reason(code: int) -> str:
    """'Not Found'."""
    return _REASONS.get(code) or "Unknown"


def status_line(code: int) -> str:
    """'404 Not Found': what WSGI's start_response takes."""
    return _LINES.get(code) or f"{code} Unknown"


def is_success(code: int) -> bool:
    return 200 <= code < 300
