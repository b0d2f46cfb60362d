"""The machine a simulation runs on: time that moves only when everybody waits, one thread, chance by seed, processes.

install() must run before anything of objstore is imported, in a process that does nothing else: it replaces the clock
of the `time` module, eventlet's hub, the sources of chance, native threads and the file system of servers. What runs
on it is objstore as it is.

    time      seconds of the hub; a wait costs nothing. Wall time is EPOCH_S + seconds + the skew of the process
    threads   a job of a ThreadPool is a green thread that starts a little later: one at a time, like everything here
    chance    random, os.urandom and uuid4 draw from one generator; equal timers fire in the order they were set
    process   who is running: green threads belong to the Process that spawned them, and end with it
"""

from __future__ import annotations

import gc
import os
import random
import sys
import tempfile
import time
import traceback
import uuid
import warnings
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet announces its retirement (objstore/runtime/green.py).
    import eventlet
    import eventlet.event
    import eventlet.hubs
    from eventlet.hubs import epolls, timer
    from greenlet import GreenletExit, getcurrent, greenlet

EPOCH_S = 1_600_000_000
"""Before any real modification time, so that no file looks old."""
SECONDS_AT_MOST = 200_000.0
"""Of simulated time: far more than any run needs."""


class Stuck(BaseException):
    """Nobody will ever run again, or time ran out: a bug of what is simulated, or of the simulation."""


class Ended(BaseException):
    """Raised at the next effect of a process that was killed. Nothing may catch it and clean up as if it lived on."""


class Process:
    """One process of the simulated cluster. node: what it runs on, None for none."""

    def __init__(self, name: str, node: Any = None, skew_s: float = 0.0) -> None:
        self.name = name
        self.node = node
        self.skew_s = skew_s
        self.is_alive = True
        self._threads: list[weakref.ref[Any]] = []
        self._callers: dict[Any, None] = {}

    def adopt(self, thread: Any) -> None:
        if len(self._threads) > 512:
            self._threads = [each for each in self._threads if (found := each()) is not None and not found.dead]
        thread.process = self
        self._threads.append(weakref.ref(thread))

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function as this process does, in a green thread of its own; what it returns or raises. Raises Ended
        when the process is killed meanwhile."""
        done = eventlet.event.Event()

        def work() -> None:
            try:
                value = function(*args)
            except BaseException as error:  # Carried to the caller, whatever it is.
                if self.is_alive:
                    done.send_exception(error)
            else:
                if self.is_alive:
                    done.send(value)

        self._callers[done] = None
        self.spawn(work)
        try:
            return done.wait()
        finally:
            del self._callers[done]

    def spawn(self, function: Callable[..., Any], *args: Any) -> Any:
        thread = _spawn(function, *args)
        self.adopt(thread)
        return thread

    def kill(self) -> None:
        """As kill -9: whatever it was about to do on disk is not done any more. Waits until its threads are gone."""
        self.is_alive = False
        own = getcurrent()
        for each in self._threads:
            thread = each()
            if thread is not None and not thread.dead and thread is not own:
                HOST.hub.schedule_plainly(0, _throw, thread)
        self._threads = []
        for _ in range(3):
            eventlet.sleep(0)
        for done in self._callers:
            if not done.ready():
                done.send_exception(Ended(self.name))


def _throw(thread: Any) -> None:
    try:
        thread.throw(GreenletExit)
    except BaseException:  # Whatever a killed process thinks of it.
        return


class SimHub(epolls.Hub):
    """eventlet's hub over simulated time. process: on whose behalf a callback of the hub runs."""

    def __init__(self, clock: Any = None) -> None:
        super().__init__(lambda: HOST.now_s)
        self.process: Process | None = None
        self._order = 0
        self._idle_turns = 0

    def add_timer(self, added: timer.Timer) -> float:
        self._order += 1
        added.order = self._order
        return super().add_timer(added)

    def schedule_plainly(self, seconds: float, function: Callable[..., Any], *args: Any) -> timer.Timer:
        return super().schedule_call_global(seconds, function, *args)

    def schedule_call_global(self, seconds: float, cb: Callable[..., Any], *args: Any, **kw: Any) -> timer.Timer:
        process = current_process()
        if process is None:
            return super().schedule_call_global(seconds, cb, *args, **kw)
        return super().schedule_call_global(seconds, self._on_behalf, process, cb, args, kw)

    def _on_behalf(self, process: Process, cb: Callable[..., Any], args: Any, kw: Any) -> None:
        if not process.is_alive:
            return
        before, self.process = self.process, process
        try:
            cb(*args, **kw)
        finally:
            self.process = before

    def wait(self, seconds: float | None = None) -> None:
        """Deliver what is ready; only when nothing is, time goes on to the next timer."""
        ready = self.poll.poll(0)
        if not ready:
            self._advance(seconds)
            return
        self._idle_turns = 0
        found: dict[tuple[int, str], None] = {}
        for fd, events in ready:
            if events & (self.READ_MASK | self.EXC_MASK):
                found[fd, self.READ] = None
            if events & (self.WRITE_MASK | self.EXC_MASK):
                found[fd, self.WRITE] = None
        listeners = [self.listeners[kind].get(fd) for fd, kind in found]
        for listener in listeners:
            if listener is not None:
                try:
                    listener.cb(listener.fileno)
                except Exception:
                    self.squelch_exception(listener.fileno, sys.exc_info())

    def _advance(self, seconds: float | None) -> None:
        if not seconds:
            return
        if not self.timers and not self.next_timers:
            self._idle_turns += 1
            if self._idle_turns > 3:
                raise Stuck("everybody waits, and no timer is set")
        HOST.now_s += seconds
        if HOST.now_s > SECONDS_AT_MOST:
            raise Stuck(f"{HOST.now_s:.0f} simulated seconds have passed")


