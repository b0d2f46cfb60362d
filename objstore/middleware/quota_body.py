"""A body of unknown length that is going into something with a quota: past what is left there, the upload ends (413).

The two quota filters put it in the place of `wsgi.input`. The bytes are counted as they pass; what was sent so far is
thrown away by whoever reads, as for any body that breaks off. Source: features A1.7, A2.7.
"""

from __future__ import annotations

from objstore.core.errors import BodyTooLarge
from objstore.http.body import RequestBody
from objstore.http.environ import Environ


class QuotaBody:
    """A RequestBody (http/body.py) over another. Reads raise BodyTooLarge once more than left_bytes have passed."""

    __slots__ = ("_body", "_allowed", "_left")

    def __init__(self, body: RequestBody, left_bytes: int) -> None:
        self._body = body
        self._allowed = self._left = left_bytes

    def read(self, size: int = -1) -> bytes:
        piece = self._body.read(self._left + 1 if size < 0 else size)
        self._count(len(piece))
        return piece

    def read_some(self, size: int) -> bytes:
        piece = self._body.read_some(size)
        self._count(len(piece))
        return piece

    def readline(self, limit: int = -1) -> bytes:
        piece = self._body.readline(limit)
        self._count(len(piece))
        return piece

    def readinto(self, buffer: memoryview) -> int:
        size = self._body.readinto(buffer)
        self._count(size)
        return size

    def begin_next_sequence(self, headers: list[tuple[str, str]]) -> None:
        self._body.begin_next_sequence(headers)

    def continue_with(self, headers: list[tuple[str, str]]) -> None:
        self._body.continue_with(headers)

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise BodyTooLarge(self._allowed)


def hold_to_quota(environ: Environ, left_bytes: int) -> None:
    """Let the body of this upload, whose length nobody told, be no longer than left_bytes."""
    environ["wsgi.input"] = QuotaBody(environ["wsgi.input"], left_bytes)
