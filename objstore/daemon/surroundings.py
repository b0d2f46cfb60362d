"""What a daemon's factory is given: its settings, and the node it works on.

    def factory(surroundings: Surroundings[ObjectUpdaterSettings]) -> ObjectUpdater: ...
    factory.settings_class = ObjectUpdaterSettings

A factory is an entry point of the group objstore.daemon (pyproject.toml); its name there is that of the ini section
and of the command. Its settings class is a DaemonSettings. It opens nothing that a forked child could not share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from objstore.config.cluster import Cluster
from objstore.daemon.settings import DaemonSettings
from objstore.runtime.clock import Clock
from objstore.runtime.devices import Devices

S = TypeVar("S", bound=DaemonSettings)


@dataclass(frozen=True)
class Surroundings(Generic[S]):
    """name: of the daemon. cluster: swift.conf, and where the rings are. devices: the node's. address: ip and port of
    the server whose ini file this is; rings name that server's devices by it (an ip of 0.0.0.0 is every one of this
    machine)."""

    name: str
    settings: S
    cluster: Cluster
    devices: Devices
    address: tuple[str, int]
    clock: Clock
