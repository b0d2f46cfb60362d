"""A cluster whose nodes are machines of a network: each with a directory, rings, a proxy and a supervisor of its own.

    with Network(NODES) as network, NetworkCluster(directory, network) as cluster:
        with network.split(["n1", "n2"], ["n3", "n4"]):
            cluster.through("n1").request("PUT", "/c/o", b"from one half")
        Scene(cluster).heal()

The nodes' files are those of `objstore init`, with addresses of the network; objects and databases travel in-band, for
`objstore up` serves rsync on loopback alone.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from objstore.cluster.servers import read_servers
from objstore.ring.fileformat import load, save
from objstore.ring.model import Ring
from tests.replay.client import Answer
from tests.support import final_check
from tests.support.cluster import Cluster
from tests.support.healing import asked, prepared
from tests.support.lying_there import Disks, Place
from tests.support.namespaces import Network
from tests.support.rounds import Part, Rounds


class Machine(Cluster):
    """One node, and its proxy: requests come from the node itself."""

    def __init__(self, directory: Path, network: Network, node: str) -> None:
        super().__init__(directory, within=network.within(node))
        self._network = network
        self.node = node

    def ask(
        self, method: str, target: str, headers: Any = None, body: bytes = b"", *, timeout_s: float = 60.0
    ) -> Answer:
        return self._network.call(self.node, super().ask, method, target, headers, body, timeout_s=timeout_s)


class NetworkCluster:
    """options: of `objstore up`. configure: called with the Cluster whose files become everybody's. policies: as
    Cluster's. It is a Site of tests/support/healing.py; what comes from nowhere comes through the first node."""

    def __init__(
        self,
        directory: Path,
        network: Network,
        *,
        options: Sequence[str] = ("--no-daemons",),
        configure: Callable[[Cluster], None] = lambda cluster: None,
        policies: Sequence[str] = (),
    ) -> None:
        self.network = network
        self.nodes = network.names
        self._options = options
        self._template = prepared(directory / "template", nodes=len(self.nodes), policies=policies)
        self._configure = configure
        self._starter = ThreadPoolExecutor(1, "starter")
        self.machines = {node: Machine(directory / node, network, node) for node in self.nodes}

    def __enter__(self) -> NetworkCluster:
        template = self._template
        template.configure("object-replicator", "sync_method", "ssync", kind="object")
        for kind in ("container", "account"):
            template.configure(f"{kind}-replicator", "rsync_module", "", kind=kind)
        self._configure(template)
        try:
            for node in self.nodes:
                self._lay_out(node)
            for machine in self.machines.values():
                machine.start_unready(*self._options)
            for machine in self.machines.values():
                machine.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.machines.values():
            machine.close()
        self._template.close()
        self._starter.shutdown()

    def _lay_out(self, node: str) -> None:
        source, etc = self._template.directory.etc, self.machines[node].directory.etc
        (etc / node).mkdir(parents=True)
        shutil.copy(source / "swift.conf", etc)
        for file in (Path("proxy-server.conf"), *(Path(node, path.name) for path in (source / node).iterdir())):
            text = re.sub(
                r"(?m)^bind_ip = \S+$", f"bind_ip = {self.network.address(node)}", (source / file).read_text()
            )
            (etc / file).write_text(text)
        for file in source.glob("*.ring.gz"):
            save(self._with_addresses(load(file)), etc / file.name)
        self.machines[node].device_path(node).mkdir(parents=True)

    def _with_addresses(self, ring: Ring) -> Ring:
        """Zones are numbered as nodes are."""
        devices = []
        for device in ring.devices:
            assert device is not None, "a new ring has no gaps"
            ip = self.network.address(self.nodes[device.zone - 1])
            devices.append(dataclasses.replace(device, ip=ip, replication_ip=ip))
        return Ring(ring.header, ring.rows, devices)

    # Nodes

    def through(self, node: str) -> Machine:
        """As a client of this node's proxy."""
        return self.machines[node]

    def kill_node(self, node: str) -> None:
        """Everything of it dies, its proxy as well."""
        self.machines[node].crash()

    def start_node(self, node: str) -> None:
        """From whatever thread: what is started dies with the thread that starts it (PR_SET_PDEATHSIG)."""
        self._starter.submit(self.machines[node].start, *self._options).result()

    def pids(self, node: str | None = None, role: str | None = None) -> list[int]:
        wanted = self.nodes if node is None else [node]
        return [pid for name in wanted for pid in self.machines[name].pids(role=role)]

    def freeze(self, node: str, role: str | None = None) -> list[int]:
        return self.machines[node].freeze(node, role)

    def thaw(self, pids: Sequence[int]) -> None:
        self.machines[self.nodes[0]].thaw(pids)

    def device_path(self, node: str, device: str = "d1") -> Path:
        return self.machines[node].device_path(node, device)

    # As a Site

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, query: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        return self.through(self.nodes[0]).request(method, path, body, headers, query=query)

    def ask_proxy(self, method: str, target: str) -> final_check.Answer:
        machine = self.through(self.nodes[0])
        return machine.raw_request(method, f"/v1/AUTH_admin{target}", headers={"X-Auth-Token": machine.token()})

    def ask_place(self, place: Place, method: str, path: str) -> final_check.Answer:
        return self.network.call(place.node, asked, place.address, method, path)

    def disks(self) -> Disks:
        servers = [server for machine in self.machines.values() for server in read_servers(machine.directory)]
        return Disks(self.machines[self.nodes[0]].directory.etc, servers)

    def rounds(self, nodes: Iterable[str] = ()) -> Rounds:
        machines = [self.machines[node] for node in nodes or self.nodes]
        return Rounds([Part(each.directory.root, (), each.within) for each in machines])

    def logs(self) -> str:
        return "".join(f"=== {node}\n{machine.logs()[-3000:]}" for node, machine in self.machines.items())
