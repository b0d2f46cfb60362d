"""One exchange of a daemon with a storage server: pooled, on its replication address, answered whole or not at all.

A node that let a deadline pass is not asked again until it answers (silence.py): whoever has a hundred thousand things
to say cannot wait for each. Used by container_rows.py and account_rows.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from objstore.core.headers import title
from objstore.core.names import quoted
from objstore.http.client import ConnectionPool, ConnectTimedOut, PeerError, PeerTimedOut, ResponseHead, request
from objstore.peers.silence import Silences
from objstore.ring.model import Node

ANSWER_BYTES_MAX = 65_536
_OURS = frozenset({"host", "user-agent", "content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Timeouts:
    connect_s: float
    answer_s: float


class NodeCalls:
    """user_agent: as in "object-updater". One per process; fine for many green threads."""

    def __init__(self, user_agent: str, timeouts: Timeouts, silences: Silences | None = None) -> None:
        self._user_agent = user_agent
        self._timeouts = timeouts
        self._silences = silences or Silences()
        self._pool = ConnectionPool()

    def exchange(
        self, node: Node, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> ResponseHead | None:
        """The head of the answer; None when there was none in time. path: below the device, as text, from the
        partition on. headers: lower-case names; those of the transport are left out."""
        host, port = node.replication_address
        if self._silences.is_silent((host, port)):
            return None
        try:
            head, _ = request(
                self._pool,
                host,
                port,
                method,
                quoted(f"/{node.name}/{path}"),
                self._lines(host, port, headers, len(body)),
                body,
                connect_timeout_s=self._timeouts.connect_s,
                timeout_s=self._timeouts.answer_s,
                max_body_bytes=ANSWER_BYTES_MAX,
            )
        except (PeerTimedOut, ConnectTimedOut):
            self._silences.heard_nothing((host, port))
        except PeerError:
            pass
        else:
            return head
        return None

    def _lines(self, host: str, port: int, headers: Mapping[str, str], length: int) -> Iterator[tuple[str, str]]:
        yield "Host", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        for name, value in headers.items():
            if name not in _OURS:
                yield title(name), value
        yield "User-Agent", f"{self._user_agent} {os.getpid()}"
        yield "Content-Length", str(length)