class _Host:
    """now_s: simulated monotonic seconds. random: all chance of a run comes from here."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.random = random.Random(0)
        self.trace: Callable[[str], None] = lambda text: None
        self.threads_latency_s = (0.0, 0.0, 0.0004, 0.003)

    @property
    def hub(self) -> SimHub:
        return eventlet.hubs.get_hub()

    def begin(self, seed: int) -> None:
        """A fresh machine. Once per (forked) process."""
        self.now_s = 1000.0
        self.random = _Random(seed)
        random.seed(self.random.getrandbits(64))
        eventlet.hubs.use_hub(SimHub)


HOST = _Host()
_Random, _spawn = random.Random, eventlet.spawn


def where_everybody_waits() -> str:
    """The stacks of all green threads."""
    found = [each for each in gc.get_objects() if isinstance(each, greenlet) and each.gr_frame is not None]
    return "\n".join(
        f"{getattr(each.__dict__.get('process'), 'name', each)}\n{''.join(traceback.format_stack(each.gr_frame)[-7:])}"
        for each in found
    )


def out_of_time(_: int, frame: Any) -> None:
    """A signal handler: the run takes too long, in real time."""
    stack = "".join(traceback.format_stack(frame)[-12:])
    raise Stuck(f"too long at {HOST.now_s:.5f}: this loops, or does too much:\n{stack}")


def current_process() -> Process | None:
    """Whose turn it is."""
    thread = getcurrent()
    process = thread.__dict__.get("process")
    if process is not None:
        return process
    hub = HOST.hub
    return hub.process if thread is hub.greenlet else None


def acting() -> Process | None:
    """As current_process, for who is about to have an effect. Raises Ended when it was killed."""
    process = current_process()
    if process is not None and not process.is_alive:
        raise Ended(process.name)
    return process


def _spawned(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    process = acting()
    thread = _spawn(function, *args, **kwargs)
    if process is not None:
        process.adopt(thread)
    return thread


def _wall_s() -> float:
    process = current_process()
    return EPOCH_S + HOST.now_s + (process.skew_s if process is not None else 0.0)


class _SeededRandom(random.Random):
    """Without a seed of its own: one drawn from the host."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(HOST.random.getrandbits(64) if seed is None else seed)


