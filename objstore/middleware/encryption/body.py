"""Bodies on their way: what a client sends is encrypted as the proxy reads it, what a server sends as it goes out.

A body that was spliced from socket to socket has to be looked at now. It still comes in pieces of a pipe's size, is
decrypted in place in one buffer per request, and leaves from there: no other copy is made.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from objstore.core.errors import WrongBody
from objstore.http.body import RequestBody, Sink
from objstore.middleware.encryption.crypto import KeyStream

BUFFER_BYTES = 1 << 17
"""Stays in a core's second cache, and is large beside what a call costs."""


class Transform(Protocol):
    """Turns a text into one of the same length, piece by piece."""

    def update(self, data: bytes | memoryview) -> bytes: ...

    def apply(self, view: memoryview) -> None:
        """Transform the bytes in place."""


class EncryptingBody:
    """wsgi.input of a PUT: reads the client's body, gives out the encrypted one, and knows both at the end.

    It is the UploadFooters of its request, too. seal(md5 of the plain body) gives the headers to store; it is asked for
    a body that is not empty, because an empty one stays as it is.
    """

    __slots__ = ("_source", "_stream", "_etag", "_seal", "_unsealed", "_md5", "size")

    def __init__(
        self,
        source: RequestBody,
        stream: KeyStream,
        etag: str,
        seal: Callable[[str], Mapping[str, str]],
        unsealed: Mapping[str, str],
    ) -> None:
        """etag: what the client says the body is, '' for nothing. unsealed: headers to store with an empty body."""
        self._source = source
        self._stream = stream
        self._etag = etag
        self._seal = seal
        self._unsealed = unsealed
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    @property
    def etag(self) -> str:
        """MD5 of what has been read so far, plain."""
        return self._md5.hexdigest()

    def footers(self) -> Mapping[str, str]:
        """http.environ.UploadFooters."""
        etag = self.etag
        if self._etag and self._etag != etag:
            raise WrongBody(self._etag, etag)
        return self._seal(etag) if self.size else self._unsealed

    def read(self, size: int = -1) -> bytes:
        return self._taken(self._source.read(size))

    def read_some(self, size: int) -> bytes:
        return self._taken(self._source.read_some(size))

    def readline(self, limit: int = -1) -> bytes:
        return self._taken(self._source.readline(limit))

    def readinto(self, buffer: memoryview) -> int:
        count = self._source.readinto(buffer)
        if count:
            view = buffer[:count]
            self._md5.update(view)
            self.size += count
            self._stream.apply(view)
        return count

    def begin_next_sequence(self, headers: list[tuple[str, str]]) -> None:
        self._source.begin_next_sequence(headers)

    def continue_with(self, headers: list[tuple[str, str]]) -> None:
        self._source.continue_with(headers)

    def _taken(self, data: bytes) -> bytes:
        self._md5.update(data)
        self.size += len(data)
        return self._stream.update(data)


class DecryptingBody:
    """A TransferBody around another body, all of which is encrypted text (or parts of one: multipart.py)."""

    __slots__ = ("_body", "_transform")

    def __init__(self, body: Iterable[bytes], transform: Transform) -> None:
        self._body = body
        self._transform = transform

    def transfer(self, sink: Sink) -> None:
        transfer = getattr(self._body, "transfer", None)
        if transfer is not None:
            transfer(_DecryptingSink(sink, self._transform))
            return
        for piece in self:
            sink.send(piece)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            yield self._transform.update(piece)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


class _DecryptingSink:
    """A Sink for encrypted bytes in front of the client's."""

    __slots__ = ("_sink", "_transform", "_buffer")

    def __init__(self, sink: Sink, transform: Transform) -> None:
        self._sink = sink
        self._transform = transform
        self._buffer: memoryview | None = None

    def send(self, data: bytes | bytearray | memoryview) -> None:
        self._sink.send(self._transform.update(memoryview(data)))

    def sendfile(self, fd: int, offset: int, count: int) -> None:
        buffer = self._room()
        while count:
            taken = os.preadv(fd, [buffer[: min(count, len(buffer))]], offset)
            if not taken:
                raise EOFError(f"the file ends {count} bytes early")
            self._pass_on(buffer[:taken])
            offset += taken
            count -= taken

    def splice(self, pipe_fd: int, count: int) -> None:
        buffer = self._room()
        while count:
            # All of it stands in the pipe already (http.body.Sink), so that this never waits.
            taken = os.readv(pipe_fd, [buffer[: min(count, len(buffer))]])
            if not taken:
                raise EOFError(f"the pipe ends {count} bytes early")
            self._pass_on(buffer[:taken])
            count -= taken

    def _pass_on(self, view: memoryview) -> None:
        self._transform.apply(view)
        self._sink.send(view)

    def _room(self) -> memoryview:
        if self._buffer is None:
            self._buffer = memoryview(bytearray(BUFFER_BYTES))
        return self._buffer
