"""Several ranges of an encrypted object: multipart/byteranges whose parts are decrypted, and whose framing stays.

    --boundary CRLF Content-Type: … CRLF Content-Range: bytes 5-9/100 CRLF CRLF  five bytes  CRLF --boundary …

The text keeps its length, so the frame that the object server has made is right for the plain parts, too. Pure: bytes
in, bytes out, cut anywhere. Source: RFC 9110, section 14.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from objstore.middleware.encryption.crypto import KeyStream
from objstore.middleware.encryption.crypto_meta import Undecipherable

HEAD_BYTES_MAX = 16384
_RANGE = re.compile(rb"\r\ncontent-range:[ \t]*bytes[ \t]+(\d{1,20})-(\d{1,20})/", re.IGNORECASE)
_BOUNDARY = re.compile(r';\s*boundary="?([^";]{1,200})"?', re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"


def boundary_of(content_type: str) -> str | None:
    """The boundary of a multipart/byteranges content type; None for any other type."""
    if not content_type.lower().startswith("multipart/byteranges"):
        return None
    found = _BOUNDARY.search(content_type)
    return found[1] if found else None


class MultipartStream:
    """A Transform. stream_at(offset): the key stream of the object from a byte of it on."""

    __slots__ = ("_delimiter", "_stream_at", "_stream", "_left", "_head")

    def __init__(self, boundary: str, stream_at: Callable[[int], KeyStream]) -> None:
        self._delimiter = b"--" + boundary.encode("latin-1")
        self._stream_at = stream_at
        self._stream: KeyStream | None = None
        self._left = 0
        self._head = bytearray()

    def update(self, data: bytes | memoryview) -> bytes:
        copy = bytearray(data)
        self.apply(memoryview(copy))
        return bytes(copy)

    def apply(self, view: memoryview) -> None:
        """Raises Undecipherable for what is no such body: it must not go out half understood."""
        while len(view):
            if self._left:
                assert self._stream is not None
                part = view[: self._left]
                self._stream.apply(part)
                self._left -= len(part)
                view = view[len(part) :]
            else:
                view = self._read_head(view)

    def _read_head(self, view: memoryview) -> memoryview:
        """Take a part's head, or as much of it as is there; the rest of the view."""
        known = len(self._head)
        self._head += view[:HEAD_BYTES_MAX]
        end = self._head.find(_END_OF_HEAD, max(0, known - len(_END_OF_HEAD) + 1))
        if end < 0:
            if len(self._head) >= HEAD_BYTES_MAX:
                raise Undecipherable("a part of a multipart answer has no head")
            return view[len(view) :]
        head = bytes(self._head[: end + len(_END_OF_HEAD)])
        self._head.clear()
        self._begin_part(head)
        return view[len(head) - known :]

    def _begin_part(self, head: bytes) -> None:
        found = _RANGE.search(head)
        if not head.lstrip(b"\r\n").startswith(self._delimiter + b"\r\n") or found is None:
            raise Undecipherable("a part of a multipart answer is not framed as one")
        first, last = int(found[1]), int(found[2])
        if last < first:
            raise Undecipherable("a part of a multipart answer has no bytes")
        self._stream = self._stream_at(first)
        self._left = last - first + 1
