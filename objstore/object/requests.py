"""Small readings of backend requests that several verbs share."""

from __future__ import annotations

from objstore.core.names import quoted, text_of
from objstore.http.request import Request

MAX_PART_POWER = 32


def next_part_power(request: Request) -> int | None:
    """X-Backend-Next-Part-Power: the ring is about to have twice the partitions (formats 2.6); None when it is not."""
    text = request.header("x-backend-next-part-power") or ""
    if not (text.isascii() and text.isdigit()):
        return None
    power = int(text)
    return power if 0 < power <= MAX_PART_POWER else None


def referer(request: Request) -> str:
    """What container servers see as the cause of a row: the request that was made here."""
    host = request.header("host") or ""
    return f"{request.method} http://{host}{quoted(text_of(request.path))}"
