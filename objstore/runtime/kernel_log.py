"""The kernel's log files, the newest lines first, each with the time it says. Reads at most so much of each file.

Lines begin as syslog writes them (`Nov 21 16:07:20 host kernel: …`, in local time and without a year), in ISO 8601
(`2026-11-21T16:07:20.123456+00:00 host kernel: …`), or as the kernel's own buffer does (`[12345.678901] …`, since
boot).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

BYTES_MAX = 64 << 20
_CHUNK = 1 << 16
_LINE_MAX = 1 << 14
_SYSLOG = re.compile(r"([A-Z][a-z]{2}) +(\d{1,2}) (\d{2}):(\d{2}):(\d{2}) ")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?")
_SINCE_BOOT = re.compile(r"\[ *(\d+\.\d+)\]")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def recent_lines(path: Path, since: datetime, now: datetime, booted: datetime) -> Iterator[str]:
    """Lines of a file that are no older than `since`, the newest first. A line without a time belongs to the moment of
    the line below it. All times are aware. Raises OSError."""
    at = now
    for line in lines_backwards(path):
        at = time_of(line, now, booted) or at
        if at < since:
            return
        yield line


def time_of(line: str, now: datetime, booted: datetime) -> datetime | None:
    """What a line says of when it was written; None when it says nothing that can be read. Without a year it is the
    last time that there was such a date."""
    if found := _SYSLOG.match(line):
        month = _MONTHS.index(found[1]) + 1 if found[1] in _MONTHS else 0
        for year in (now.year, now.year - 1):
            at = _date(year, month, *map(int, found.groups()[1:]), like=now)
            # An hour of leeway, for a clock that was set back.
            if at is not None and at <= now + timedelta(hours=1):
                return at
        return None
    if found := _ISO.match(line):
        try:
            at = datetime.fromisoformat(found[0])
        except ValueError:
            return None
        return at if at.tzinfo is not None else at.replace(tzinfo=now.tzinfo)
    if found := _SINCE_BOOT.match(line):
        return booted + timedelta(seconds=min(float(found[1]), 1e10))
    return None


def _date(year: int, month: int, day: int, hour: int, minute: int, second: int, *, like: datetime) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=like.tzinfo)
    except ValueError:
        return None


def lines_backwards(path: Path, bytes_max: int = BYTES_MAX) -> Iterator[str]:
    """The lines of a file, the last one first, of its last bytes_max bytes; longer ones are cut. Raises OSError."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        first = max(0, end - bytes_max)
        rest = b""
        while end > first:
            start = max(first, end - _CHUNK)
            file.seek(start)
            pieces = (file.read(end - start) + rest).split(b"\n")
            rest, end = pieces[0][-_LINE_MAX:], start
            yield from (_text(piece) for piece in reversed(pieces[1:]) if piece)
        if rest:
            yield _text(rest)


def _text(line: bytes) -> str:
    return line[:_LINE_MAX].decode("utf-8", "replace")
