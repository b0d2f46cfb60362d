"""Green threads: the only module that knows eventlet, so that it can be replaced.

One hub per process, started by the first wait; never fork after that. Sockets are plain non-blocking ones: code waits
for a descriptor here and then calls recv or send itself. Blocking disk work that can stall goes through a ThreadPool of
native threads; what runs there returns a value, and neither logs nor touches green primitives (they would deadlock on
each other's locks).

Every wait takes a deadline or belongs to a greenlet that its owner kills.
"""

from __future__ import annotations

import collections
import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable

# By name, and now: patch_sockets() swaps the module's own for a pure Python one that costs ten times as much.
from queue import SimpleQueue
from typing import Any, Generic, ParamSpec, TypeVar, cast

# Names are resolved in native threads (http/connecting.py): without eventlet's own resolver a process is 9 MB smaller.
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
with warnings.catch_warnings():
    # eventlet announces its retirement at every import; the decision stands in doc/decisions/.
    warnings.simplefilter("ignore")
    import eventlet
    import eventlet.hubs
    import eventlet.patcher
    from eventlet.event import Event as _Event
    from eventlet.hubs.hub import READ, WRITE
    from eventlet.queue import Empty, LightQueue
    from eventlet.semaphore import Semaphore
    from greenlet import GreenletExit, getcurrent

__all__ = [
    "Empty",
    "Future",
    "GreenletExit",
    "Job",
    "Queue",
    "Semaphore",
    "Task",
    "ThreadPool",
    "TimedOut",
    "call_after",
    "current",
    "deadline",
    "on_readable",
    "park",
    "patch_sockets",
    "sleep",
    "spawn",
    "wait_any",
    "wait_readable",
    "wait_writable",
]

P = ParamSpec("P")
T = TypeVar("T")
Queue = LightQueue
_log = logging.getLogger("objstore.green")


class TimedOut(Exception):
    """A wait passed its deadline."""


def patch_sockets() -> None:
    """Make the standard library's socket and select green, for libraries that bring their own I/O. Once, at boot.

    Threads stay native: patched locks and native threads deadlock each other in logging.
    """
    if not eventlet.patcher.is_monkey_patched("socket"):
        eventlet.monkey_patch(all=False, socket=True, select=True)


def sleep(seconds: float = 0) -> None:
    """Let others run for `seconds`; 0 lets everybody who is ready run once."""
    eventlet.sleep(seconds)


class Task:
    """A spawned green thread. Its owner joins or kills it; an unexpected exception is logged, not lost."""

    __slots__ = ("_thread",)

    def __init__(self, thread: Any) -> None:
        self._thread = thread

    def join(self) -> Any:
        """Wait for the end; returns the function's value or raises what it raised."""
        return self._thread.wait()

    def kill(self) -> None:
        self._thread.kill()

    @property
    def is_done(self) -> bool:
        return bool(self._thread.dead)


