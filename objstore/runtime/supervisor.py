"""One parent, many children: forks every Program, restarts what dies, and leaves nothing behind.

The parent imports everything, collects and freezes the heap, then forks; pages it never writes again stay shared. It
owns the listening sockets and has no hub: one selector waits for signals, the control socket and the children's first
word.

A process is, in this order:
    starting -> ready -> (draining) -> gone        told to stop, by us
    starting | ready -> waiting -> starting        died by itself: started again after a pause that grows
    ready -> held                                  stop-node: not started again until start-node; its sockets are closed

Whatever way the parent ends, the kernel kills its children (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import gc
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objstore.runtime import process
from objstore.runtime.control import ControlServer, Message
from objstore.runtime.listen import Address, CannotListen, listen
from objstore.runtime.worker import EX_CONFIG, REFUSAL, REFUSAL_BYTES, Program, Worker

# A process that lived this long is started again at once; one that did not waits, twice as long each time.
_STEADY_S = 5.0
_PAUSE_FIRST_S = 0.1
_PAUSE_MAX_S = 5.0
_KILL_MARGIN_S = 0.2
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_log = logging.getLogger("objstore.supervisor")


class CannotStart(Exception):
    """The programs cannot be planned or bound. `lines`: one problem each, for a human."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


@dataclass(slots=True)
class _Child:
    """A program's place. While it drains after a reload, its successor has a place of its own."""

    program: Program
    state: str = "starting"
    pid: int = 0
    started_at: float = 0.0
    restarts: int = 0
    pause_s: float = 0.0
    start_at: float = 0.0
    kill_at: float = float("inf")
    ready_fd: int = -1
    is_replaced: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """title: shown in ps after role and node. grace_s: from SIGTERM to SIGKILL when everything or a node stops;
    reload_grace_s: when a process was only replaced. run_directory: of the control socket, where there is one.
    hangup_stops: SIGHUP ends everything (the terminal was closed) instead of reloading. user: whom to become when
    everything listens; '' stays who it is."""

    title: str
    grace_s: float = 1.5
    reload_grace_s: float = 30.0
    run_directory: Path | None = None
    hangup_stops: bool = False
    user: str = ""


