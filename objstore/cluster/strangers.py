"""Storage servers in the rings at which nobody here can tell how they are: of other software's nodes, say.

They may tell one thing, as servers of Swift do too: the MD5 of their ring files, by GET /recon/ringmd5. One that has
others than the rings here works by them, and brings nothing to the new places of partitions: a further step has to wait
for whoever copies rings there. One that does not answer that, says nothing (steps.py has the rule for those).
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path

from objstore.cluster.channel import ChannelError, answer_on
from objstore.cluster.distribution import AT_ONCE, AtOnce
from objstore.cluster.ring_manifest import RING_SUFFIX
from objstore.http.head import HeadError, head_bytes
from objstore.http.status import HTTPStatus
from objstore.ring.fileformat import load
from objstore.runtime.listen import Address, shown

ASK_S = 3.0
ALL_S = 15.0
"""For all together: with more than AT_ONCE some are asked one after the other."""
AGAIN_S = 60.0
_ANSWER_MAX = 1 << 18
Digests = Mapping[str, str]
"""Ring file, without its directory → MD5 in hex."""


class Strangers:
    """etc: with the rings. Raises OSError, RingFileError of those."""

    def __init__(
        self,
        etc: Path,
        at_once: AtOnce,
        monotonic: Callable[[], float] = time.monotonic,
        ask: Callable[[Address], Digests | None] | None = None,
    ) -> None:
        """ask: what a server says of its rings, None when it does not say; raises nothing."""
        self._etc = etc
        self._at_once = at_once
        self._monotonic = monotonic
        self._ask = ask or ring_digests
        self._found: tuple[int, Mapping[Address, Digests]] = (-1, {})
        self._behind: tuple[int, float, list[Address]] = (-1, 0.0, [])

    def among(self, known: AbstractSet[Address], version: int) -> list[Address]:
        """Servers in the rings of that version that are none of the known ones."""
        return sorted(self._rings_of(known, version))

    def behind(self, known: AbstractSet[Address], version: int) -> list[Address]:
        """Those of them that say that they have other rings. Asked again once in a while."""
        asked_version, asked_s, found = self._behind
        if asked_version != version or self._monotonic() - asked_s >= AGAIN_S:
            found = self._asked(self._rings_of(known, version))
            self._behind = version, self._monotonic(), found
        return found

    def _rings_of(self, known: AbstractSet[Address], version: int) -> Mapping[Address, Digests]:
        """Which rings each should have."""
        if self._found[0] != version:
            found: dict[Address, dict[str, str]] = {}
            for path in self._etc.glob(f"*{RING_SUFFIX}"):
                digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
                for device in load(path).devices:
                    if device is not None and (device.ip, device.port) not in known:
                        found.setdefault((device.ip, device.port), {})[path.name] = digest
            self._found = version, found
        return self._found[1]

    def _asked(self, wanted: Mapping[Address, Digests]) -> list[Address]:
        addresses = sorted(wanted)
        said: dict[Address, Digests | None] = {}

        def visit(group: Sequence[Address]) -> None:
            for address in group:
                said[address] = self._ask(address)

        groups = [addresses[start::AT_ONCE] for start in range(min(AT_ONCE, len(addresses)))]
        self._at_once({shown(group[0]): partial(visit, group) for group in groups}, ALL_S)
        return [address for address in addresses if _has_others(said.get(address), wanted[address])]


def _has_others(said: Digests | None, wanted: Digests) -> bool:
    return said is not None and any(said.get(name) != digest for name, digest in wanted.items())


def ring_digests(address: Address, timeout_s: float = ASK_S) -> Digests | None:
    """What a storage server says of its rings; None when it does not say. Blocks for timeout_s at most."""
    deadline = time.monotonic() + timeout_s
    headers = [("Host", shown(address)), ("Connection", "close"), ("Content-Length", "0")]
    try:
        with socket.create_connection(address, timeout_s) as sock:
            sock.sendall(head_bytes("GET /recon/ringmd5 HTTP/1.1", headers))
            answer = answer_on(sock, shown(address), deadline, _ANSWER_MAX)
    except (OSError, ChannelError, HeadError):
        return None
    return parsed(answer.body) if answer.status == HTTPStatus.OK else None


def parsed(body: bytes) -> Digests | None:
    """{"/etc/swift/object.ring.gz": MD5} by file name; None when it is something else. Pure."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        return None
    return {os.path.basename(path): digest for path, digest in value.items()}
