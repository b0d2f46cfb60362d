"""Further steps of changes where all nodes are in one directory on this machine: there are no agents to ask.

The evidence is the same (settled.py), read from the directory of each node; what may follow on it is said in steps.py.
A process under `objstore up` (cli/steps.py) goes on, `objstore ring status` only looks.
"""

from __future__ import annotations

from objstore.cluster.directory import STORAGE_KINDS, ClusterDirectory
from objstore.cluster.distribution import AtOnce
from objstore.cluster.holder import Holder
from objstore.cluster.node_addresses import of_servers
from objstore.cluster.node_state import ClusterFacts, NodeFact
from objstore.cluster.ring_install import RingState
from objstore.cluster.ring_manifest import read_manifest
from objstore.cluster.servers import glance
from objstore.cluster.settled import Settlement
from objstore.cluster.steps import Steps
from objstore.cluster.strangers import Strangers
from objstore.runtime.clock import Clock, SystemClock
from objstore.runtime.fs import Fs
from objstore.runtime.listen import Address


class LocalSteps:
    """Everything raises OSError, LockTimeout, ConfigError, and DomainError of the directory's files."""

    def __init__(
        self, directory: ClusterDirectory, at_once: AtOnce, fs: Fs | None = None, clock: Clock | None = None
    ) -> None:
        self._directory = directory
        self._fs = fs or Fs()
        self._clock = clock or SystemClock()
        self._holder = Holder(directory.etc, self._fs, self._clock)
        self._steps = Steps(self._holder, self._clock, Strangers(directory.etc, at_once, self._clock.monotonic))

    def go_on(self) -> bool:
        """Do the next step if it may follow; whether the rings have changed."""
        return self._is_wanted() and self._steps.go_on(*self._facts())

    def text(self) -> str:
        """What the next step waits for, in words for people; "" when there is none."""
        return self._steps.foreseen(*self._facts()) if self._is_wanted() else ""

    def _is_wanted(self) -> bool:
        """Mostly nothing is to follow, and this is all that is read."""
        manifest = read_manifest(self._directory.etc, self._fs)
        return manifest is not None and manifest.has_more

    def _facts(self) -> tuple[ClusterFacts, frozenset[Address]]:
        """(what nodes here say of themselves, the addresses of their servers)."""
        version = self._holder.version()
        servers = of_servers(glance(self._directory)).values()
        nodes = tuple(
            NodeFact(node.name, node.ip, 0.0, RingState(version, {}), "", self._settled(node.name)) for node in servers
        )
        known = frozenset((node.ip, node.port(kind)) for node in servers for kind in STORAGE_KINDS)
        return ClusterFacts("", version, {}, nodes), known

    def _settled(self, node: str) -> int:
        return Settlement(self._directory, node, self._fs, self._clock).version()
