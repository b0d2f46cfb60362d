"""A soak on a cluster of its own: four nodes on loopback, with every daemon at short intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.replay.client import Answer
from tests.soak.run import Outcome, soak
from tests.support.cluster import Cluster
from tests.support.healing import OneDirectory
from tests.support.lying_there import Disks

_INTERVALS = {
    "object-replicator": 2,
    "object-updater": 1,
    "object-auditor": 4,
    "object-expirer": 5,
    "container-replicator": 2,
    "container-updater": 1,
    "container-auditor": 5,
    "account-replicator": 2,
    "account-auditor": 5,
}


def soak_on_loopback(
    directory: Path, seconds: float, seed: int, say: Callable[[str], None] = lambda text: None
) -> Outcome:
    cluster = Cluster(directory / "c", part_power=4, proxy_workers=2).init()
    configure(cluster.configure)
    with cluster:
        target = _Target(cluster)
        return soak(target, target, target.ask, seconds=seconds, seed=seed, say=say)


def configure(set_: Callable[..., None]) -> None:
    """set_: as Cluster.configure."""
    for daemon, interval in _INTERVALS.items():
        set_(daemon, "interval", interval, kind=daemon.partition("-")[0])
    set_("container-updater", "tell_again_after", 2, kind="container")
    set_("object-auditor", "files_per_second", 0, kind="object")
    set_("app:proxy-server", "error_suppression_interval", 1)


class _Target(OneDirectory):
    """Everything the soak wants of a Cluster."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.nodes = cluster.nodes
        self.kill_node = cluster.kill_node
        self.start_node = cluster.start_node
        self.pids = cluster.pids
        self.freeze = cluster.freeze
        self.thaw = cluster.thaw
        self.device_path = cluster.device_path
        self._token = cluster.token()
        self._disks = super().disks()

    def disks(self) -> Disks:
        return self._disks

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        return self.cluster.ask(method, f"/v1/AUTH_admin{path}", {"X-Auth-Token": self._token, **headers}, body)
