"""X-Delete-At and X-Delete-After of a client's PUT or POST. Pure. Source: features A3.9.

X-Delete-After is turned into X-Delete-At and wins over it. The result is whole seconds, at most ten digits.
"""

from __future__ import annotations

from objstore.core.errors import BadRequest
from objstore.proxy.targets import MAX_DELETE_AT


def delete_at(at: str | None, after: str | None, now_s: float) -> int | None:
    """When the object is to go, or None when the client says nothing. Raises BadRequest."""
    if after is not None:
        seconds = _whole(after, "X-Delete-After")
        if seconds < 1:
            raise BadRequest("X-Delete-After in past")
        return min(int(now_s) + seconds, MAX_DELETE_AT)
    if at is not None:
        moment = _whole(at, "X-Delete-At")
        if moment <= now_s:
            raise BadRequest("X-Delete-At in past")
        return min(moment, MAX_DELETE_AT)
    return None


def _whole(text: str, header: str) -> int:
    digits = text.strip().removeprefix("+")
    # int() also takes underscores and digits of other scripts, and thousands of them.
    if not (digits.removeprefix("-").isascii() and digits.removeprefix("-").isdigit() and len(digits) <= 20):
        raise BadRequest(f"Non-integer {header}")
    return int(digits)
