"""Ports for servers that are started in a moment: nobody else takes them between now and then, nor while they are down.

A port that the kernel picked is its to pick again, for any connection of anybody, until a server has bound it. So these
lie below the kernel's range, in blocks that the tests of this machine reserve among each other by file locks; a lock
ends with its process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

BLOCK = 100
_FIRST, _LAST = 10_000, 30_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TAKEN = {17_300}
"""Ports that stand in a directory of tests/vectors."""


class PortBlock:
    """BLOCK ports from `first` on, until release()."""

    def __init__(self) -> None:
        folder = Path(tempfile.gettempdir()) / f"objstore-test-ports-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        firsts = [first for first in range(_FIRST, _last(), BLOCK) if first not in _TAKEN]
        random.shuffle(firsts)
        for first in firsts:
            fd = os.open(folder / str(first), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _require_free(first)
            except OSError:  # Reserved by another test, or used by somebody who reserves nothing.
                os.close(fd)
                continue
            self.first, self._fd = first, fd
            return
        raise AssertionError(f"every block of ports is reserved; locks are in {folder}")

    def release(self) -> None:
        """Give the ports back; once or more often."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _require_free(first: int) -> None:
    """Raises OSError when somebody uses one of a block's ports."""
    for port in range(first, first + BLOCK):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))


def _last() -> int:
    """Where the kernel's own range begins, if that leaves enough below it."""
    lowest = int(_EPHEMERAL.read_text().split()[0])
    return lowest if _FIRST + 20 * BLOCK <= lowest < _LAST else _LAST
