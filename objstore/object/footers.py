"""An upload whose metadata comes after its body: MIME documents in the request. Source: formats 6.6.

    --boundary            X-Document: object body          the bytes of the object
    --boundary            X-Document: object metadata      JSON of headers, checked by Content-MD5
    --boundary--

Boundary lines start with CRLF but for the first. The reader below takes a request body and gives the object's bytes,
then the footers. Where the sender says how long the object is, its bytes go straight to the reader; else they are
searched for the boundary.
"""

from __future__ import annotations

import hashlib
import json

from objstore.core.errors import BadRequest, ClientDisconnected
from objstore.http.body import RequestBody

MAX_HEAD_BYTES = 4096
MAX_FOOTER_BYTES = 1 << 18
_PIECE_BYTES = 65536
_CRLF = b"\r\n"


class BadFooters(BadRequest):
    """The footer document is missing or not what its checksum says."""


class FooterChecksumMismatch(Exception):
    """The footers are not the bytes their Content-MD5 was made of."""


class FooterBody:
    """One request body with MIME framing. First readinto() until it gives 0, then footers(), then finish()."""

    def __init__(self, source: RequestBody, boundary: str, length: int | None) -> None:
        """length: bytes of the object where the sender says it; then nothing is searched."""
        self._source = source
        self._first = b"--" + boundary.encode("latin-1")
        self._delimiter = _CRLF + self._first
        self._remaining = length
        self._buffer = bytearray()
        self._is_source_done = False
        self._is_body_done = False
        self._is_begun = False

    def readinto(self, view: memoryview) -> int:
        """Bytes of the object into view, at least one; 0 at the end of the object."""
        if not self._is_begun:
            self._begin()
        if self._is_body_done:
            return 0
        return self._search(view) if self._remaining is None else self._count(view, self._remaining)

    def read_some(self, size: int) -> bytes:
        """As readinto(), at most size bytes of the object."""
        block = bytearray(min(size, _PIECE_BYTES))
        return bytes(block[: self.readinto(memoryview(block))])

    def _count(self, view: memoryview, remaining: int) -> int:
        """Of an object whose length is known: straight into view."""
        if remaining == 0:
            self._expect_delimiter()
            return 0
        count = self._take(view[:remaining]) or self._source.readinto(view[:remaining])
        if count == 0:
            raise ClientDisconnected(f"{remaining} bytes before the end of the object")
        self._remaining = remaining - count
        return count

    def _search(self, view: memoryview) -> int:
        """Of an object of unknown length: up to the delimiter, holding back what may be the beginning of it."""
        while True:
            ready = self._buffer.find(self._delimiter)
            if ready == 0:
                self._is_body_done = True
                return 0
            if ready < 0:
                # A carriage return near the end may begin the delimiter; everything before it is body.
                ready = self._buffer.find(b"\r", max(0, len(self._buffer) - len(self._delimiter) + 1))
                if ready < 0:
                    ready = len(self._buffer)
            if ready > 0:
                return self._take(view[:ready])
            if not self._fill():
                raise ClientDisconnected("the object has no end")

    def _take(self, view: memoryview) -> int:
        """What is buffered, into view; 0 when nothing is."""
        count = min(len(self._buffer), len(view))
        if count:
            view[:count] = self._buffer[:count]
            del self._buffer[:count]
        return count

    def _expect_delimiter(self) -> None:
        while len(self._buffer) < len(self._delimiter):
            if not self._fill():
                raise ClientDisconnected("the MIME framing ends with the object")
        if not self._buffer.startswith(self._delimiter):
            raise BadRequest("the object is longer than X-Backend-Obj-Content-Length")
        self._is_body_done = True

    def footers(self) -> dict[str, str]:
        """Lower-case name → value of the metadata document.

        Raises BadFooters when there is none or it is broken, FooterChecksumMismatch.
        """
        assert self._is_body_done, "the object's bytes come first"
        del self._buffer[: len(self._delimiter)]
        if self._take_line() is None:
            raise BadFooters("no footer document")
        head = self._take_head()
        document = self._take_until(self._delimiter, MAX_FOOTER_BYTES)
        if head.get("x-document") != "object metadata" or "content-md5" not in head:
            raise BadFooters("the second document is not object metadata with a Content-MD5")
        if hashlib.md5(document, usedforsecurity=False).hexdigest() != head["content-md5"].strip().lower():
            raise FooterChecksumMismatch
        return _headers_of(document)

    def await_commit(self, headers: list[tuple[str, str]]) -> None:
        """Say that body and footers are here, and wait for the sender's word to commit (a second chunked body).

        Raises ClientDisconnected when it never comes."""
        while self._fill():
            if len(self._buffer) > MAX_FOOTER_BYTES:
                raise BadFooters("too much after the footers")
        self._source.begin_next_sequence(headers)
        self._is_source_done = False
        self._buffer.clear()
        try:
            head = self._take_head()
        except BadFooters:
            raise ClientDisconnected from None
        if head.get("x-document") != "put commit":
            raise BadFooters("the second phase is not a put commit")

    def finish(self) -> None:
        """Read what is left of the request, so that the connection can be used again."""
        while self._fill():
            if len(self._buffer) > MAX_FOOTER_BYTES:
                raise BadFooters("too much after the footers")

    def _begin(self) -> None:
        self._is_begun = True
        line = self._take_line()
        while line == b"":
            line = self._take_line()
        if line != self._first:
            raise BadRequest("the body does not begin with its boundary")
        self._take_head()

    def _take_head(self) -> dict[str, str]:
        """Header lines up to an empty one."""
        head: dict[str, str] = {}
        while line := self._take_line():
            name, _, value = line.decode("latin-1").partition(":")
            head[name.strip().lower()] = value.strip()
        return head

    def _take_line(self) -> bytes | None:
        """The next line without CRLF; None at the closing '--' after a boundary."""
        while (end := self._buffer.find(_CRLF)) < 0:
            if self._buffer.startswith(b"--") and len(self._buffer) < 4 and self._is_source_done:
                return None
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequest("a line of the MIME framing is too long")
            if not self._fill():
                raise BadFooters("the MIME framing ends early")
        line = bytes(self._buffer[:end])
        if line == b"--":
            return None
        del self._buffer[: end + 2]
        return line

    def _take_until(self, delimiter: bytes, limit: int) -> bytes:
        while (end := self._buffer.find(delimiter)) < 0:
            if len(self._buffer) > limit:
                raise BadFooters(f"the footers are longer than {limit} bytes")
            if not self._fill():
                raise BadFooters("the footer document ends early")
        document = bytes(self._buffer[:end])
        del self._buffer[: end + len(delimiter)]
        return document

    def _fill(self) -> bool:
        if self._is_source_done:
            return False
        block = bytearray(_PIECE_BYTES)
        count = self._source.readinto(memoryview(block))
        if count == 0:
            self._is_source_done = True
            return False
        self._buffer += memoryview(block)[:count]
        return True


def _headers_of(document: bytes) -> dict[str, str]:
    try:
        value = json.loads(document)
    except ValueError:
        raise BadFooters("the footers are not JSON") from None
    if not isinstance(value, dict):
        raise BadFooters("the footers are not a JSON object")
    return {str(name).lower(): str(text) for name, text in value.items()}