def install() -> None:
    """Once, before objstore is imported."""
    assert not any(name.startswith("objstore") for name in sys.modules), "objstore has seen the real machine"
    time.monotonic = lambda: HOST.now_s
    time.monotonic_ns = lambda: int(HOST.now_s * 1e9)
    time.time = _wall_s
    time.time_ns = lambda: int(_wall_s() * 1e9)
    time.sleep = eventlet.sleep
    os.urandom = lambda count: HOST.random.randbytes(count)
    random._urandom = os.urandom
    random.Random = _SeededRandom
    tempfile._Random = _SeededRandom
    uuid.uuid4 = lambda: uuid.UUID(bytes=HOST.random.randbytes(16), version=4)
    os.getpid = lambda: 4711
    timer.Timer.__lt__ = lambda one, other: one.order < other.order
    eventlet.spawn = _spawned
    _install_boots()
    _install_threads()
    _install_sweeps()
    _install_addresses()
    _install_files()
    _install_looks()


def _install_boots() -> None:
    from objstore.storage import untold

    def boot_id() -> str:
        process = current_process()
        return f"{process.node.name}#{process.node.boots}" if process is not None else ""

    untold.boot_id = boot_id


def _install_threads() -> None:
    from objstore.runtime import green

    def start(pool: Any, function: Callable[..., Any], *args: Any) -> Any:
        job = green.Job(pool, function, args)
        pool.busy += 1

        def work() -> None:
            job.run()
            HOST.hub.schedule_call_global(0, job.ended)

        def begin() -> None:
            _spawned(work)

        HOST.hub.schedule_call_global(HOST.random.choice(HOST.threads_latency_s), begin)
        return job

    green.ThreadPool.start = start


def _install_sweeps() -> None:
    """All processes share one reactor here: its sweep must outlive whoever happened to set it."""
    from objstore.runtime import watch

    def sweep_at(reactor: Any, deadline: float) -> None:
        if reactor._cancel_sweep is not None:
            reactor._cancel_sweep()
        reactor.next_sweep = deadline
        set_for = HOST.hub.schedule_plainly(max(0.0, deadline - HOST.now_s), reactor._sweep)
        reactor._cancel_sweep = set_for.cancel

    watch._Reactor.sweep_at = sweep_at


def _install_addresses() -> None:
    from objstore.runtime import netinfo

    def addresses() -> list[str]:
        process = current_process()
        return [process.node.ip] if process is not None and process.node is not None else []

    netinfo.netifaces = None
    netinfo._from_kernel = addresses


def _install_files() -> None:
    from objstore.runtime import fs
    from tests.sim.disk import SimFs

    class Anywhere(SimFs):
        def __init__(self, sleep: Any = None) -> None:
            super().__init__()

    fs.Fs = Anywhere
    from objstore.runtime import green_fs

    green_fs.GreenFs = Anywhere


def _install_looks() -> None:
    """Files have the real machine's modification times. A pass that remembers how databases stood is shown what is in
    them instead, and when it first saw that."""
    from objstore.container.passes import seen

    plain = seen.look
    first_seen_ns: dict[tuple[str, Any], int] = {}

    def look(location: Any) -> Any:
        found = plain(location)
        if found is None:
            return None
        paths = [*location.files(), location.pending_path]
        files = tuple((path, 0, zlib.crc32(Path(path).read_bytes())) for path in paths if os.path.exists(path))
        newest_ns = first_seen_ns.setdefault((location.directory, files), int(_wall_s() * 1e9))
        return seen.Look(files, newest_ns)

    seen.look = look
