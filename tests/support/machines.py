"""Clusters of several machines, each on a loopback address of its own: what `objstore init --zone` and `join` make.

    with Machines(tmp_path) as machines:
        first = machines.add()                  made and started
        second = machines.add(zone="z2")
        second.request("PUT", "/c")

A Machine is a Cluster of one node (tests/support/cluster.py): status, processes, requests and configuration are its.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from objstore.cluster.client import HolderClient, connect
from objstore.cluster.node_state import differing
from tests.support.cluster import Cluster, objstore, until
from tests.support.ports import PortBlock

_PROXY, _AGENT, _NODE = 0, 1, 10


class Machine(Cluster):
    """via: a machine that is in the cluster already; None: the first."""

    def __init__(self, directory: Path, number: int, ports: PortBlock, via: Machine | None, **options: Any) -> None:
        super().__init__(directory / "etc", **options)
        self.number = number
        self.ip = f"127.0.0.{number}"
        self.zone = f"z{number}"
        self.drives = [directory / "drives" / "d1"]
        self._block = ports
        self._via = via

    def init(self) -> Machine:
        """init or join, without starting it; once."""
        if self.directory.exists:
            return self
        first = self._block.first
        common = ["--zone", self.zone, "--drives", *self.drives, "--ip", self.ip, "--agent-port", first + _AGENT]
        common += ["--node-port", first + _NODE, "--port", first + _PROXY]
        if self._via is None:
            code, output, error = objstore("init", self.directory.root, *common, "--part-power", 6)
            assert code == 0, error
            found = re.search(r"--token (\S+)", output)
            assert found
            self.token_printed = found[1]
        else:
            address, token = f"{self._via.ip}:{first + _AGENT}", self._via.join_token()
            self.join_output = self.join(address, token, *common)
        return self

    def join(self, address: str, token: str, *common: object) -> str:
        code, output, error = objstore(
            "join", address, "--token", token, "--dir", self.directory.root, "--proxy-workers", 1, "--no-up", *common
        )
        assert code == 0, error
        return output

    def join_token(self) -> str:
        code, output, error = objstore("node", "token", self.directory.root)
        assert code == 0, error
        return output.strip()

    @property
    def name(self) -> str:
        return self.directory.node_names()[0]

    @property
    def client(self) -> HolderClient:
        return connect(self.directory)

    @property
    def address(self) -> tuple[str, int]:
        return self.ip, self._block.first + _PROXY

    def device_path(self, node: str, device: str = "d1") -> Path:
        return self.drives[0].parent / device

    def ring_digests(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.directory.etc.glob("*.ring.gz"))}


class Machines:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._ports = PortBlock()
        self.all: list[Machine] = []

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.all:
            machine.close()
        self._ports.release()

    def add(self, via: Machine | None = None, *, is_started: bool = True) -> Machine:
        """One more, by the first or `via`."""
        number = len(self.all) + 1
        machine = Machine(self._root / f"m{number}", number, self._ports, via or (self.all[0] if self.all else None))
        self.all.append(machine)
        return machine.start() if is_started else machine.init()

    def wait_for_rings(self) -> None:
        """Until every machine that runs has the holder's rings and members, by the holder's own account."""
        running = [machine for machine in self.all if machine.status() is not None]

        def is_even() -> bool:
            facts = running[0].client.facts()
            heard = [node for node in facts.nodes if not node.problem and node.age_s is not None]
            return len(heard) == len(running) and not list(differing(facts))

        until(is_even, "every node has the same rings")
