"""A soak on a network of its own: four machines, each with a proxy and every daemon, whose links are cut now and then.

Only where namespaces can be made (tests/support/namespaces.py). A request goes to the proxy of a machine by chance,
from that machine itself: what its client hears is what somebody on that side of a split hears.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.replay.client import Answer
from tests.soak.on_cluster import configure
from tests.soak.run import Outcome, soak
from tests.support.lying_there import Disks
from tests.support.namespaces import Network
from tests.support.network_cluster import NetworkCluster

NODES = ("n1", "n2", "n3", "n4")


def soak_on_network(
    directory: Path, seconds: float, seed: int, say: Callable[[str], None] = lambda text: None
) -> Outcome:
    with (
        Network(NODES) as network,
        _Target(directory, network, options=(), configure=lambda template: configure(template.configure)) as target,
    ):
        target.log_in(seed)
        return soak(target, target, target.ask, seconds=seconds, seed=seed, splitting=target, say=say)


class _Target(NetworkCluster):
    """Everything the soak wants of a NetworkCluster."""

    def log_in(self, seed: int) -> None:
        self._random = random.Random(f"{seed}/proxies")
        self._tokens = {node: machine.token() for node, machine in self.machines.items()}
        self._disks = super().disks()
        self.split, self.deaf = self.network.split, self.network.deaf

    def disks(self) -> Disks:
        return self._disks

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        node = self._random.choice(self.nodes)
        headers = {"X-Auth-Token": self._tokens[node], **headers}
        return self.machines[node].ask(method, f"/v1/AUTH_admin{path}", headers, body)