class Supervisor:
    """Runs the programs that plan() returns until it is told to stop. plan() is called again at every reload, and
    raises CannotStart when the configuration is wrong: at a reload the old programs then stay.

    say(text): one line for the terminal. on_ready(): called once, when all programs serve. on_fork(program): called in
    every child before its program runs."""

    def __init__(
        self,
        plan: Callable[[], Sequence[Program]],
        options: Options,
        *,
        say: Callable[[str], None],
        on_ready: Callable[[], None] = lambda: None,
        on_fork: Callable[[Program], None] = lambda program: None,
    ) -> None:
        self._plan = plan
        self._options = options
        self._say = say
        self._on_ready = on_ready
        self._on_fork = on_fork
        self._children: list[_Child] = []
        self._sockets: dict[Address, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._is_stopping = False
        self._was_ready = False
        self._refusal: tuple[str, ...] = ()
        self._signal_fds: tuple[int, ...] = ()
        directory = options.run_directory
        self._control = ControlServer(directory, self._answer) if directory is not None else None
        self._answers: dict[str, Callable[[Message], Message]] = {
            "status": self._status,
            "stop": self._stop_by_message,
            "reload": self._reload_by_message,
            "stop-node": self._stop_node,
            "start-node": self._start_node,
        }

    def run(self) -> int:
        """Start everything and stay until the end; returns an exit code. Raises CannotStart when a program
        cannot be planned, bound, or refuses its configuration at the first start; then nothing runs."""
        process.raise_descriptor_limit()
        programs = list(self._plan())
        self._bind(programs)
        if self._options.user:
            try:
                process.become(self._options.user)
            except process.CannotBecome as error:
                raise CannotStart([str(error)]) from None
        self._catch_signals()
        try:
            if self._control is not None:
                self._control.open(self._selector)
            gc.collect()
            gc.freeze()
            self._children = [_Child(program) for program in programs]
            for child in list(self._children):
                self._start(child)
            self._loop()
        finally:
            self._close()
        if self._refusal:
            raise CannotStart(self._refusal)
        return 0

    # The loop

    def _loop(self) -> None:
        while self._children or not self._is_stopping:
            for key, _ in self._selector.select(self._next_deadline_s()):
                key.data()
            self._reap()
            now = time.monotonic()
            for child in list(self._children):
                if child.state == "waiting" and child.start_at <= now:
                    self._start(child)
                elif child.kill_at <= now:
                    _signal(child, signal.SIGKILL)
                    child.kill_at = float("inf")

    def _next_deadline_s(self) -> float | None:
        moments = [child.start_at for child in self._children if child.state == "waiting"]
        moments += [child.kill_at for child in self._children if child.kill_at != float("inf")]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _catch_signals(self) -> None:
        read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._signal_fds = (read_fd, write_fd)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(read_fd, selectors.EVENT_READ, self._read_signals)

    def _read_signals(self) -> None:
        received = set(os.read(self._signal_fds[0], 256))
        if signal.SIGTERM in received or signal.SIGINT in received:
            self._stop()
        elif signal.SIGHUP in received:
            if self._options.hangup_stops:
                self._stop()
            else:
                self._reload()

    # Starting

    def _bind(self, programs: Sequence[Program]) -> None:
        """Listen on every address the programs need and have not got. Raises CannotStart; then nothing was opened."""
        wanted = {address for program in programs for address in program.addresses}
        opened: dict[Address, socket.socket] = {}
        lines = []
        for address in sorted(wanted - self._sockets.keys()):
            program = next(program for program in programs if address in program.addresses)
            try:
                opened[address] = listen(address, program.backlog)
            except CannotListen as error:
                origin = program.origin
                lines.append(f"{origin}: cannot listen on {error}" if origin else f"cannot listen on {error}")
        if lines:
            for sock in opened.values():
                sock.close()
            raise CannotStart(lines)
        self._sockets.update(opened)

    def _start(self, child: _Child) -> None:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        parent_pid = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        # Until the child has handlers of its own, a signal to it would be written into the parent's pipe.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = process.fork()
        if pid == 0:
            os.close(read_fd)
            self._run_child(child.program, parent_pid, write_fd)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(write_fd)
        child.pid, child.state, child.ready_fd = pid, "starting", read_fd
        child.started_at = time.monotonic()
        self._selector.register(read_fd, selectors.EVENT_READ, lambda: self._heard_from(child))

    def _run_child(self, program: Program, parent_pid: int, ready_fd: int) -> None:
        """Everything a child does; it never returns into the parent's code."""
        code, worker = 1, None
        try:
            process.die_with_parent(parent_pid)
            process.set_title(program.role, program.node, self._options.title)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sockets = self._close_what_is_not_mine(program)
            # When everything stops, SIGKILL comes before that.
            grace_s = max(self._options.grace_s, self._options.reload_grace_s)
            worker = Worker(program, sockets, grace_s, ready_fd)
            worker.listen_for_stop()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            self._on_fork(program)
            program.run(worker)
            code = 0
        except CannotStart as error:
            code = EX_CONFIG
            for line in error.lines:
                _log.error("cannot start process=%s reason=%s", program, line)
            if worker is not None:
                worker.refuse(error.lines)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:  # The process boundary: log it and end; the parent starts another.
            _log.exception("died process=%s", program)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _close_what_is_not_mine(self, program: Program) -> dict[Address, socket.socket]:
        """Drop the parent's descriptors, so that a closed socket of the parent is closed for good."""
        self._selector.close()
        for fd in self._signal_fds:
            os.close(fd)
        if self._control is not None:
            self._control.close_descriptors()
        for child in self._children:
            if child.ready_fd >= 0:
                os.close(child.ready_fd)
        for address in self._sockets.keys() - set(program.addresses):
            self._sockets[address].close()
        return {address: self._sockets[address] for address in program.addresses}

    def _heard_from(self, child: _Child) -> None:
        """The first word of a child, or the end of its pipe when it died before that."""
        heard = os.read(child.ready_fd, len(REFUSAL) + REFUSAL_BYTES)
        self._forget_ready_fd(child)
        if not heard or child.state != "starting":
            return
        if heard.startswith(REFUSAL):
            self._refused(heard.removeprefix(REFUSAL).decode("utf-8", "replace").split("\n"))
            return
        child.state = "ready"
        if child.restarts:
            self._report(f"{child.program}: running again, pid {child.pid}")
        self._retire_replaced()
        if not self._was_ready and all(other.state == "ready" for other in self._children):
            self._was_ready = True
            process.notify_systemd("READY=1")
            self._on_ready()

    def _refused(self, lines: list[str]) -> None:
        """A program found its configuration wrong. At the first start that ends everything; at a reload, the reload;
        a process that only died is tried again."""
        replaced = [child for child in self._children if child.is_replaced]
        if not self._was_ready and not self._is_stopping:
            self._refusal = tuple(lines)
            self._stop()
        elif replaced:
            for line in lines:
                self._report(f"reload refused: {line}")
            names = {child.program.name for child in replaced}
            for child in list(self._children):
                if child.is_replaced:
                    child.is_replaced = False
                elif child.program.name in names:
                    self._drain(child, self._options.grace_s)
            process.notify_systemd("READY=1")

    def _forget_ready_fd(self, child: _Child) -> None:
        if child.ready_fd >= 0:
            self._selector.unregister(child.ready_fd)
            os.close(child.ready_fd)
            child.ready_fd = -1

    # Ends

    def _reap(self) -> None:
        for child in list(self._children):
            if not child.pid:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: _Child, code: int) -> None:
        pid, child.pid, child.kill_at = child.pid, 0, float("inf")
        self._forget_ready_fd(child)
        if child.state == "draining" or child.is_replaced or self._is_stopping:
            self._children.remove(child)
            return
        if child.state == "held":
            return
        lived_s = time.monotonic() - child.started_at
        child.pause_s = 0.0 if lived_s >= _STEADY_S else min(_PAUSE_MAX_S, max(_PAUSE_FIRST_S, child.pause_s * 2))
        child.state, child.start_at = "waiting", time.monotonic() + child.pause_s
        child.restarts += 1
        reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._report(f"{child.program}: pid {pid} died ({reason}); starting it again in {child.pause_s:g} s")

    def _stop(self) -> None:
        if self._is_stopping:
            return
        self._is_stopping = True
        process.notify_systemd("STOPPING=1")
        _log.info("stopping processes=%d", len(self._children))
        for child in list(self._children):
            self._drain(child, self._options.grace_s)

    def _drain(self, child: _Child, grace_s: float) -> None:
        """Ask a process to finish what it has; it is killed when that takes longer than the grace."""
        if not child.pid:
            self._children.remove(child)
            return
        child.state = "draining"
        child.kill_at = time.monotonic() + grace_s + _KILL_MARGIN_S
        _signal(child, signal.SIGTERM)

    # Reload: new workers from the new configuration; the old ones drain when those serve.

    def _reload(self, node: str | None = None) -> tuple[str, ...]:
        """Replace all processes, or those of one node. A configuration that is wrong leaves everything as it is: what
        is wrong with it is returned."""
        if self._is_stopping:
            return ("stopping",)
        process.notify_systemd(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            programs = [program for program in self._plan() if node in (None, program.node)]
            held = {child.program.node for child in self._children if child.state == "held"}
            self._bind([program for program in programs if program.node not in held])
        except CannotStart as error:
            for line in error.lines:
                self._report(f"reload refused: {line}")
            process.notify_systemd("READY=1")
            return error.lines
        for child in list(self._children):
            if node not in (None, child.program.node):
                continue
            if child.state in ("held", "waiting"):
                self._children.remove(child)
            elif child.state != "draining":
                child.is_replaced = True
        gc.collect()
        gc.freeze()
        fresh = [_Child(program) for program in programs]
        self._children += fresh
        for child in fresh:
            if child.program.node in held:
                child.state = "held"
            else:
                self._start(child)
        self._report("reloading the configuration")
        self._retire_replaced()
        return ()

    def _retire_replaced(self) -> None:
        """Drain the old processes as soon as every new one serves, and close sockets nobody uses any more."""
        old = [child for child in self._children if child.is_replaced and child.state != "draining"]
        new = [child for child in self._children if not child.is_replaced and child.state not in ("draining", "held")]
        if not old or any(child.state != "ready" for child in new):
            return
        for child in old:
            self._drain(child, self._options.reload_grace_s)
        self._close_unused()
        process.notify_systemd("READY=1")
        self._report("reloaded")

    def _close_unused(self) -> None:
        used = {
            address
            for child in self._children
            if child.state not in ("held", "draining")
            for address in child.program.addresses
        }
        for address in self._sockets.keys() - used:
            self._sockets.pop(address).close()

    # The control socket

    def _answer(self, message: Message) -> Message:
        handler = self._answers.get(str(message.get("do")))
        if handler is None:
            return {"ok": False, "error": f"expected one of {', '.join(self._answers)}"}
        return handler(message)

    def _status(self, message: Message) -> Message:
        rows: list[dict[str, Any]] = [
            {"pid": os.getpid(), "role": "supervisor", "node": "-", "device": "", "ports": [], "state": self._state()}
        ]
        for child in self._children:
            program = child.program
            rows.append(
                {
                    "pid": child.pid or None,
                    "role": program.role,
                    "node": program.node,
                    "device": program.device,
                    "ports": [port for _, port in program.addresses],
                    "state": child.state,
                    "worker": program.index,
                    "restarts": child.restarts,
                }
            )
        return {"ok": True, "directory": self._options.title, "state": self._state(), "processes": rows}

    def _state(self) -> str:
        if self._is_stopping:
            return "stopping"
        running = [child for child in self._children if child.state not in ("held", "draining")]
        return "ready" if all(child.state == "ready" for child in running) else "starting"

    def _stop_by_message(self, message: Message) -> Message:
        self._stop()
        return {"ok": True, "pid": os.getpid()}

    def _reload_by_message(self, message: Message) -> Message:
        """With "node": only the processes of that node; the proxy's is "-"."""
        wrong = self._reload(message.get("node"))
        return {"ok": False, "error": "; ".join(wrong)} if wrong else {"ok": True}

    def _stop_node(self, message: Message) -> Message:
        """Hold a node down: its processes end (kill: by SIGKILL) and its ports refuse connections."""
        node = str(message.get("node"))
        children = [child for child in self._children if child.program.node == node and child.state != "draining"]
        if not children or node == "-":
            return {"ok": False, "error": f"no node {node!r}; there are {', '.join(self._nodes())}"}
        for child in children:
            child.state = "held"
            if child.pid and message.get("kill"):
                _signal(child, signal.SIGKILL)
            elif child.pid:
                _signal(child, signal.SIGTERM)
                child.kill_at = time.monotonic() + self._options.grace_s + _KILL_MARGIN_S
        self._close_unused()
        self._report(f"node {node}: {'killed' if message.get('kill') else 'stopped'}, held down until it is started")
        return {"ok": True, "pids": [child.pid for child in children if child.pid]}

    def _start_node(self, message: Message) -> Message:
        node = str(message.get("node"))
        held = [child for child in self._children if child.program.node == node and child.state == "held"]
        if not held:
            return {"ok": False, "error": f"node {node!r} is not held down"}
        if any(child.pid for child in held):
            return {"ok": False, "error": f"node {node!r} is still stopping"}
        try:
            self._bind([child.program for child in held])
        except CannotStart as error:
            return {"ok": False, "error": "; ".join(error.lines)}
        for child in held:
            self._start(child)
        self._report(f"node {node}: started")
        return {"ok": True}

    def _nodes(self) -> list[str]:
        return sorted({child.program.node for child in self._children} - {"-"})

    def _report(self, text: str) -> None:
        _log.warning("%s", text)
        self._say(text)

    def _close(self) -> None:
        """At the end nothing of ours is left, even when the loop broke: children are killed, sockets closed."""
        for child in self._children:
            _signal(child, signal.SIGKILL)
        for child in self._children:
            if child.pid:
                os.waitpid(child.pid, 0)
        if self._control is not None:
            self._control.close()
        for sock in self._sockets.values():
            sock.close()
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for fd in self._signal_fds:
            os.close(fd)


def _signal(child: _Child, number: signal.Signals) -> None:
    """Only ever to a process that we forked and have not reaped, so its pid is still its own."""
    if child.pid:
        os.kill(child.pid, number)
