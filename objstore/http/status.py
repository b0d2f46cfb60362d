"""Status codes. Everything above uses HTTPStatus or the four named here, never bare numbers."""

from __future__ import annotations

from http import HTTPStatus

__all__ = [
    "CLIENT_CLOSED_REQUEST",
    "HTTPStatus",
    "RATE_LIMITED",
    "TOO_MANY_BACKEND_REQUESTS",
    "is_success",
    "reason",
    "status_line",
]

RATE_LIMITED = 498
"""The account or container is over its rate (proxy)."""

CLIENT_CLOSED_REQUEST = 499
"""The client went away before its request was whole."""

TOO_MANY_BACKEND_REQUESTS = 529
"""The device is over its rate (backend)."""

_REASONS = {status.value: status.phrase for status in HTTPStatus} | {
    RATE_LIMITED: "Rate Limited",
    CLIENT_CLOSED_REQUEST: "Client Disconnect",
    TOO_MANY_BACKEND_REQUESTS: "Too Many Backend Requests",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE.value: "Requested Range Not Satisfiable",
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
