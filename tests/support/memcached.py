"""A memcached server of a page: enough of the text protocol to test a client against, and ways to misbehave."""

from __future__ import annotations

import socket
from contextlib import suppress

from objstore.runtime import green


class FakeMemcached:
    """entries: wire key -> (flags, value). mode: 'ok', 'silent' (never answers), 'garbage', 'close'."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[str, bytes]] = {}
        self.ttls: dict[str, int] = {}
        self.mode = "ok"
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.name = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        self._tasks = [green.spawn(self._accept)]

    def __enter__(self) -> FakeMemcached:
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._tasks:
            task.kill()
        for sock in [self._listener, *self._sockets]:
            sock.close()

    def drop_connections(self) -> None:
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            green.wait_readable(self._listener.fileno())
            sock, _ = self._listener.accept()
            sock.setblocking(False)
            self.connections += 1
            self._sockets.append(sock)
            self._tasks.append(green.spawn(self._serve, sock))

    def _serve(self, sock: socket.socket) -> None:
        buffer = b""
        while True:
            while b"\r\n" not in buffer:
                green.wait_readable(sock.fileno())
                data = sock.recv(65536)
                if not data:
                    return
                buffer += data
            line, _, buffer = buffer.partition(b"\r\n")
            words = line.decode().split()
            value = b""
            if words[0] in ("set", "add"):
                size = int(words[4])
                while len(buffer) < size + 2:
                    green.wait_readable(sock.fileno())
                    buffer += sock.recv(65536)
                value, buffer = buffer[:size], buffer[size + 2 :]
            if self.mode == "silent":
                continue
            if self.mode == "close":
                sock.shutdown(socket.SHUT_RDWR)
                return
            sock.sendall(b"NONSENSE\r\n" if self.mode == "garbage" else self._answer(words, value))

    def _answer(self, words: list[str], value: bytes) -> bytes:
        verb, key = words[0], words[1]
        if verb == "get":
            if key not in self.entries:
                return b"END\r\n"
            flags, data = self.entries[key]
            return f"VALUE {key} {flags} {len(data)}\r\n".encode() + data + b"\r\nEND\r\n"
        if verb in ("set", "add"):
            if verb == "add" and key in self.entries:
                return b"NOT_STORED\r\n"
            self.entries[key] = (words[2], value)
            self.ttls[key] = int(words[3])
            return b"STORED\r\n"
        if verb == "delete":
            return b"DELETED\r\n" if self.entries.pop(key, None) else b"NOT_FOUND\r\n"
        if key not in self.entries:
            return b"NOT_FOUND\r\n"
        old = int(self.entries[key][1])
        new = old + int(words[2]) if verb == "incr" else max(0, old - int(words[2]))
        self.entries[key] = ("0", str(new).encode())
        return f"{new}\r\n".encode()
