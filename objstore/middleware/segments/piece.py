"""A piece of a large object: some bytes of one stored object, and how to be sure that it still is that object."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.core.errors import DomainError
from objstore.core.ranges import Span


@dataclass(frozen=True, slots=True)
class Piece:
    """span: the bytes wanted of an object of `size` bytes whose ETag (without quotes) is etag.

    path: /version/account/container/object, a WSGI string.
    """

    path: str
    etag: str
    size: int
    span: Span


Part = bytes | Piece
"""What a body is made of, in order: bytes that are here already, and pieces that have to be fetched."""


class SegmentFailed(DomainError):
    """A segment is not what the manifest says, or cannot be had. The answer is 409, or a body that is cut."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"segment {path!r}: {why}")
        self.path = path
        self.why = why
