"""fsync without a native thread: Linux's asynchronous I/O carries it out, an eventfd says when it is done.

A sync is what an acknowledged write waits for. A native thread that waits instead must win the interpreter's lock back
from the hub after every system call: under load a PUT of 4 KiB lost most of its time there. The kernel needs no
interpreter, and takes several syncs in one call.

Where the kernel does not do it (before 4.18, or forbidden) a few native threads do, one sync each.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import platform
import struct
from collections.abc import Sequence
from typing import Any

from objstore.runtime import green

__all__ = ["sync_all"]

_CALLS = {"x86_64": (206, 209, 208), "aarch64": (0, 2, 4)}
"""Numbers of io_setup, io_submit and io_getevents."""
_UNDER_WAY = 256
"""Syncs at once in one process; the kernel counts them against fs.aio-max-nr."""
_AT_ONCE = 16
"""Syncs in one call, completions taken in one call."""
_FSYNC, _FDATASYNC = 2, 3
_NOTIFY_EVENTFD = 1
_BLOCK = struct.Struct("<QIiHhIQQqQII")
"""struct iocb: data, key, rw_flags, opcode, priority, fd, buf, nbytes, offset, reserved, flags, eventfd."""
_EVENT = struct.Struct("<QQqq")
"""struct io_event: data, iocb, result, second result."""
_log = logging.getLogger("objstore.sync")
# The calls below never wait: giving the interpreter's lock away for one would cost more than the call.
_libc = ctypes.PyDLL(None)
_NOW = ctypes.c_long(0)
_COUNTS = [ctypes.c_long(count) for count in range(_AT_ONCE + 1)]
_threads = green.ThreadPool(8)


def sync_all(fds: Sequence[int], *, data_only: bool = False) -> None:
    """Make open files and directories durable, all at once, while other green threads run. data_only: as fdatasync.

    Raises OSError. Whoever is killed while waiting may close the descriptors: the kernel keeps the files.
    """
    if not fds:
        return
    for fd in _Kernel.of_this_process().sync(fds, data_only):
        _threads.run(os.fdatasync if data_only else os.fsync, fd)


class _Batch:
    """What one green thread waits for. left: syncs that have not ended, or not begun."""

    __slots__ = ("waiter", "fds", "operation", "left", "refused", "code")

    def __init__(self, waiter: Any, fds: Sequence[int], operation: int) -> None:
        self.waiter = waiter
        self.fds = fds
        self.operation = operation
        self.left = len(fds)
        self.refused: list[int] = []
        self.code = 0


class _Kernel:
    """The context of this process: what is under way, by the number of its batch.

    What all green threads of one turn of the hub ask for leaves in one call: each call wakes a thread of the kernel,
    which takes this one's place on the processor.
    """

    _instance: _Kernel | None = None

    def __init__(self) -> None:
        self._context = ctypes.c_ulong(0)
        self._setup, self._submit, self._get = (
            ctypes.c_long(call) for call in _CALLS.get(platform.machine(), (0,) * 3)
        )
        self._numbers = itertools.count(1)
        self._asked: list[_Batch] = []
        self._batches: dict[int, _Batch] = {}
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._blocks = ctypes.create_string_buffer(_BLOCK.size * _AT_ONCE)
        base = ctypes.addressof(self._blocks)
        self._pointers = (ctypes.c_void_p * _AT_ONCE)(*(base + _BLOCK.size * index for index in range(_AT_ONCE)))
        self._events = ctypes.create_string_buffer(_EVENT.size * _AT_ONCE)
        self.is_usable = platform.machine() in _CALLS and self._set_up()
        if self.is_usable:
            green.on_readable(self._eventfd, self._reap)

    @classmethod
    def of_this_process(cls) -> _Kernel:
        instance = cls._instance
        if instance is None:
            instance = cls._instance = cls()
        return instance

    @classmethod
    def forget(cls) -> None:
        """A child has no part in its parent's context."""
        cls._instance = None

    def _set_up(self) -> bool:
        return bool(_libc.syscall(self._setup, ctypes.c_long(_UNDER_WAY), ctypes.byref(self._context)) == 0)

    def sync(self, fds: Sequence[int], data_only: bool) -> Sequence[int]:
        """The descriptors that the kernel did not take; the others are durable now. Raises OSError."""
        if not self.is_usable:
            return fds
        if not self._asked:
            green.call_after(0, self._submit_asked)
        batch = _Batch(green.current(), fds, _FDATASYNC if data_only else _FSYNC)
        self._asked.append(batch)
        try:
            green.park()
        finally:
            # A killed waiter leaves its syncs running; nobody hears of them.
            batch.waiter = None
        if batch.code:
            raise OSError(batch.code, os.strerror(batch.code))
        return batch.refused

    def _submit_asked(self) -> None:
        """Runs in the hub: begin the syncs that were asked for since the last turn."""
        asked, self._asked = self._asked, []
        queue: list[tuple[int, int, int]] = []
        for batch in asked:
            # Whoever was killed meanwhile has closed its descriptors.
            if batch.waiter is not None:
                number = next(self._numbers)
                self._batches[number] = batch
                queue += [(number, batch.operation, fd) for fd in batch.fds]
        for start in range(0, len(queue), _AT_ONCE):
            some = queue[start : start + _AT_ONCE]
            for number, _, fd in some[self._begin(some) :]:
                self._batches[number].refused.append(fd)
                self._finished(number, 0)

    def _begin(self, syncs: Sequence[tuple[int, int, int]]) -> int:
        """Hand (number, operation, descriptor) to the kernel; how many of them it has taken."""
        for index, (number, operation, fd) in enumerate(syncs):
            _BLOCK.pack_into(
                self._blocks, index * _BLOCK.size,
                number, 0, 0, operation, 0, fd, 0, 0, 0, 0, _NOTIFY_EVENTFD, self._eventfd,
            )  # fmt: skip
        return max(0, int(_libc.syscall(self._submit, self._context, _COUNTS[len(syncs)], self._pointers)))

    def _reap(self) -> None:
        """Runs in the hub: wake every waiter whose last sync is done."""
        try:
            os.eventfd_read(self._eventfd)
        except BlockingIOError:
            return
        count = _AT_ONCE
        while count == _AT_ONCE:
            count = _libc.syscall(self._get, self._context, _NOW, _COUNTS[_AT_ONCE], self._events, None)
            # Waking runs other code, which may well come back here for more: all is taken out before.
            for number, _, result, _ in list(
                _EVENT.iter_unpack(ctypes.string_at(self._events, _EVENT.size * max(count, 0)))
            ):
                self._finished(number, result)

    def _finished(self, number: int, result: int) -> None:
        batch = self._batches[number]
        batch.left -= 1
        if result < 0:
            batch.code = -result
        if batch.left:
            return
        del self._batches[number]
        if batch.waiter is None:
            return
        try:
            batch.waiter.switch()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # A spawned waiter that ends with an error raises it here, in its parent. Its Task has it for whoever joins.
            _log.debug("a task ended with %r", error)


os.register_at_fork(after_in_child=_Kernel.forget)
