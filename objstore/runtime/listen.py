"""Listening sockets: bound by the supervisor before it forks, inherited by its workers, owned by it until it ends.

SO_REUSEADDR, so that a restart does not wait for old connections to expire; never SO_REUSEPORT, which resets what
waits in a socket's queue when that socket is closed.
"""

from __future__ import annotations

import errno
import os
import socket

Address = tuple[str, int]
BACKLOG = 4096


class CannotListen(Exception):
    """An address cannot be served. `is_taken`: somebody else listens there."""

    def __init__(self, address: Address, error: OSError) -> None:
        self.address = address
        self.is_taken = error.errno == errno.EADDRINUSE
        self.reason = "somebody else listens there" if self.is_taken else os.strerror(error.errno or 0)
        super().__init__(f"{shown(address)}: {self.reason}")


def listen(address: Address, backlog: int = BACKLOG) -> socket.socket:
    """A non-blocking TCP socket that listens on an address. Raises CannotListen."""
    host, port = address
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    except socket.gaierror as error:
        raise CannotListen(address, OSError(errno.EADDRNOTAVAIL, str(error))) from None
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise CannotListen(address, error) from None
    return sock


def is_free(address: Address) -> bool:
    """Whether an address could be listened on at this moment."""
    try:
        listen(address, backlog=1).close()
    except CannotListen:
        return False
    return True


def shown(address: Address) -> str:
    """host:port, with brackets around an IPv6 host."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
