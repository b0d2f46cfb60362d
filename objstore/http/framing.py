"""Bodies of HTTP/1.1 messages without I/O: Content-Length, chunked both ways, until close (RFC 9112 sections 6 and 7).

A decoder is fed the bytes that came and gives the pieces of body in them. While `raw` is above zero (and nothing is
held back) the next `raw` bytes of the connection are body as they stand: the caller may receive them straight into its
own buffer, or splice them, and then says skip(). The end of a chunked body is certain or an error, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "LAST_CHUNK",
    "BodyDecoder",
    "ChunkedDecoder",
    "ClosedEarly",
    "FramingError",
    "FramingLimits",
    "LengthDecoder",
    "UntilCloseDecoder",
    "chunk_head",
]

LAST_CHUNK = b"0\r\n\r\n"
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;([\t\x20-\x7e\x80-\xff]*))?")
_TRAILER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z\x80-\xff]+):[\t\x20-\x7e\x80-\xff]*")


class FramingError(Exception):
    """The bytes are no body of the framing that the head announced."""


class ClosedEarly(FramingError):
    """The peer closed before the end of the body."""


@dataclass(frozen=True, slots=True)
class FramingLimits:
    """chunk_line_bytes: a size with its extensions. extension_bytes: all extensions of one body together."""

    chunk_line_bytes: int = 256
    extension_bytes: int = 16384
    trailer_count: int = 32
    trailer_bytes: int = 8192


def chunk_head(size: int) -> bytes:
    """What stands before `size` bytes of a chunk; CRLF follows them. size > 0: zero would end the body."""
    assert size > 0
    return b"%x\r\n" % size


class LengthDecoder:
    """A body of Content-Length bytes."""

    __slots__ = ("raw",)

    def __init__(self, length: int) -> None:
        self.raw = length

    @property
    def is_done(self) -> bool:
        return self.raw == 0

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """(pieces of body, bytes after its end)."""
        if len(data) <= self.raw:
            self.raw -= len(data)
            return [data], b""
        piece, rest = data[: self.raw], data[self.raw :]
        self.raw = 0
        return [piece], rest

    def skip(self, count: int) -> None:
        """count bytes of `raw` went another way."""
        assert count <= self.raw
        self.raw -= count

    def end_of_stream(self) -> None:
        """The peer closed. Raises FramingError when the body is not whole."""
        if self.raw:
            raise ClosedEarly(f"closed {self.raw} bytes before the end of the body")


class UntilCloseDecoder:
    """A response body that ends where the connection does (HTTP/1.0, or no framing at all)."""

    __slots__ = ("is_done",)
    raw = 1 << 62

    def __init__(self) -> None:
        self.is_done = False

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        return [data], b""

    def skip(self, count: int) -> None:
        pass

    def end_of_stream(self) -> None:
        self.is_done = True


class ChunkedDecoder:
    """A chunked body. Trailers are checked and bounded, and kept apart: they never become headers.

    raw: bytes of the current chunk still to come, when they are next on the connection; else 0.
    trailers: (name, value) in order, once is_done.
    """

    __slots__ = ("raw", "is_done", "trailers", "_limits", "_held", "_state", "_extension_bytes", "_trailer_bytes")

    def __init__(self, limits: FramingLimits) -> None:
        self.raw = 0
        self.is_done = False
        self.trailers: list[tuple[bytes, bytes]] = []
        self._limits = limits
        self._held = b""
        self._state = _SIZE
        self._extension_bytes = 0
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """(pieces of body, bytes after the end of the last chunk and trailers). Raises FramingError."""
        pieces: list[bytes] = []
        if self._held:
            data = self._held + data
            self._held = b""
        position = 0
        while not self.is_done:
            if self.raw:
                piece = data[position : position + self.raw]
                if not piece:
                    return pieces, b""
                pieces.append(piece)
                position += len(piece)
                self.raw -= len(piece)
                continue
            end = data.find(b"\n", position)
            if end < 0:
                self._hold(data[position:])
                return pieces, b""
            self._line(data[position : end + 1])
            position = end + 1
        return pieces, data[position:]

    def skip(self, count: int) -> None:
        assert count <= self.raw
        self.raw -= count

    def end_of_stream(self) -> None:
        raise ClosedEarly("closed in the middle of a chunked body")

    def _hold(self, data: bytes) -> None:
        if self._state is _CRLF and data not in (b"", b"\r"):
            raise FramingError("a chunk is longer than its size says")
        limit = self._limits.trailer_bytes if self._state is _TRAILERS else self._limits.chunk_line_bytes
        if len(data) > limit:
            raise FramingError(f"a line of chunked framing is over {limit} bytes")
        if b"\r" in data[:-1]:
            raise FramingError("a bare CR in chunked framing")
        self._held = data

    def _line(self, line: bytes) -> None:
        if line[-2:] != b"\r\n" or b"\r" in line[:-2]:
            raise FramingError("a line of chunked framing does not end in CRLF")
        text = line[:-2]
        if self._state is _SIZE:
            self._size(text)
        elif self._state is _CRLF:
            if text:
                raise FramingError("a chunk is longer than its size says")
            self._state = _SIZE
        elif text:
            self._trailer(text)
        else:
            self.is_done = True

    def _size(self, text: bytes) -> None:
        found = _CHUNK_LINE.fullmatch(text)
        if found is None or len(text) > self._limits.chunk_line_bytes:
            raise FramingError(f"not a chunk size: {text[:40]!r}")
        self._extension_bytes += len(found[2] or b"")
        if self._extension_bytes > self._limits.extension_bytes:
            raise FramingError(f"chunk extensions over {self._limits.extension_bytes} bytes in all")
        self.raw = int(found[1], 16)
        self._state = _CRLF if self.raw else _TRAILERS

    def _trailer(self, text: bytes) -> None:
        self._trailer_bytes += len(text)
        if len(self.trailers) >= self._limits.trailer_count or self._trailer_bytes > self._limits.trailer_bytes:
            raise FramingError("too many or too large trailers")
        found = _TRAILER.fullmatch(text)
        if found is None:
            raise FramingError(f"not a trailer: {text[:40]!r}")
        name = found[1].lower()
        if name in _NEVER_TRAILERS:
            raise FramingError(f"{name.decode('latin-1')} may not be a trailer")
        self.trailers.append((name, text[len(name) + 1 :].strip(b" \t")))


_SIZE, _CRLF, _TRAILERS = "size", "crlf", "trailers"
_NEVER_TRAILERS = frozenset(
    b"authorization connection content-encoding content-length content-range content-type cookie expect host "
    b"keep-alive proxy-authorization proxy-connection te trailer transfer-encoding upgrade x-auth-token "
    b"x-service-token x-storage-token x-timestamp x-trans-id".split()
)
"""Fields that frame, route or authorize (RFC 9110 6.5.1): one of these as a trailer is an attempt at smuggling."""

BodyDecoder = LengthDecoder | ChunkedDecoder | UntilCloseDecoder
