"""Rings on their way from the holder to a node: one line of JSON, then the bytes of the files, one after the other.

    {"term": 1, "version": 7, "files": [{"name": "object.ring.gz", "size": 812, "sha256": …}, …]} LF bytes bytes …

unpacked() believes nothing: names are those of rings and stay in their directory, sizes are bounded and add up, every
digest is right and every file is a ring that can be read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

from objstore.cluster.ring_manifest import RingSet, digest_of, is_ring_name
from objstore.cluster.strict_json import BadFields, Fields
from objstore.core.errors import BadRequest
from objstore.ring.fileformat import read
from objstore.ring.model import InvalidRing

BYTES_MAX = 256 << 20
"""Of all rings together, as files: some hundred policies of 2^20 partitions."""
_HEAD_MAX = 1 << 16
_FILES_MAX = 200


class BadRings(BadRequest):
    """Rings that must not be installed. Says which, and why."""


def packed(rings: RingSet, term: int) -> bytes:
    """term: of the members file of whoever sends them."""
    files = [
        {"name": name, "size": len(data), "sha256": digest} for name, (digest, data) in sorted(rings.files.items())
    ]
    head = json.dumps({"term": term, "version": rings.version, "files": files}).encode()
    return b"".join((head, b"\n", *(data for _, (_, data) in sorted(rings.files.items()))))


def unpacked(data: bytes) -> tuple[int, RingSet]:
    """(term, rings). Raises BadRings."""
    head, newline, _ = data[:_HEAD_MAX].partition(b"\n")
    if not newline:
        raise BadRings("rings: expected a line of JSON in front of them")
    try:
        fields = Fields.parse(head, "rings")
        term, version = fields.number("term", 1), fields.number("version", 1)
        listed = [
            (each.text("name", 64), each.number("size", 0, BYTES_MAX), each.hexadecimal("sha256", 32))
            for each in fields.objects("files", _FILES_MAX)
        ]
    except BadFields as error:
        raise BadRings(str(error)) from None
    view = memoryview(data)[len(head) + 1 :]
    if sum(size for _, size, _ in listed) != len(view):
        raise BadRings(f"rings: expected {sum(size for _, size, _ in listed)} bytes of files, got {len(view)}")
    files: dict[str, tuple[str, bytes]] = {}
    for name, size, digest in listed:
        files[name] = digest, _checked(name, bytes(view[:size]), digest, files)
        view = view[size:]
    if not files:
        raise BadRings("rings: expected at least one")
    return term, RingSet(version, files)


def _checked(name: str, data: bytes, digest: str, others: Mapping[str, object]) -> bytes:
    if not is_ring_name(name):
        raise BadRings(f"rings: {name!r} is no name of a ring")
    if name in others:
        raise BadRings(f"rings: {name} comes twice")
    if digest_of(data) != digest:
        raise BadRings(f"{name}: its bytes have not the digest that came with them")
    try:
        read(io.BytesIO(data))
    except InvalidRing as error:
        raise BadRings(f"{name}: bad ring file: {error}") from None
    return data
