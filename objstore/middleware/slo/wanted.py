"""The manifest that a client PUTs: parsed and checked as far as that goes without asking for a segment. Pure.

    [{"path": "/c/o", "etag": "…", "size_bytes": 5, "range": "0-3"}, {"data": "<base64>"}, …]

etag, size_bytes and range may be missing or null; a segment is a path or data. Source: feature A4.1.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from objstore.core import ranges
from objstore.core.errors import DomainError
from objstore.core.names import RESERVED
from objstore.core.ranges import RangeSpec

_WITH_PATH = frozenset({"path", "etag", "size_bytes", "range"})
_WITH_DATA = frozenset({"data"})
_DIGITS_AT_MOST = 18


class NotAManifest(DomainError):
    """The body is no JSON list."""


class TooManySegments(DomainError):
    def __init__(self, most: int) -> None:
        super().__init__(f"Number of segments must be <= {most}")


class BadEntries(DomainError):
    """Entries that can never be right. problems: a sentence for each, with its index."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class WantedSegment:
    """An object of the account (name: /container/object, text), or data of its own."""

    name: str = ""
    etag: str | None = None
    size: int | None = None
    range: RangeSpec | None = None
    data: bytes | None = None


def parse(body: bytes, own_name: str, most: int) -> list[WantedSegment]:
    """own_name: /container/object of the manifest itself. Raises NotAManifest, TooManySegments or BadEntries."""
    try:
        entries = json.loads(body)
    except (ValueError, RecursionError):
        raise NotAManifest("Manifest must be valid JSON.") from None
    if not isinstance(entries, list):
        raise NotAManifest("Manifest must be a list.")
    if not entries:
        raise NotAManifest("Manifest must name at least one segment.")
    if sum(not (isinstance(entry, dict) and "data" in entry) for entry in entries) > most:
        raise TooManySegments(most)
    problems: list[str] = []
    wanted = []
    for index, entry in enumerate(entries):
        found = _segment(entry, own_name)
        if isinstance(found, str):
            problems.append(f"Index {index}: {found}")
        else:
            wanted.append(found)
    if not problems and all(segment.data is not None for segment in wanted):
        problems.append("Inline data segments require at least one object-backed segment.")
    if problems:
        raise BadEntries(problems)
    return wanted


def _segment(entry: Any, own_name: str) -> WantedSegment | str:
    """A segment, or what is wrong with the entry."""
    if not isinstance(entry, dict):
        return "not a JSON object"
    if "data" in entry:
        return _inline(entry)
    unknown = sorted(entry.keys() - _WITH_PATH)
    if unknown:
        return f"extraneous keys {', '.join(map(repr, unknown))}"
    name = _name(entry.get("path"))
    if not name:
        return "expected path to be a string of the form container/object"
    if name == own_name:
        return "manifest must not include itself as a segment"
    etag, size = entry.get("etag"), _size(entry.get("size_bytes"))
    if etag is not None and not isinstance(etag, str):
        return "etag must be a string or null (if provided)"
    if isinstance(size, str):
        return size
    spec = _range(entry.get("range"))
    if isinstance(spec, str):
        return spec
    return WantedSegment(name, etag.strip('"') if etag else None, size, spec)


def _inline(entry: dict[str, Any]) -> WantedSegment | str:
    unknown = sorted(entry.keys() - _WITH_DATA)
    if unknown:
        return f"extraneous keys {', '.join(map(repr, unknown))} beside data"
    text = entry["data"]
    try:
        data = b64decode(text, validate=True) if isinstance(text, str) else b""
    except (ValueError, binascii.Error):
        return "data must be valid base64"
    return WantedSegment(data=data) if data else "data must be at least one byte of base64"


def _name(path: Any) -> str:
    """/container/object, or ''."""
    if not isinstance(path, str):
        return ""
    name = "/" + path.lstrip("/")
    container, slash, obj = name[1:].partition("/")
    if not (container and slash and obj) or RESERVED in name:
        return ""
    try:
        name.encode()
    except UnicodeEncodeError:
        return ""
    return name


def _size(value: Any) -> int | str | None:
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS_AT_MOST:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return "size_bytes must be an integer, or null (if provided)"


def _range(value: Any) -> RangeSpec | str | None:
    if value is None or value == "":
        return None
    specs = ranges.parse(f"bytes={value}") if isinstance(value, str) and "=" not in value else None
    if specs is None or len(specs) != 1:
        return "range must be one range of bytes such as 0-99"
    return specs[0]
