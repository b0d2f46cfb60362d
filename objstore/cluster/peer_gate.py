"""Who may connect to a storage server: the addresses in the rings, this machine's own, and those that are listed.

A storage server believes whoever reaches it (formats 6: the backend protocol has no authentication), so that its port
must be reached by the cluster alone. This is asked once per accepted connection, before a byte is read. The address of
a new node is admitted at most a second after its ring is there; one that left the rings, within fifteen.

Rings that cannot be read keep the addresses they had. A proxy on a machine outside the rings, a foreign one too, stands
in admit_hosts.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from objstore.cluster.servers import ServerFile
from objstore.config.server import ADMIT_ALL, Network
from objstore.ring.fileformat import RingFileError, load
from objstore.ring.model import Ring
from objstore.runtime.clock import Clock, SystemClock
from objstore.runtime.netinfo import local_addresses

CHECK_INTERVAL_S = 15.0
"""Between looks at the ring files, for addresses that are admitted."""
MISS_INTERVAL_S = 1.0
"""The same for one that is not: it may be a node that has just joined."""
LOG_INTERVAL_S = 60.0
LOGGED_MAX = 1000
"""Addresses whose last line is remembered; a scan of a whole network costs no more memory than this."""

_log = logging.getLogger("objstore.peer_gate")


class PeerGate:
    """One per server process. swift_dir: of the rings. hosts: networks that may connect besides."""

    def __init__(self, swift_dir: Path, hosts: Sequence[Network] = (), clock: Clock | None = None) -> None:
        self._swift_dir = swift_dir
        self._hosts = tuple(hosts)
        self._clock = clock or SystemClock()
        self._by_ring: dict[str, frozenset[str]] = {}
        self._signatures: dict[str, tuple[int, ...]] = {}
        self._admitted: frozenset[str] = frozenset()
        self._checked_s = float("-inf")
        self._logged: dict[str, tuple[float, int]] = {}

    def admits(self, peer: str) -> bool:
        """peer: an address as accept() gives it. One that is turned away is logged, once a minute."""
        waited_s = self._clock.monotonic() - self._checked_s
        if waited_s >= CHECK_INTERVAL_S:
            self._look()
        if peer in self._admitted:
            return True
        address = plain_address(peer)
        if self._is_admitted(address):
            return True
        if MISS_INTERVAL_S <= waited_s < CHECK_INTERVAL_S:
            self._look()
            if self._is_admitted(address):
                return True
        self._say_refused(peer)
        return False

    def open(self) -> PeerGate:
        """Read the rings now, not at the first connection."""
        self._look()
        return self

    def addresses(self) -> list[str]:
        """All that is admitted, for people: addresses and networks."""
        self._look()
        return [*sorted(self._admitted), *map(str, self._hosts)]

    def _is_admitted(self, address: str) -> bool:
        if address in self._admitted:
            return True
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return parsed.is_loopback or any(parsed in network for network in self._hosts)

    def _look(self) -> None:
        """Read the rings that have changed, and this machine's addresses."""
        self._checked_s = self._clock.monotonic()
        present = {path.name: path for path in self._swift_dir.glob("*.ring.gz")}
        for name, path in present.items():
            signature = _signature(path)
            if signature is None or signature == self._signatures.get(name):
                continue
            self._signatures[name] = signature
            try:
                self._by_ring[name] = frozenset(ring_addresses(load(path)))
            except RingFileError as error:
                _log.error("admitting as before: %s", error)
        for name in self._by_ring.keys() - present.keys():
            # A ring that is being replaced by hand may be away for a moment: its nodes stay until it is read again.
            self._signatures.pop(name, None)
        self._admitted = local_addresses().union(*self._by_ring.values())

    def _say_refused(self, peer: str) -> None:
        now = self._clock.monotonic()
        last_s, count = self._logged.pop(peer, (float("-inf"), 0))
        if now - last_s < LOG_INTERVAL_S:
            self._logged[peer] = last_s, count + 1
            return
        if len(self._logged) >= LOGGED_MAX:
            del self._logged[next(iter(self._logged))]
        self._logged[peer] = now, 0
        _log.warning(
            "connection refused: %s is in no ring and not listed; a proxy of this cluster belongs in admit_hosts "
            "address=%s more_since_last=%d",
            peer,
            peer,
            count,
        )


def gate_of(server: ServerFile) -> PeerGate | None:
    """As a server's file wants it; None where everybody may connect, as to a proxy."""
    if server.role == "proxy-server" or server.settings.admit == ADMIT_ALL:
        return None
    return PeerGate(server.swift_dir, server.settings.admit_hosts)


def ring_addresses(ring: Ring) -> Iterator[str]:
    """Addresses of a ring's devices, both networks. Host names are looked up; one that is unknown is left out."""
    hosts = {host for device in ring.devices if device is not None for host in (device.ip, device.replication_ip)}
    for host in sorted(hosts):
        yield from _resolved(host)


def plain_address(peer: str) -> str:
    """Without a scope, and an IPv4 address that came by an IPv6 socket as itself."""
    bare = peer.partition("%")[0]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return bare
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _resolved(host: str) -> set[str]:
    try:
        return {plain_address(str(ipaddress.ip_address(host)))}
    except ValueError:
        pass
    try:
        return {plain_address(str(entry[4][0])) for entry in socket.getaddrinfo(host, None)}
    except OSError as error:
        _log.error("host name of a ring cannot be looked up, its address is not admitted: %s (%s)", host, error)
        return set()


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
