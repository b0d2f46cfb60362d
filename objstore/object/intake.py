"""Taking in the body of one upload: from the network to the engine, hashed on the way, without stopping the hub.

A body that is shorter than a block stays in memory until its metadata is known; then it is written and made durable
in one go (short work, runtime/device_threads.py). A longer one is written block by block in a native thread of the
device, while the next block is received into the other of two buffers. Those begin at a page, so that a disk can take
them past the page cache, and are used again.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import ParamSpec, Protocol, Self, TypeVar

from objstore.core.errors import BodyTooLarge, ClientDisconnected, ClientTooSlow
from objstore.core.timestamp import Timestamp
from objstore.runtime.checksum import EMPTY, crc32c
from objstore.runtime.clock import Clock
from objstore.runtime.device_threads import DeviceThreads
from objstore.runtime.green import Job
from objstore.storage.engine import Engine, Writer
from objstore.storage.layout import ObjectAddress

P = ParamSpec("P")
T = TypeVar("T")


class BodySource(Protocol):
    def read_some(self, size: int) -> bytes:
        """At least one byte and at most size; b"" at the end."""

    def readinto(self, buffer: memoryview) -> int:
        """At least one byte; 0 at the end."""


class Blocks:
    """Buffers that begin at a page, kept for the next upload: fresh memory costs more than what is done with it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._spare: list[memoryview] = []

    def take(self, size_bytes: int) -> memoryview:
        while self._spare:
            block = self._spare.pop()
            if len(block) == size_bytes:
                return block
        return memoryview(mmap.mmap(-1, size_bytes))

    def give(self, block: memoryview) -> None:
        if len(self._spare) < self._most:
            self._spare.append(block)


BLOCKS = Blocks(8)


class Intake:
    """One upload. copy() once, then commit(); leaving the `with` before that leaves nothing behind.

    length: bytes that will come, None when not known. counts_md5: False when the sender says the ETag.
    """

    def __init__(
        self,
        engine: Engine,
        threads: DeviceThreads,
        clock: Clock,
        address: ObjectAddress,
        length: int | None,
        *,
        block_bytes: int,
        timeout_s: float,
        counts_md5: bool,
    ) -> None:
        self._engine = engine
        self._threads = threads
        self._clock = clock
        self._address = address
        self._length = length
        self._block_bytes = block_bytes
        self._timeout_s = timeout_s
        self._deadline = 0.0
        self._blocks = BLOCKS
        self._md5 = hashlib.md5(usedforsecurity=False) if counts_md5 else None
        self._whole: bytes | memoryview | None = None
        self._writer: Writer | None = None
        self._received = 0
        self._crc = EMPTY

    @property
    def size(self) -> int:
        return self._received

    @property
    def crc32c(self) -> int:
        return self._crc if self._writer is None else self._writer.crc32c

    @property
    def md5(self) -> str | None:
        """Hex digest of the body; None when it was not counted."""
        return None if self._md5 is None else self._md5.hexdigest()

    def copy(self, source: BodySource) -> None:
        """All of a body. Raises ClientDisconnected, ClientTooSlow, BodyTooLarge, InsufficientStorage."""
        self._deadline = self._clock.monotonic() + self._timeout_s
        if self._length is not None and self._length < self._block_bytes:
            self._keep(self._read_all(source, self._length))
        else:
            block = self._blocks.take(self._block_bytes)
            count = self._fill(source, block)
            if count < len(block):
                self._keep(block[:count])
            else:
                self._stream(source, block, count)
        if self._length is not None and self._received < self._length:
            raise ClientDisconnected(f"{self._received} bytes of {self._length} came")

    def _keep(self, whole: bytes | memoryview) -> None:
        """All of a body that is shorter than a block."""
        self._whole = whole
        self._crc = crc32c(whole)
        self._hash(whole)

    def _read_all(self, source: BodySource, length: int) -> bytes:
        """A body of that length, as a rule in the one piece that came with its head."""
        pieces: list[bytes] = []
        while piece := source.read_some(length + 1 - self._received):
            self._count(len(piece))
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _count(self, count: int) -> None:
        if self._clock.monotonic() > self._deadline:
            raise ClientTooSlow(f"the upload took more than {self._timeout_s:g} s")
        self._received += count
        if self._length is not None and self._received > self._length:
            raise BodyTooLarge(self._length)

    def commit(self, timestamp: Timestamp, headers: Mapping[str, str], next_part_power: int | None) -> None:
        """Make what was copied the object, durably. Raises InsufficientStorage."""
        if self._writer is not None:
            self._run_to_its_end(self._commit_writer, self._writer, timestamp, headers, next_part_power)
        else:
            assert self._whole is not None, "nothing was copied"
            self._threads.run_short(self._address.device, self._store, self._whole, timestamp, headers, next_part_power)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, trace)

    def _fill(self, source: BodySource, block: memoryview) -> int:
        """Receive until the block is full or the body ends; how much of it is filled."""
        filled = 0
        while filled < len(block):
            count = source.readinto(block[filled:])
            if count == 0:
                break
            self._count(count)
            filled += count
        return filled

    def _stream(self, source: BodySource, block: memoryview, count: int) -> None:
        self._writer = self._run(self._engine.create, self._address, self._length).__enter__()
        current, spare = block, self._blocks.take(self._block_bytes)
        while count:
            writing = self._threads.start(self._address.device, self._write_block, self._writer, current[:count])
            try:
                count = self._fill(source, spare)
                writing.join()
            except BaseException:
                _wait_out(writing)
                raise
            current, spare = spare, current
        # Not those of an upload that failed: nobody knows who still looks at them.
        self._blocks.give(current)
        self._blocks.give(spare)

    def _write_block(self, writer: Writer, data: memoryview) -> None:
        writer.write(data)
        self._hash(data)

    def _hash(self, data: bytes | memoryview) -> None:
        if self._md5 is not None:
            self._md5.update(data)

    def _store(
        self, data: bytes | memoryview, timestamp: Timestamp, headers: Mapping[str, str], next_part_power: int | None
    ) -> None:
        self._engine.store(self._address, data, self._crc, timestamp, headers, next_part_power=next_part_power)

    def _commit_writer(
        self, writer: Writer, timestamp: Timestamp, headers: Mapping[str, str], next_part_power: int | None
    ) -> None:
        writer.commit(timestamp, headers, next_part_power=next_part_power)

    def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._threads.run(self._address.device, function, *args, **kwargs)

    def _run_to_its_end(self, function: Callable[..., None], *args: object) -> None:
        """As _run, but whoever kills this green thread waits for the native one: it works on an open descriptor that
        is closed, and its number given to another file, as soon as we leave."""
        job = self._threads.start(self._address.device, function, *args)
        try:
            job.join()
        except BaseException:
            _wait_out(job)
            raise


def _wait_out(job: Job[None]) -> None:
    """Until a job is over, whatever came of it."""
    try:
        job.join()
    except Exception:  # Whatever it was.
        return  # The caller raises the error that came first.
