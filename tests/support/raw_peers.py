"""Peers on loopback that say, byte for byte, what a test tells them to: for what no HTTP server would ever say."""

from __future__ import annotations

import re
from contextlib import contextmanager

from objstore.ring.model import Node
from objstore.runtime import green
from objstore.runtime.listen import listen
from tests.support.rings import make_device

_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


def raw_node(port, number=1, device="sdb1"):
    return Node(make_device(number, device=device, port=port, replication_port=port), index=0)


@contextmanager
def raw_peer(pieces, number=1):
    """(node, heard): answers each request with pieces, one send each, and hangs up at None. heard: all that came."""
    heard = bytearray()
    tasks = []

    def accept():
        while True:
            green.wait_readable(listener.fileno())
            tasks.append(green.spawn(_serve, listener.accept()[0], pieces, heard))

    with listen(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        tasks.append(green.spawn(accept))
        try:
            yield raw_node(listener.getsockname()[1], number), heard
        finally:
            for task in tasks:
                task.kill()


def _serve(connection, pieces, heard):
    with connection:
        connection.setblocking(False)
        request = b""
        while data := _received(connection):
            heard.extend(data)
            request += data
            if not _is_whole(request):
                continue
            request = b""
            for piece in pieces:
                if piece is None or not _said(connection, piece):
                    return
                green.sleep(0)


def _is_whole(request):
    head, end, body = request.partition(b"\r\n\r\n")
    found = _LENGTH.search(head + b"\r\n")
    return bool(end) and len(body) >= (int(found[1]) if found else 0)


def _received(connection):
    while True:
        try:
            return connection.recv(65536)
        except BlockingIOError:
            green.wait_readable(connection.fileno())
        except OSError:
            return b""


def _said(connection, piece):
    sent = 0
    while sent < len(piece):
        try:
            sent += connection.send(piece[sent:])
        except BlockingIOError:
            green.wait_writable(connection.fileno())
        except OSError:
            return False
    return True
