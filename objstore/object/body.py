"""Response bodies of stored objects: how their bytes reach the client, and how they stay verified.

    verified_bytes()   the whole of a small object, checked before the first byte goes out
    VerifiedBody       the whole of a large one: sendfile, one block behind a native thread that reads and checks the
                       same blocks; the last block goes out only when the checksum of all of them is right
    SpanBody           a range: sendfile; of a small object all is checked before, of a large one nothing can be
    MultipartBody      several ranges with MIME framing

The thread that runs ahead also brings the blocks into the page cache, so that sendfile does not stop the hub on a slow
disk. A body that turns out wrong is quarantined, and the connection is cut short of Content-Length: never completed.
Whoever makes a body owns it; close() closes the object. One that must be seen by a filter can be iterated instead.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator

from objstore.core.errors import Corrupt
from objstore.core.ranges import Multipart, Span
from objstore.http.body import Sink
from objstore.runtime.checksum import EMPTY, crc32c
from objstore.runtime.device_threads import DeviceThreads
from objstore.runtime.green import spawn
from objstore.storage.engine import StoredObject

SMALL_BYTES = 1 << 20
"""Objects up to this size are read and checked as a whole before anything is answered."""
TINY_BYTES = 1 << 16
"""Objects up to this size are answered with what was read; from here on the file itself is sent."""
BLOCK_BYTES = 4 << 20
"""Unit in which a large body is checked and sent."""
READ_BYTES = 1 << 18

Quarantine = Callable[[StoredObject, str], None]
"""Sets an object aside; the text says why, for the log."""


class BodyChecker:
    """The running checksum of a body against what its metadata says: CRC32C, or MD5 for objects without one."""

    def __init__(self, stored: StoredObject, *, may_use_md5: bool) -> None:
        self._crc_expected = stored.crc32c
        self._etag = stored.etag
        self._crc = EMPTY
        self._md5 = None
        if self._crc_expected is None and may_use_md5:
            self._md5 = hashlib.md5(usedforsecurity=False)

    @property
    def checks_anything(self) -> bool:
        return self._crc_expected is not None or self._md5 is not None

    def update(self, data: bytes | memoryview) -> None:
        if self._crc_expected is not None:
            self._crc = crc32c(data, self._crc)
        elif self._md5 is not None:
            self._md5.update(data)

    @property
    def problem(self) -> str | None:
        """What is wrong once everything has been seen; None when it is right."""
        if self._crc_expected is not None and self._crc != self._crc_expected:
            return f"CRC32C of the body is {self._crc:08x}, its metadata says {self._crc_expected:08x}"
        if self._md5 is not None and self._md5.hexdigest() != self._etag:
            return f"MD5 of the body is {self._md5.hexdigest()}, its metadata says {self._etag}"
        return None


def verified_bytes(stored: StoredObject, checker: BodyChecker, threads: DeviceThreads, quarantine: Quarantine) -> bytes:
    """The whole body: at once where it is cached, else by a native thread of its device.

    Raises Corrupt, after quarantine, when it is not what was written."""
    data = stored.body.pread_cached(stored.size, 0)
    if data is None:
        data = threads.run(stored.address.device, _read_whole, stored, stored.size, 0)
    checker.update(data)
    problem = checker.problem if len(data) == stored.size else f"{len(data)} bytes of {stored.size} can be read"
    if problem is not None:
        quarantine(stored, problem)
        raise Corrupt(stored.address.name, problem)
    return data


def verified_into(
    view: memoryview, stored: StoredObject, checker: BodyChecker, threads: DeviceThreads, quarantine: Quarantine
) -> None:
    """As verified_bytes, into memory of the caller's that is as long as the body."""
    got = stored.body.readinto_cached(view, 0)
    if got is None:
        data = threads.run(stored.address.device, _read_whole, stored, stored.size, 0)
        got = len(data)
        view[:got] = data
    checker.update(view[:got])
    problem = checker.problem if got == stored.size else f"{got} bytes of {stored.size} can be read"
    if problem is not None:
        quarantine(stored, problem)
        raise Corrupt(stored.address.name, problem)


_buffer = memoryview(bytearray(TINY_BYTES))
"""Where check_whole() reads to. Nobody else runs between its read and its look: no green thread, no native one."""


def check_whole(stored: StoredObject, checker: BodyChecker, threads: DeviceThreads, quarantine: Quarantine) -> None:
    """As verified_bytes, for a body that is sent from its file afterwards: nothing of it is kept, and small reads into
    the same memory cost a fraction of one large read."""
    offset = 0
    while offset < stored.size:
        view = _buffer[: min(TINY_BYTES, stored.size - offset)]
        got = stored.body.readinto_cached(view, offset)
        if got is None:
            data = threads.run(stored.address.device, _read_whole, stored, len(view), offset)
            checker.update(data)
            got = len(data)
        else:
            checker.update(view[:got])
        if not got:
            break
        offset += got
    problem = checker.problem if offset == stored.size else f"{offset} bytes of {stored.size} can be read"
    if problem is not None:
        quarantine(stored, problem)
        raise Corrupt(stored.address.name, problem)


