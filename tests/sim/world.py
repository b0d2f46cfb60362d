"""The simulated cluster: nodes and their disks, rings, proxies, the network between them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from objstore.config.cluster import load_cluster
from objstore.ring.builder import RingBuilder
from objstore.ring.fileformat import load, save
from objstore.ring.model import Ring
from objstore.ring.new_device import NewDevice
from tests.sim.host import HOST, Process
from tests.sim.network import Network
from tests.sim.nodes import PORTS, Node, make_proxy

PART_POWER = 3
SWIFT_CONF = """[swift-hash]
swift_hash_path_suffix = simulated
[storage-policy:0]
name = gold
default = yes
"""
POLICIES = ("gold", "silver")
_SECOND_POLICY = """[storage-policy:1]
name = silver
"""
_SKEWS_S = (0.0, 0.0, 0.4, -0.7, 2.5)


class Proxy:
    """A proxy server's process, called without a socket on its client's side."""

    def __init__(self, name: str, swift_dir: Path, skew_s: float) -> None:
        self.name = name
        self.swift_dir = swift_dir
        self.skew_s = skew_s
        self.start()

    def start(self) -> None:
        self.process = Process(self.name, None, self.skew_s)
        self.app: Any = make_proxy(self.swift_dir)


class World:
    """root: an empty directory on a memory file system. policy_count: the first so many of POLICIES are there."""

    def __init__(self, root: Path, policy_count: int = 1) -> None:
        self.root = root
        self.policy_count = policy_count
        self.network = Network()
        chance = HOST.random
        self.nodes = [
            Node(root, number, [f"d{number}{letter}" for letter in "ab"[: chance.choice((1, 1, 2))]], self.network)
            for number in range(chance.choice((4, 4, 5)))
        ]
        kinds = [*PORTS, "object-1"] if policy_count > 1 else [*PORTS]
        self.builders = {kind: RingBuilder.create(PART_POWER, 3, 0) for kind in kinds}
        self.proxies: list[Proxy] = []

    def start(self) -> None:
        self.network.install()
        for node in self.nodes:
            node.make()
            node.skew_s = HOST.random.choice(_SKEWS_S)
            for kind, builder in self.builders.items():
                for disk in node.disks:
                    port = PORTS[kind.partition("-")[0]]
                    builder.add_device(NewDevice(int(node.name[1:]) + 1, node.ip, port, disk, 100.0))
        self.rebalance()
        self.directories = {place.name: place.swift_dir for place in self.nodes}
        for number in range(2):
            name = f"p{number}"
            self.directories[name] = self.root / name
            self.directories[name].mkdir()
        for name, directory in self.directories.items():
            (directory / "swift.conf").write_text(SWIFT_CONF + _SECOND_POLICY * (self.policy_count - 1))
            self.push_rings(name)
        for node in self.nodes:
            node.start()
        self.proxies = [Proxy(name, self.directories[name], HOST.random.choice(_SKEWS_S)) for name in ("p0", "p1")]
        self.secrets = load_cluster(self.nodes[0].swift_dir).secrets

    def rebalance(self) -> None:
        """Make new rings of the builders, to be pushed."""
        for kind, builder in self.builders.items():
            builder.rebalance(now_s=0, seed=HOST.random.getrandbits(32))
            save(builder.to_ring(), self.root / f"{kind}.ring.gz")

    def push_rings(self, name: str) -> None:
        """Give one node or proxy the newest rings. It looks for them now and then."""
        for kind in self.builders:
            target = self.directories[name] / f"{kind}.ring.gz"
            temporary = target.with_suffix(".new")
            shutil.copyfile(self.root / f"{kind}.ring.gz", temporary)
            temporary.rename(target)

    def ring(self, kind: str) -> Ring:
        """The newest."""
        return load(self.root / f"{kind}.ring.gz")

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def heal(self) -> None:
        """No more faults: everybody is up, reachable, of one time and one ring."""
        self.network.heal()
        for name in self.directories:
            self.push_rings(name)
        for node in self.nodes:
            node.error_rate = 0.0
            node.start()
        for proxy in self.proxies:
            if not proxy.process.is_alive:
                proxy.start()
