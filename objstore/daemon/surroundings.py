"""What a daemon's factory is given: its settings, and the node it works on.

    @reads(ObjectUpdaterSettings)
    def factory(surroundings: Surroundings[ObjectUpdaterSettings]) -> ObjectUpdater: ...

A factory is an entry point of the group objstore.daemon (pyproject.toml); its name there is that of the ini section
and of the command. Its settings class is a DaemonSettings. It opens nothing that a forked child could not share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from objstore.config.cluster import Cluster
from objstore.daemon.settings import DaemonSettings
from objstore.http.environ import WSGIApp
from objstore.runtime.clock import Clock
from objstore.runtime.devices import Devices

S = TypeVar("S", bound=DaemonSettings)


class PipelineOf(Protocol):
    def __call__(self, path: str, filters: Sequence[str] = (), without: Sequence[str] = ()) -> WSGIApp: ...


@dataclass(frozen=True)
class Surroundings(Generic[S]):
    """name: of the daemon. cluster: swift.conf, and where the rings are. devices: the node's. address: ip and port of
    the server whose ini file this is; rings name that server's devices by it (an ip of 0.0.0.0 is every one of this
    machine). section(name): the keys of another section of that file, {} when there is none.
    pipeline(path, filters): a proxy in this process for daemons that act as a client (http/internal.py): of an
    internal-client.conf, or with "" of the daemon's own file if that has one, else the proxy alone; filters: what the
    daemon cannot do without, put around it with their defaults, the outermost first, unless the file names them;
    without: those that it must not have; raises ConfigError."""

    name: str
    settings: S
    cluster: Cluster
    devices: Devices
    address: tuple[str, int]
    clock: Clock
    section: Callable[[str], Mapping[str, str]]
    pipeline: PipelineOf
