"""When something ends, as people write it: a duration from now, a date in UTC, or Unix seconds. Pure."""

from __future__ import annotations

import re

from objstore.middleware.tempurl_link import parse_expiry

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhdw])", re.ASCII)
EXPECTED = "expected 30m, 12h, 7d, 2w, a date as 2027-01-31 or 2027-01-31T12:00:00Z, or Unix seconds"


def expiry(text: str, now_s: float) -> int:
    """The moment in Unix seconds. Raises ValueError for text that is not one, and for the past."""
    duration = _DURATION.fullmatch(text)
    found = int(now_s) + int(duration[1]) * _SECONDS[duration[2]] if duration else parse_expiry(text)
    if found is None:
        raise ValueError(f"{text!r}: {EXPECTED}")
    if found <= now_s:
        raise ValueError(f"{text!r}: that has passed; {EXPECTED}")
    return found