def spawn(function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Task:
    """Run a function in a green thread of its own."""
    return Task(eventlet.spawn(function, *args, **kwargs))


def call_after(seconds: float, function: Callable[[], Any]) -> Callable[[], None]:
    """Call a function that never waits, from the hub, after a delay. Returns what cancels it."""
    timer = eventlet.hubs.get_hub().schedule_call_global(seconds, function)
    cancel: Callable[[], None] = timer.cancel
    return cancel


class Future:
    """A value that one green thread sets and others wait for. Set once."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = _Event()

    def set(self, value: Any = None) -> None:
        self._event.send(value)

    def fail(self, error: BaseException) -> None:
        self._event.send_exception(error)

    @property
    def is_set(self) -> bool:
        return bool(self._event.ready())

    def wait(self, timeout_s: float | None = None) -> Any:
        """The value, or the error it failed with. Raises TimedOut."""
        if timeout_s is None or self._event.ready():
            return self._event.wait()
        with deadline(timeout_s):
            return self._event.wait()


class deadline:
    """with deadline(2.5): raises TimedOut inside the block after that many seconds. None: no deadline.

    It costs a timer: where a watchdog already bounds the wait, do without.
    """

    __slots__ = ("_seconds", "_cancel", "_owner")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._cancel: Callable[[], None] | None = None

    def __enter__(self) -> deadline:
        if self._seconds is not None:
            owner = getcurrent()
            self._cancel = call_after(self._seconds, lambda: owner.throw(TimedOut()))
        return self

    def __exit__(self, *_: object) -> None:
        if self._cancel is not None:
            self._cancel()


def wait_readable(fd: int, timeout_s: float | None = None) -> None:
    """Until a descriptor has something to read, or is closed by its peer. Raises TimedOut."""
    eventlet.hubs.trampoline(fd, read=True, timeout=timeout_s, timeout_exc=TimedOut)


def wait_writable(fd: int, timeout_s: float | None = None) -> None:
    """Until a descriptor takes more bytes. Raises TimedOut."""
    eventlet.hubs.trampoline(fd, write=True, timeout=timeout_s, timeout_exc=TimedOut)


WatchedWait = Callable[[tuple[int, ...], tuple[int, ...], float | None], bool | None]
_wait_watched: WatchedWait | None = None


def set_watched_wait(wait: WatchedWait) -> None:
    """A cheaper wait_any for descriptors that are watched already; it returns None when some are not. By watch.py."""
    global _wait_watched
    _wait_watched = wait


def wait_any(readable: Iterable[int], writable: Iterable[int] = (), timeout_s: float | None = None) -> bool:
    """Until one of many descriptors is ready; False when timeout_s passed first. One green thread, many peers.

    Which one is ready is for the caller to find by trying: its sockets are non-blocking.
    """
    readable, writable = tuple(readable), tuple(writable)
    if _wait_watched is not None:
        is_ready = _wait_watched(readable, writable, timeout_s)
        if is_ready is not None:
            return is_ready
    hub = eventlet.hubs.get_hub()
    current = getcurrent()
    assert hub.greenlet is not current, "the hub may not wait"

    is_waiting = True

    def wake(_: object = None) -> None:
        # The hub calls every listener of one poll, those removed meanwhile too: this green thread may have gone on.
        if is_waiting:
            current.switch(True)

    listeners: list[Any] = []
    timer = None
    try:
        for kind, descriptors in ((READ, readable), (WRITE, writable)):
            for fd in descriptors:
                listeners.append(hub.add(kind, fd, wake, current.throw, lambda: None))
        if timeout_s is not None:
            timer = hub.schedule_call_global(timeout_s, current.switch, False)
        return bool(hub.switch())
    finally:
        is_waiting = False
        for listener in listeners:
            hub.remove(listener)
        if timer is not None:
            timer.cancel()


def current() -> Any:
    """The running green thread, to be switched to from the hub: what park() waits for."""
    return getcurrent()


def park() -> Any:
    """Run others until something in the hub switches back to this green thread; returns what it was given.

    Whoever parks has said where it waits (runtime/watch.py), or nobody will ever wake it.
    """
    hub = eventlet.hubs.get_hub()
    loop = hub.greenlet
    if getcurrent().parent is loop and not loop.dead:
        # All that the hub's own switch() makes sure of, for a fifth of its price: a write parks some twenty times.
        return loop.switch()
    return hub.switch()


def on_readable(fd: int, callback: Callable[[], None]) -> Callable[[], None]:
    """Call a function that never waits, from the hub, whenever a descriptor is readable (level-triggered).

    Returns what ends it; that must be called before the descriptor is closed.
    """

    def call(_: object) -> None:
        # The hub drops a listener that raises: nobody would hear of this descriptor again.
        try:
            callback()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            _log.exception("fd=%d: a callback failed", fd)

    hub = eventlet.hubs.get_hub()
    listener = hub.add(READ, fd, call, lambda *_: None, lambda: None)
    return lambda: hub.remove(listener)


class Job(Generic[T]):
    """A function that a native thread runs. Its owner joins it; one that nobody joins runs to its end all the same."""

    __slots__ = ("_function", "_args", "_pool", "_waiter", "_value", "_error", "is_done")

    def __init__(self, pool: ThreadPool, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self._pool = pool
        self._function = function
        self._args = args
        self._waiter: Any = None
        self._value: Any = None
        self._error: BaseException | None = None
        self.is_done = False

    def join(self) -> T:
        """Wait (green) for the end; returns or raises what the function does."""
        if not self.is_done:
            self._waiter = getcurrent()
            try:
                eventlet.hubs.get_hub().switch()
            finally:
                self._waiter = None
        if self._error is not None:
            raise self._error
        return cast(T, self._value)

    def run(self) -> None:
        """Runs in the native thread."""
        try:
            self._value = self._function(*self._args)
        except BaseException as error:  # Carried to whoever joins, whatever it is.
            self._error = error

    def ended(self) -> None:
        """Runs in the hub's thread."""
        self.is_done = True
        self._pool.busy -= 1
        if self._waiter is not None:
            self._waiter.switch()


class ThreadPool:
    """A bounded pool of native threads for disk work that can stall: one per device, so that a slow disk stops
    only its own requests. Threads start at first use, hence after any fork. busy: jobs that have not ended."""

    def __init__(self, size: int) -> None:
        assert size > 0
        self._size = size
        self._jobs: SimpleQueue[Job[Any]] = SimpleQueue()
        self._started = 0
        self.busy = 0

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a native thread and wait for it (green). Returns or raises what it does.

        Whoever is killed meanwhile leaves it running; what comes of it is dropped."""
        return self.start(function, *args, **kwargs).join()

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        """As run(), without waiting yet."""
        assert not kwargs, "positional arguments only"
        waker = _Waker.of_this_process()
        if self.busy >= self._started and self._started < self._size:
            self._started += 1
            threading.Thread(target=self._work, args=(waker,), daemon=True).start()
        job = Job(self, function, args)
        self.busy += 1
        self._jobs.put(job)
        return job

    def _work(self, waker: _Waker) -> None:
        while True:
            job = self._jobs.get()
            job.run()
            waker.finished(job)
            del job


class _Waker:
    """Brings finished jobs back to the hub's thread through one eventfd per process."""

    _instance: _Waker | None = None

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._done: collections.deque[Job[Any]] = collections.deque()
        self.pid = os.getpid()
        eventlet.hubs.get_hub().add(READ, self._fd, self._wake, self._throw, lambda: None)

    @classmethod
    def of_this_process(cls) -> _Waker:
        if cls._instance is None or cls._instance.pid != os.getpid():
            cls._instance = cls()
        return cls._instance

    def finished(self, job: Job[Any]) -> None:
        self._done.append(job)
        os.eventfd_write(self._fd, 1)

    def _wake(self, _: object) -> None:
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            return
        while self._done:
            try:
                self._done.popleft().ended()
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                # A spawned waiter that ends with an error raises it here, in its parent. Its Task has it for
                # whoever joins; if it left this callback the hub would drop our eventfd, and every pool with it.
                _log.debug("a task ended with %r", error)

    def _throw(self, *_: object) -> None:
        _log.error("the thread pool's eventfd was closed by somebody else")


monotonic = time.monotonic
