"""Who may connect to a storage server: the addresses in the rings and of members, our own, and those that are listed.

A storage server believes whoever reaches it (formats 6: the backend protocol has no authentication), so that its port
must be reached by the cluster alone. This is asked once per accepted connection, before a byte is read. The address of
a new node is admitted within a second or two of its ring being there; one that left the rings, not after fifteen.

Rings that cannot be read keep the addresses they had. A proxy on a machine outside the rings, a foreign one too, stands
in admit_hosts.
"""

from __future__ import annotations

import _socket
import ipaddress
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from objstore.cluster import members
from objstore.cluster.members import MembersError
from objstore.cluster.ring_manifest import RING_SUFFIX
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
    """One per server process. swift_dir: of the rings. hosts: networks that may connect besides.

    own: what this machine's addresses are. later: how to run what reads files once open() has: a server gives it to a
    thread, for a large ring and a slow resolver would stop the hub. Nothing there logs.
    """

    def __init__(
        self,
        swift_dir: Path,
        hosts: Sequence[Network] = (),
        clock: Clock | None = None,
        own: Callable[[], frozenset[str]] = local_addresses,
        later: Callable[[Callable[[], None]], object] = lambda look: look(),
    ) -> None:
        self._swift_dir = swift_dir
        self._hosts = tuple(hosts)
        self._clock = clock or SystemClock()
        self._own = own
        self._later = later
        self._by_file: dict[str, frozenset[str]] = {}
        self._signatures: dict[str, tuple[int, ...]] = {}
        self._local: frozenset[str] = frozenset()
        self._admitted: frozenset[str] = frozenset()
        self._checked_s = float("-inf")
        self._is_looking = False
        self._problems: list[str] = []
        self._logged: dict[str, tuple[float, int]] = {}

    def open(self) -> PeerGate:
        """Read the rings now, not at the first connection."""
        self._checked_s = self._clock.monotonic()
        self._find_own()
        self._look()
        self._say_problems()
        return self

    def admits(self, peer: str) -> bool:
        """peer: an address as accept() gives it. One that is turned away is logged, once a minute."""
        waited_s = self._clock.monotonic() - self._checked_s
        if waited_s >= CHECK_INTERVAL_S:
            self._refresh()
        if peer in self._admitted or self._is_admitted(plain_address(peer)):
            return True
        if MISS_INTERVAL_S <= waited_s < CHECK_INTERVAL_S:
            self._refresh()
            if self._is_admitted(plain_address(peer)):
                return True
        self._say_refused(peer)
        return False

    def addresses(self) -> list[str]:
        """All that is admitted, for people: addresses and networks."""
        self.open()
        return [*sorted(self._admitted), *map(str, self._hosts)]

    def _is_admitted(self, address: str) -> bool:
        if address in self._admitted:
            return True
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return parsed.is_loopback or any(parsed in network for network in self._hosts)

    def _refresh(self) -> None:
        self._checked_s = self._clock.monotonic()
        self._say_problems()
        if not self._is_looking:
            self._is_looking = True
            self._find_own()
            self._later(self._look)

    def _find_own(self) -> None:
        try:
            self._local = self._own()
        except OSError as error:
            self._problems.append(f"this machine's addresses: {error}")

    def _look(self) -> None:
        """Read the files that have changed."""
        try:
            self._read_changed()
        except Exception as error:  # The boundary of a look: nobody waits for it, and the next one tries again.
            self._problems.append(f"{self._swift_dir}: {type(error).__name__} {error}")
        finally:
            self._admitted = self._local.union(*self._by_file.values())
            self._is_looking = False

    def _read_changed(self) -> None:
        sources = [*self._swift_dir.glob(f"*{RING_SUFFIX}"), self._swift_dir / members.FILE_NAME]
        present = {path.name: path for path in sources if path.exists()}
        for name, path in present.items():
            signature = _signature(path)
            if signature is None or signature == self._signatures.get(name):
                continue
            self._signatures[name] = signature
            try:
                self._by_file[name] = frozenset(self._addresses_in(path))
            except (RingFileError, MembersError) as error:
                self._problems.append(str(error))
        for name in self._by_file.keys() - present.keys():
            # A file that is being replaced by hand may be away for a moment: its nodes stay until it is read again.
            self._signatures.pop(name, None)

    def _addresses_in(self, path: Path) -> Iterator[str]:
        """Of a ring, or of the members file: a node that runs only a proxy is in no ring."""
        if path.name.endswith(RING_SUFFIX):
            hosts = ring_hosts(load(path))
        else:
            found = members.read(path.parent)
            hosts = set() if found is None else set(found.addresses())
        for host in sorted(hosts):
            try:
                yield from _resolved(host)
            except (OSError, UnicodeError) as error:
                self._problems.append(f"{path}: the host name {host!r} cannot be looked up: {error}")

    def _say_problems(self) -> None:
        while self._problems:
            _log.error("admitting as before: %s", self._problems.pop())

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


def gate_of(server: ServerFile, later: Callable[[Callable[[], None]], object] = lambda look: look()) -> PeerGate | None:
    """As a server's file wants it; None where everybody may connect, as to a proxy. later: as for PeerGate."""
    if server.role == "proxy-server" or server.settings.admit == ADMIT_ALL:
        return None
    return PeerGate(server.swift_dir, server.settings.admit_hosts, later=later)


def rsync_gate(swift_dir: Path, servers: Iterable[ServerFile]) -> PeerGate:
    """Whom a node's rsync daemon admits: the same as its storage servers do, or would with admit = rings."""
    return PeerGate(swift_dir, tuple({network: None for server in servers for network in server.settings.admit_hosts}))


def ring_hosts(ring: Ring) -> set[str]:
    """What a ring's devices are reached by, on both networks."""
    return {host for device in ring.devices if device is not None for host in (device.ip, device.replication_ip)}


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
    """Raises OSError for a name that nobody knows, UnicodeError for no name at all. Blocks as the resolver does."""
    try:
        return {plain_address(str(ipaddress.ip_address(host)))}
    except ValueError:
        # Not the socket module's: that one is made green in servers, and this is a native thread.
        return {plain_address(str(entry[4][0])) for entry in _socket.getaddrinfo(host, None)}


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
