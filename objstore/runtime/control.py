"""The supervisor's control socket: one JSON object per line, asked and answered, on a UNIX socket of mode 0600.

    {"do": "status"}                            -> {"ok": true, …}
    {"do": "stop"} {"do": "reload"}
    {"do": "stop-node", "node": "n2", "kill": true}   {"do": "start-node", "node": "n2"}
    what cannot be done                         -> {"ok": false, "error": "why"}

Paths go through /proc/self/fd: the address of a UNIX socket holds 107 bytes, and a directory's name may be longer.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SOCKET_NAME = "control.sock"
_LINE_LIMIT = 64 << 10
_CONNECTIONS_MAX = 16
_CREDENTIALS = struct.Struct("3i")
Message = dict[str, Any]


class NotRunning(Exception):
    """Nobody answers on the control socket of a directory."""


class ControlServer:
    """The supervisor's end, driven by its selector: nothing here waits."""

    def __init__(self, directory: Path, answer: Callable[[Message], Message]) -> None:
        self._directory = directory
        self._answer = answer
        self._listener: socket.socket | None = None
        self._received: dict[socket.socket, bytes] = {}

    def open(self, selector: selectors.BaseSelector) -> None:
        """Listen. The caller holds the directory's lock: a socket that is there belongs to nobody."""
        self._selector = selector
        (self._directory / SOCKET_NAME).unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            with _short(self._directory) as path:
                sock.bind(path)
        finally:
            os.umask(mask)
        sock.listen(_CONNECTIONS_MAX)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, self._accept)
        self._listener = sock

    def close(self) -> None:
        """Stop listening and remove the socket; also what a forked child calls, with unlink done by nobody."""
        self.close_descriptors()
        (self._directory / SOCKET_NAME).unlink(missing_ok=True)

    def close_descriptors(self) -> None:
        for sock in (*self._received, *([self._listener] if self._listener else [])):
            sock.close()
        self._received.clear()
        self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        if len(self._received) >= _CONNECTIONS_MAX or not _is_owner(sock):
            sock.close()
            return
        sock.setblocking(False)
        self._received[sock] = b""
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._receive(sock))

    def _receive(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_LINE_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        lines = (self._received[sock] + data).split(b"\n")
        self._received[sock] = lines.pop()
        if not data or len(self._received[sock]) > _LINE_LIMIT:
            self._drop(sock)
            return
        for line in lines:
            self._reply(sock, line)

    def _reply(self, sock: socket.socket, line: bytes) -> None:
        try:
            message = json.loads(line)
            reply = self._answer(message) if isinstance(message, dict) else {"ok": False, "error": "not an object"}
        except ValueError:
            reply = {"ok": False, "error": "not a line of JSON"}
        try:
            sock.sendall(json.dumps(reply).encode() + b"\n")
        except OSError:
            # The asker left, or has not read 200 KiB of answers.
            self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        if self._received.pop(sock, None) is not None:
            self._selector.unregister(sock)
            sock.close()


def ask(directory: Path, message: Message, timeout_s: float = 10.0) -> Message:
    """Send one message to the supervisor of a directory and return its answer. Raises NotRunning."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout_s)
        try:
            with _short(directory) as path:
                sock.connect(path)
            sock.sendall(json.dumps(message).encode() + b"\n")
            received = b""
            while not received.endswith(b"\n"):
                data = sock.recv(_LINE_LIMIT)
                if not data:
                    raise NotRunning(f"{directory}: the supervisor closed the connection")
                received += data
        except OSError as error:
            raise NotRunning(f"{directory}: nothing answers on {SOCKET_NAME} ({error.strerror or error})") from None
    reply = json.loads(received)
    assert isinstance(reply, dict)
    return reply


@contextmanager
def _short(directory: Path) -> Iterator[str]:
    """A path of a few bytes for the socket in a directory of any length."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET_NAME}"
    finally:
        os.close(fd)


def _is_owner(sock: socket.socket) -> bool:
    """Whether the process at the other end runs as us or as root."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(data)
    return user in (0, os.geteuid())
