"""ScriptedPeers: a connection pool whose nodes say what a test tells them to, without servers.

    peers = ScriptedPeers()
    peers.on(node, Says(201))                     one answer, at once
    peers.on(node, Says(201, after_s=0.05))       a slow one
    peers.on(node, REFUSES)                       no connection
    peers.on(node, SILENT)                        accepts everything, answers nothing
    peers.on(node, Breaks())                      closes without an answer
    peers.otherwise(Says(404))                    everybody else

A node with several lines uses them up one per request and repeats the last. `requests` holds what was asked, in order.
Descriptors are real (socket pairs), so that waiting works; time is real too, in hundredths of a second.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, replace

from objstore.http.client import ConnectFailed, PeerBroken, PeerTimedOut
from objstore.http.head import ResponseHead
from objstore.runtime import green


@dataclass
class Says:
    """An answer. pieces: of the body; an exception among them is raised in its place."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    pieces: tuple = ()
    after_s: float = 0.0
    interim: tuple = ()
    """Headers of a 100 Continue to send first, or () for none."""
    stuck: bool = False
    """Takes no byte of the body after its head."""
    breaks_after: int | None = None
    """Breaks once it has taken this many bytes of body."""
    ends_at_last: bool = False
    """Breaks instead of its final answer, once it has the whole body."""
    ends_early: Says | Breaks | None = None
    """Said once the first bytes of body are taken, in place of the answer; it takes the rest as if nothing were."""

    @property
    def all_pieces(self):
        return self.pieces or ((self.body,) if self.body else ())


@dataclass
class Breaks:
    """Closes the connection instead of answering."""

    after_s: float = 0.0


REFUSES = "refuses"
SILENT = Says(status=0)


@dataclass
class Asked:
    """A request as a node got it."""

    address: tuple[str, int]
    method: str
    target: str
    headers: list
    body: bytearray

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name), None)


class ScriptedPeers:
    def __init__(self):
        self.requests: list[Asked] = []
        self._scripts = {}
        self._otherwise = [Says(404)]
        self.released = 0
        self.closed = 0
        self._connections = []

    def shut(self):
        """Close what a test has left open."""
        for connection in self._connections:
            connection.shut()

    @property
    def open_count(self):
        return sum(connection.is_open for connection in self._connections)

    def on(self, node, *lines):
        self._scripts[node.address] = list(lines)
        return self

    def otherwise(self, *lines):
        self._otherwise = list(lines)
        return self

    def asked(self, node):
        return [asked for asked in self.requests if asked.address == node.address]

    def connect(self, host, port, timeout_s):
        script = self._scripts.get((host, port), self._otherwise)
        line = script.pop(0) if len(script) > 1 else script[0]
        if line == REFUSES:
            raise ConnectFailed(f"{host}:{port}: connection refused")
        connection = ScriptedConnection(self, (host, port), line)
        self._connections.append(connection)
        return connection

    connect_new = connect


class ScriptedConnection:
    is_reused = False

    def __init__(self, peers, address, line):
        self._peers = peers
        self._address = address
        self._line = line
        self._mine, self._theirs = socket.socketpair()
        self._mine.setblocking(False)
        self._heads = []
        self._pieces = []
        self._timers = []
        self.asked = None
        self.is_open = True

    @property
    def fd(self):
        return self._mine.fileno()

    has_answer_begun = False
    is_quiet = False

    def send_request(self, method, target, headers, body=b"", *, timeout_s):
        self.asked = Asked(self._address, method, target, list(headers), bytearray(body))
        self._peers.requests.append(self.asked)
        line = self._line
        if isinstance(line, Breaks):
            self._due(line.after_s, PeerBroken("closed"))
            return
        if line.interim:
            self._due(0.0, ResponseHead(100, "Continue", dict(line.interim[0]), 0, False, True))
            if line.stuck:
                self._fill()
            return
        self._answer()

    def _answer(self):
        line = self._line
        if line.status:
            length = sum(len(piece) for piece in line.all_pieces if isinstance(piece, bytes))
            headers = {"content-length": str(length), **line.headers}
            length = 0 if self.asked.method == "HEAD" else int(headers["content-length"])
            self._pieces = list(line.all_pieces) if self.asked.method != "HEAD" else []
            self._due(line.after_s, ResponseHead(line.status, "", headers, length, False, True))

    def _due(self, after_s, what):
        def arrive():
            if self.is_open:
                self._heads.append(what)
                self._theirs.send(b"x")

        if after_s:
            self._timers.append(green.call_after(after_s, arrive))
        else:
            arrive()

    def _fill(self):
        try:
            while True:
                self._mine.send(b"x" * 65536)
        except BlockingIOError:
            pass

    def try_send(self, data):
        if self._line.stuck:
            return 0
        limit = self._line.breaks_after
        if limit is not None and len(self.asked.body) + len(data) > limit:
            raise PeerBroken("reset")
        if self._line.ends_early is not None and not self.asked.body:
            self._end_early(self._line.ends_early)
        self.asked.body += data
        return len(data)

    def _end_early(self, line):
        self._line = replace(self._line, status=0)
        if isinstance(line, Breaks):
            self._due(0.0, PeerBroken("closed"))
        else:
            self._due(0.0, ResponseHead(line.status, "", {"content-length": "0"}, 0, False, True))

    def try_send_pieces(self, pieces):
        return self.try_send(b"".join(pieces))

    def mark_request_whole(self):
        if self._line.ends_at_last:
            self._due(0.0, PeerBroken("closed"))
        else:
            self._answer()

    def try_read_head(self):
        if not self._heads:
            return None
        self._mine.recv(1)
        found = self._heads.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def wait_for_head(self, deadline_s, others=()):
        descriptors = [self.fd, *(other.fd for other in others)]
        return green.wait_any(descriptors, (), max(0.0, deadline_s - green.monotonic()))

    def read_all(self, limit_bytes, timeout_s):
        return b"".join(iter(lambda: self.read_some(limit_bytes, timeout_s), b""))

    def read_some(self, size, timeout_s):
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
        return piece[:size]

    def transfer(self, sink, count, timeout_s):
        while count:
            piece = self.read_some(count, timeout_s)
            if not piece:
                raise PeerTimedOut("stalled")
            sink.send(piece)
            count -= len(piece)

    def release(self):
        self._peers.released += 1
        self.shut()

    def close(self):
        if self.is_open:
            self._peers.closed += 1
        self.shut()

    def shut(self):
        self.is_open = False
        for cancel in self._timers:
            cancel()
        self._timers.clear()
        self._mine.close()
        self._theirs.close()
