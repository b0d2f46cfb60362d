"""Watches: cheap waiting for sockets that live long. One epoll registration per socket, no timer per wait.

eventlet's trampoline makes a listener, two epoll_ctl calls and a timer for every wait. A Watch registers its socket
once, edge-triggered, with an epoll of ours that the hub sees as one readable descriptor; a wait notes who waits and
until when. One sweep per process, due when the earliest deadline is, wakes those whose time is over.

The rule that edge triggering asks for: try first, wait only for what would block, then try again. A wake-up may be
false: an edge that came while nobody waited is kept and ends the next wait at once.
"""

from __future__ import annotations

import logging
import math
import os
import select
from collections.abc import Callable, Iterable, Sequence
from select import epoll, poll  # Taken now: green.patch_sockets() removes them from the module.
from typing import Protocol

from objstore.runtime import green
from objstore.runtime.green import TimedOut

__all__ = ["Watch", "compact", "wait_any_readable"]

SWEEP_S = 0.1
"""Deadlines are kept to this grain."""

_EVENTS_AT_ONCE = 512
_HANG_UP_EVENTS = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_READ_EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_WRITE_EVENTS = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
_NEVER = math.inf
_log = logging.getLogger("objstore.watch")


class Waiter(Protocol):
    """A green thread, or anything that acts like one when the hub wakes it. Neither call may wait."""

    def switch(self) -> object: ...

    def throw(self, error: BaseException) -> object: ...


class Watch:
    """The readiness of one socket or pipe. One waiter per direction. Close it before the descriptor.

    is_readable, is_writable: an edge that came while nobody waited. has_hung_up: the peer will send no more.
    """

    __slots__ = (
        "fd",
        "reader",
        "read_deadline",
        "is_readable",
        "writer",
        "write_deadline",
        "is_writable",
        "has_hung_up",
        "_reactor",
    )

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.reader: Waiter | None = None
        self.read_deadline = _NEVER
        self.is_readable = False
        self.writer: Waiter | None = None
        self.write_deadline = _NEVER
        self.is_writable = False
        self.has_hung_up = False
        self._reactor = _Reactor.of_this_process()
        self._reactor.add(self)

    def wait_readable(self, deadline: float = _NEVER) -> None:
        """After a read that would have blocked. deadline: monotonic seconds. Raises TimedOut."""
        if self.is_readable:
            self.is_readable = False
            return
        assert self.reader is None, "two green threads read one socket"
        self.reader = green.current()
        self._expect_read(deadline)
        try:
            green.park()
        finally:
            self.reader = None
            self.read_deadline = _NEVER

    def wait_writable(self, deadline: float = _NEVER) -> None:
        """After a write that would have blocked. deadline: monotonic seconds. Raises TimedOut."""
        if self.is_writable:
            self.is_writable = False
            return
        assert self.writer is None, "two green threads write one socket"
        self.writer = green.current()
        self.write_deadline = deadline
        if deadline < self._reactor.next_sweep:
            self._reactor.sweep_at(deadline)
        try:
            green.park()
        finally:
            self.writer = None
            self.write_deadline = _NEVER

    @property
    def is_quiet(self) -> bool:
        """Nothing has come, and nobody hung up, since the last wait: whatever comes next makes an edge."""
        return not self.is_readable and not self.has_hung_up

    def when_readable(self, waiter: Waiter, deadline: float = _NEVER) -> None:
        """Have a waiter's switch() called once from the hub at the next edge, or its throw() at the deadline.

        An edge that was kept does not count: the caller has just tried, or does not mind to be told late.
        """
        self.is_readable = False
        self.reader = waiter
        self._expect_read(deadline)

    def _expect_read(self, deadline: float) -> None:
        self.read_deadline = deadline
        if deadline < self._reactor.next_sweep:
            self._reactor.sweep_at(deadline)

    def forget_reader(self) -> None:
        """Take back when_readable()."""
        self.reader = None
        self.read_deadline = _NEVER

    def close(self) -> None:
        """Stop watching; who still waits is woken and will find the descriptor closed."""
        self._reactor.remove(self)
        for waiter in (self.reader, self.writer):
            if waiter is not None:
                green.call_after(0, waiter.switch)
        self.reader = self.writer = None


def wait_any_readable(watches: Sequence[Watch], deadline: float) -> bool:
    """As Watch.wait_readable, for whichever is first: afterwards is_readable says which. False at the deadline."""
    for watch in watches:
        if watch.is_readable:
            return True
    current = green.current()
    for watch in watches:
        assert watch.reader is None, "two green threads read one socket"
        watch.reader = current
    watches[0]._expect_read(deadline)
    try:
        green.park()
        return True
    except TimedOut:
        return False
    finally:
        for watch in watches:
            if watch.reader is current:
                watch.reader = None
            else:
                watch.is_readable = True
            watch.read_deadline = _NEVER


def compact() -> None:
    """Give back the room that the table of watches took for a crowd that has gone. In the hub, from a timer."""
    _Reactor.of_this_process().compact()