def send_checked(
    sink: Sink, stored: StoredObject, checker: BodyChecker, threads: DeviceThreads, quarantine: Quarantine
) -> None:
    """The whole of an object up to SMALL_BYTES: checked, then sent. Raises Corrupt before any of it is."""
    if stored.size <= TINY_BYTES or stored.body.fd is None:
        sink.send(verified_bytes(stored, checker, threads, quarantine))
        return
    if checker.checks_anything:
        check_whole(stored, checker, threads, quarantine)
    _send_span(sink, stored, Span(0, stored.size))


class VerifiedBody:
    """The whole of a large object."""

    def __init__(
        self, stored: StoredObject, checker: BodyChecker, threads: DeviceThreads, quarantine: Quarantine
    ) -> None:
        self._stored = stored
        self._checker = checker
        self._threads = threads
        self._quarantine = quarantine

    def transfer(self, sink: Sink) -> None:
        fd = self._stored.body.fd
        for offset, count in self._checked_blocks():
            if fd is None:
                sink.send(self._stored.body.pread(count, offset))
            else:
                sink.sendfile(fd, offset, count)

    def __iter__(self) -> Iterator[bytes]:
        for offset, count in self._checked_blocks():
            yield from _pieces(self._stored, Span(offset, offset + count))

    def close(self) -> None:
        self._stored.close()

    def _checked_blocks(self) -> Iterator[tuple[int, int]]:
        """(offset, count) of each block once it has been read and added to the checksum; the last one only when all
        of it is right. While the caller sends one, the next is read."""
        offsets = range(0, self._stored.size, BLOCK_BYTES)
        self._read_ahead(0)
        for offset in offsets:
            count = min(BLOCK_BYTES, self._stored.size - offset)
            if offset + count == self._stored.size:
                self._require_right()
                yield offset, count
                return
            ahead = spawn(self._read_ahead, offset + count)
            try:
                yield offset, count
                ahead.join()
            except BaseException:
                ahead.kill()
                raise

    def _read_ahead(self, offset: int) -> None:
        self._threads.run(self._stored.address.device, self._check_block, offset)

    def _check_block(self, offset: int) -> None:
        """In a native thread: read one block through the checker."""
        end = min(offset + BLOCK_BYTES, self._stored.size)
        while offset < end:
            data = self._stored.body.pread(min(READ_BYTES, end - offset), offset)
            if not data:
                return
            self._checker.update(data)
            offset += len(data)

    def _require_right(self) -> None:
        problem = self._checker.problem
        if problem is not None:
            self._quarantine(self._stored, problem)
            raise Corrupt(self._stored.address.name, problem)


class SpanBody:
    """One range of an object, as it is."""

    def __init__(self, stored: StoredObject, span: Span) -> None:
        self._stored = stored
        self._span = span

    def transfer(self, sink: Sink) -> None:
        _send_span(sink, self._stored, self._span)

    def __iter__(self) -> Iterator[bytes]:
        return _pieces(self._stored, self._span)

    def close(self) -> None:
        self._stored.close()


class MultipartBody:
    """Several ranges of an object, framed as multipart/byteranges."""

    def __init__(self, stored: StoredObject, framing: Multipart) -> None:
        self._stored = stored
        self._framing = framing

    def transfer(self, sink: Sink) -> None:
        for head, span in self._framing.parts:
            sink.send(head)
            _send_span(sink, self._stored, span)
        sink.send(self._framing.tail)

    def __iter__(self) -> Iterator[bytes]:
        for head, span in self._framing.parts:
            yield head
            yield from _pieces(self._stored, span)
        yield self._framing.tail

    def close(self) -> None:
        self._stored.close()


class CacheDroppingBody:
    """Another body, after which the object's pages may leave the page cache."""

    def __init__(self, body: VerifiedBody | SpanBody | MultipartBody, stored: StoredObject) -> None:
        self._body = body
        self._stored = stored

    def transfer(self, sink: Sink) -> None:
        self._body.transfer(sink)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        fd = self._stored.body.fd
        if fd is not None:
            os.posix_fadvise(fd, 0, self._stored.size, os.POSIX_FADV_DONTNEED)
        self._body.close()


def _send_span(sink: Sink, stored: StoredObject, span: Span) -> None:
    fd = stored.body.fd
    if fd is None:
        for piece in _pieces(stored, span):
            sink.send(piece)
    else:
        sink.sendfile(fd, span.start, span.size)


def _pieces(stored: StoredObject, span: Span) -> Iterator[bytes]:
    offset = span.start
    while offset < span.stop:
        data = stored.body.pread(min(READ_BYTES, span.stop - offset), offset)
        if not data:
            raise Corrupt(stored.address.name, f"the file ends at {offset}, before {span.stop}")
        yield data
        offset += len(data)


def _read_whole(stored: StoredObject, count: int, offset: int) -> bytes:
    data = stored.body.pread(count, offset)
    while len(data) < count:
        more = stored.body.pread(count - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data
