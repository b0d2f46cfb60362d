"""Large objects: how a file is cut into segments, what these are called, and what a manifest says. Pure.

    <container>_segments/<object>/objstore/<mtime ns>-<size>-<segment size>/<number>

so that an interrupted upload of the same file finds what it has put already, and one of a changed file does not.
Source: Swift API guide, "Static large objects"; formats 8.2.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from objstore.client.errors import ClientError
from objstore.client.place import Place

MARK = "/objstore/"
NAME_CHARACTERS_MAX = 1024
_TAIL_CHARACTERS = 96
"""Of what stands behind an object's name in those of its segments, at most."""
SEGMENT_BYTES = 128 << 20
SEGMENTS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Piece:
    """start: in the large object. etag: MD5 of these very bytes; '' where the manifest does not say it.

    path: of the segment; '' for data that stands in the manifest itself. is_manifest: the segment is one itself."""

    start: int
    size_bytes: int
    etag: str = ""
    path: str = ""
    entry: Mapping[str, Any] | None = None
    is_manifest: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """How a file is cut into segments. prefix: of the segments' names."""

    prefix: str
    size_bytes: int
    segment_bytes: int

    @property
    def starts(self) -> range:
        return range(0, self.size_bytes, self.segment_bytes)

    def size_at(self, start: int) -> int:
        return min(self.segment_bytes, self.size_bytes - start)

    def name_at(self, start: int) -> str:
        return f"{self.prefix}{start // self.segment_bytes:08d}"


def cut(place: Place, size_bytes: int, version: str, segment_bytes: int, segments_max: int, segment_max: int) -> Cut:
    """version: text that another content of the file would not have. segments_max: of a manifest; segment_max: bytes
    of a segment; segment_bytes: wished for. Raises ClientError for a file that is too large."""
    least = -(-size_bytes // segments_max)
    if least > segment_max:
        raise ClientError(f"{size_bytes} bytes are more than the cluster takes: {segments_max} times {segment_max}")
    chosen = min(max(segment_bytes, least), segment_max)
    return Cut(f"{segments_prefix(place.name)}{version}-{size_bytes}-{chosen}/", size_bytes, chosen)


def segments_prefix(name: str) -> str:
    """What the names of all segments begin with that this client puts for an object."""
    if len(name) + _TAIL_CHARACTERS > NAME_CHARACTERS_MAX:
        name = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return name + MARK


def manifest_body(pieces: Sequence[Piece]) -> bytes:
    """The body of a PUT with ?multipart-manifest=put."""
    return json.dumps(
        [{"path": piece.path, "etag": piece.etag, "size_bytes": piece.size_bytes} for piece in pieces]
    ).encode()


def manifest_etag(pieces: Sequence[Piece]) -> str:
    """The ETag of the large object, of segments that are used whole."""
    return hashlib.md5("".join(piece.etag for piece in pieces).encode(), usedforsecurity=False).hexdigest()


def read_manifest(body: bytes) -> list[Piece]:
    """What ?multipart-manifest=get answers. Raises ClientError.

    entry: of the same piece, for putting a manifest of it."""
    found: list[Piece] = []
    start = 0
    try:
        for stored in json.loads(body):
            piece = _piece(stored, start)
            start += piece.size_bytes
            found.append(piece)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ClientError("a manifest that cannot be read") from None
    return found


def _piece(stored: Any, start: int) -> Piece:
    if "data" in stored:
        data = base64.b64decode(stored["data"])
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return Piece(start, len(data), etag, "", {"data": stored["data"]})
    path, size, etag = str(stored["name"]), int(stored["bytes"]), str(stored.get("hash") or "")
    if size < 0 or not path.startswith("/"):
        raise ValueError(path)
    entry: dict[str, Any] = {"path": path, "etag": etag, "size_bytes": size}
    is_manifest = bool(stored.get("sub_slo"))
    if "range" in stored:
        entry["range"] = str(stored["range"])
        return Piece(start, _range_size(entry["range"], size), "", path, entry, is_manifest)
    # Of a manifest within the manifest it is the MD5 of other sums; what it reads as cannot be compared.
    return Piece(start, size, "" if is_manifest else etag, path, entry, is_manifest)


def _range_size(text: str, size: int) -> int:
    """The size of the range first-last, first- or -count of something of `size` bytes."""
    first, dash, last = text.partition("-")
    if not dash:
        raise ValueError(text)
    if not first:
        return min(size, int(last))
    return min(size - 1, int(last) if last else size - 1) - int(first) + 1