class _Reactor:
    """The epoll of this process, and the one sweep over all deadlines."""

    _instance: _Reactor | None = None

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.next_sweep = _NEVER
        self._cancel_sweep: Callable[[], None] | None = None
        self._watches: dict[int, Watch] = {}
        self._epoll = epoll()
        green.on_readable(self._epoll.fileno(), self._dispatch)

    @classmethod
    def of_this_process(cls) -> _Reactor:
        instance = cls._instance
        if instance is None or instance.pid != os.getpid():
            instance = cls._instance = cls()
        return instance

    def add(self, watch: Watch) -> None:
        self._epoll.register(watch.fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
        self._watches[watch.fd] = watch

    def remove(self, watch: Watch) -> None:
        if self._watches.get(watch.fd) is watch:
            del self._watches[watch.fd]
            self._epoll.unregister(watch.fd)

    def compact(self) -> None:
        self._watches = dict(self._watches)

    def _dispatch(self) -> None:
        watches = self._watches
        for fd, events in self._epoll.poll(0, _EVENTS_AT_ONCE):
            watch = watches.get(fd)
            if watch is None:
                continue
            if events & _HANG_UP_EVENTS:
                watch.has_hung_up = True
            if events & _READ_EVENTS:
                reader = watch.reader
                if reader is None:
                    watch.is_readable = True
                else:
                    watch.reader = None
                    watch.read_deadline = _NEVER
                    self._wake(reader)
            if events & _WRITE_EVENTS:
                writer = watch.writer
                if writer is None:
                    watch.is_writable = True
                else:
                    watch.writer = None
                    watch.write_deadline = _NEVER
                    self._wake(writer)

    def _wake(self, waiter: Waiter) -> None:
        # What a green thread dies of comes out here, in the hub. It must not cost the others their edges: the hub drops
        # the listener that raises, and that one is everybody's. (GreenletExit, eventlet's Timeout are no Exceptions.)
        try:
            waiter.switch()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            _log.exception("a green thread failed")

    def sweep_at(self, deadline: float) -> None:
        """Have the sweep run at a time earlier than the one it is due."""
        if self._cancel_sweep is not None:
            self._cancel_sweep()
        self.next_sweep = deadline
        self._cancel_sweep = green.call_after(max(0.0, deadline - green.monotonic()), self._sweep)

    def _sweep(self) -> None:
        now = green.monotonic()
        self._cancel_sweep = None
        self.next_sweep = earliest = _NEVER
        late: list[tuple[Watch, bool]] = []
        for watch in self._watches.values():
            if watch.read_deadline <= now:
                late.append((watch, True))
            elif watch.read_deadline < earliest:
                earliest = watch.read_deadline
            if watch.write_deadline <= now:
                late.append((watch, False))
            elif watch.write_deadline < earliest:
                earliest = watch.write_deadline
        if earliest < _NEVER:
            self.sweep_at(max(earliest, now + SWEEP_S))
        for watch, is_read in late:
            self._expire(watch, is_read, now)

    def _expire(self, watch: Watch, is_read: bool, now: float) -> None:
        # Who was woken just before may have ended this wait, or begun another with a deadline of its own.
        waiter = watch.reader if is_read else watch.writer
        if waiter is None or (watch.read_deadline if is_read else watch.write_deadline) > now:
            return
        if is_read:
            watch.reader = None
            watch.read_deadline = _NEVER
        else:
            watch.writer = None
            watch.write_deadline = _NEVER
        try:
            waiter.throw(TimedOut())
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            _log.exception("a green thread failed")

    def wait_any(self, readable: tuple[int, ...], writable: tuple[int, ...], timeout_s: float | None) -> bool | None:
        """green.wait_any without registering anything; None when a descriptor is not watched."""
        watches = self._watches
        try:
            readers = [watches[fd] for fd in readable]
            writers = [watches[fd] for fd in writable]
        except KeyError:
            return None
        if not readers and not writers:
            return None
        if _are_ready(readable, writable):
            _mark_readable(readers)
            return True
        current = green.current()
        for reader in readers:
            assert reader.reader is None, "two green threads read one socket"
        for writer in writers:
            assert writer.writer is None, "two green threads write one socket"
        for reader in readers:
            reader.reader = current
        for writer in writers:
            writer.writer = current
        if timeout_s is not None:
            self._expect((readers or writers)[0], bool(readers), green.monotonic() + timeout_s)
        try:
            green.park()
            _mark_readable(readers)
            return True
        except TimedOut:
            return False
        finally:
            for reader in readers:
                if reader.reader is current:
                    reader.reader = None
                reader.read_deadline = _NEVER
            for writer in writers:
                if writer.writer is current:
                    writer.writer = None
                writer.write_deadline = _NEVER

    def _expect(self, watch: Watch, is_read: bool, deadline: float) -> None:
        if is_read:
            watch.read_deadline = deadline
        else:
            watch.write_deadline = deadline
        if deadline < self.next_sweep:
            self.sweep_at(deadline)


def _mark_readable(watches: Iterable[Watch]) -> None:
    """Which of them it is, is for their readers to find: none of them may believe that nothing has come."""
    for watch in watches:
        watch.is_readable = True


def _are_ready(readable: tuple[int, ...], writable: tuple[int, ...]) -> bool:
    """Asked before waiting for edges: what was ready already makes none."""
    events = dict.fromkeys(readable, select.POLLIN)
    for fd in writable:
        events[fd] = events.get(fd, 0) | select.POLLOUT
    probe = poll()
    for fd, mask in events.items():
        probe.register(fd, mask)
    return bool(probe.poll(0))


def _wait_watched(readable: tuple[int, ...], writable: tuple[int, ...], timeout_s: float | None) -> bool | None:
    if timeout_s is not None and timeout_s < 2 * SWEEP_S:
        # A short wait wants a finer grain than the sweep's.
        return None
    return _Reactor.of_this_process().wait_any(readable, writable, timeout_s)


green.set_watched_wait(_wait_watched)
