"""A stored manifest: its segments, the ETag and size of the whole, and what of them makes up a run of bytes. Pure.

The stored text is a JSON list of {name, bytes, hash, content_type, last_modified[, range][, sub_slo]} or {data}.
`bytes` and `hash` are those of the whole object a segment names, even where only a range of it is used; a segment with
sub_slo is a manifest itself. The ETag is the MD5 of `hash`, or `hash:first-last;`, or the MD5 of the data, one after
another. Source: formats 8.2.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from objstore.core.errors import DomainError
from objstore.core.ranges import Span


class BrokenManifest(DomainError):
    """A stored manifest that does not say what formats 8.2 asks for."""


@dataclass(frozen=True, slots=True)
class Segment:
    """name: /container/object, text; size, etag: of the whole object it names. range: the part used, None for all."""

    name: str = ""
    etag: str = ""
    size: int = 0
    content_type: str = ""
    last_modified: str = ""
    range: Span | None = None
    is_manifest: bool = False
    data: bytes | None = None

    @property
    def used(self) -> Span:
        """The bytes of the object (or of the data) that count."""
        if self.data is not None:
            return Span(0, len(self.data))
        return self.range or Span(0, self.size)

    @property
    def etag_text(self) -> str:
        if self.data is not None:
            return hashlib.md5(self.data, usedforsecurity=False).hexdigest()
        return self.etag if self.range is None else f"{self.etag}:{_range_text(self.range)};"

    def stored(self) -> dict[str, Any]:
        if self.data is not None:
            return {"data": b64encode(self.data).decode()}
        entry: dict[str, Any] = {
            "name": self.name,
            "bytes": self.size,
            "hash": self.etag,
            "content_type": self.content_type,
            "last_modified": self.last_modified,
        }
        if self.range is not None:
            entry["range"] = _range_text(self.range)
        if self.is_manifest:
            entry["sub_slo"] = True
        return entry

    def raw(self) -> dict[str, Any]:
        """As a client may PUT it again."""
        if self.data is not None:
            return {"data": b64encode(self.data).decode()}
        entry: dict[str, Any] = {"path": self.name, "etag": self.etag, "size_bytes": self.size}
        if self.range is not None:
            entry["range"] = _range_text(self.range)
        return entry


class Manifest:
    """segments: as stored, in order."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = segments
        self.size = sum(segment.used.size for segment in segments)

    @classmethod
    def load(cls, text: bytes) -> Manifest:
        """Raises BrokenManifest."""
        try:
            entries = json.loads(text)
            return cls([_loaded(entry) for entry in entries])
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
            raise BrokenManifest(f"the stored manifest is none: {error!r}") from None

    @property
    def etag(self) -> str:
        text = "".join([segment.etag_text for segment in self.segments])
        return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()

    def dump(self) -> bytes:
        return json.dumps([segment.stored() for segment in self.segments]).encode()

    def dump_raw(self) -> bytes:
        return json.dumps([segment.raw() for segment in self.segments], sort_keys=True).encode()

    def part(self, number: int) -> Span | None:
        """The bytes of the nth segment, counted from 1; None when there are not so many."""
        if number > len(self.segments):
            return None
        start = sum(segment.used.size for segment in self.segments[: number - 1])
        return Span(start, start + self.segments[number - 1].used.size)

    def cut(self, span: Span) -> Iterator[tuple[Segment, Span]]:
        """What makes up bytes of the large object: a segment, and the bytes of its own object that are in them."""
        position = 0
        for segment in self.segments:
            if position >= span.stop:
                return
            used = segment.used
            first = max(span.start, position)
            stop = min(span.stop, position + used.size)
            if first < stop:
                offset = used.start - position
                yield segment, Span(first + offset, stop + offset)
            position += used.size


def _loaded(entry: dict[str, Any]) -> Segment:
    if "data" in entry:
        return Segment(data=b64decode(entry["data"], validate=True))
    name, size, etag = entry["name"], entry["bytes"], entry["hash"]
    if not isinstance(name, str) or not isinstance(etag, str) or not isinstance(size, int) or size < 0:
        raise ValueError(f"segment {name!r} with {size!r} bytes and hash {etag!r}")
    return Segment(
        name,
        etag,
        size,
        entry.get("content_type", ""),
        entry.get("last_modified", ""),
        _loaded_range(entry.get("range"), size),
        entry.get("sub_slo") is True,
    )


def _loaded_range(text: Any, size: int) -> Span | None:
    if text is None:
        return None
    first, _, last = text.partition("-")
    span = Span(int(first), int(last) + 1)
    if not 0 <= span.start < span.stop <= size:
        raise ValueError(f"range {text} of {size} bytes")
    return span


def _range_text(span: Span) -> str:
    return f"{span.start}-{span.stop - 1}"
