"""A piece of a large object: some bytes of one stored object, and how to be sure that it still is that object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from objstore.core.errors import DomainError
from objstore.core.ranges import Span
from objstore.http.subrequest import SubResponse


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


Open = Callable[[Piece], SubResponse]
"""The answer that holds exactly the piece. Raises SegmentFailed."""


def opened(open_: Open, piece: Piece) -> SubResponse | DomainError:
    """What opening gives, or what it raises: that is raised when the piece's turn comes."""
    try:
        return open_(piece)
    except DomainError as error:
        return error
