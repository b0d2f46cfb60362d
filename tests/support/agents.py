"""Nodes of a cluster whose agents serve in this process' hub, by TLS on loopback addresses; nothing else of them runs.

    with Agents(tmp_path) as agents:
        first = agents.first()
        second = agents.join("z2")
        first.round()

What blocks runs in native threads, as in the real process, while the hub of the test serves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from objstore.cli import token_keys
from objstore.cli.at_once import within
from objstore.cli.user_nodes import change_here
from objstore.cluster import agent, drives, first_node, joining, token
from objstore.cluster.agent_app import AgentApp
from objstore.cluster.calls import Calls, peer_of
from objstore.cluster.certificate import CERTIFICATE_FILE, KEY_FILE
from objstore.cluster.channel import Peer
from objstore.cluster.client import HolderClient, connect
from objstore.cluster.cluster_key import KeyRing
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.first_node import FirstNode
from objstore.cluster.init import InitPlan
from objstore.cluster.joining import JoinPlan
from objstore.http.server import Server
from objstore.http.tls import server_context
from objstore.runtime import green
from objstore.runtime.fs import Fs
from objstore.runtime.listen import listen
from tests.support.http import PATIENCE_S, LogLines
from tests.support.ports import PortBlock

T = TypeVar("T")
_PROXY, _NODE = 1, 10


class Node:
    """A directory and, between start() and stop(), its agent."""

    def __init__(self, agents: Agents, directory: ClusterDirectory, ip: str) -> None:
        self.directory = directory
        self.ip = ip
        self.agent: agent.Agent | None = None
        self._agents = agents
        self._ended: Callable[[], None] = lambda: None

    @property
    def etc(self) -> Path:
        return self.directory.etc

    @property
    def id(self) -> str:
        return agent.own_membership(self.etc, Fs())[0].node_id

    @property
    def peer(self) -> Peer:
        me = agent.own_membership(self.etc, Fs())[0].me
        assert me is not None
        return peer_of(me)

    @property
    def calls(self) -> Calls:
        """To ask others as this node does."""
        return Calls(KeyRing(self.etc, Fs()).signing, self.id, round_s=PATIENCE_S)

    def client(self) -> HolderClient:
        return connect(self.directory)

    def start(self, fs: Fs | None = None) -> Node:
        """fs: the agent's, of a test that breaks it."""
        self.agent = agent.opened(
            self.directory,
            within,
            fs=fs,
            round_s=PATIENCE_S,
            users=partial(change_here, self.directory),
            token_keys=partial(token_keys.change_here, self.directory),
        )
        app = AgentApp(self.agent, self._agents.blocking)
        listener = listen((self.ip, self._agents.port))
        tls = server_context(str(self.etc / CERTIFICATE_FILE), str(self.etc / KEY_FILE))
        server = Server(listener, app, logger=self._agents.logger, tls=tls)
        task = green.spawn(server.serve)

        def end() -> None:
            server.drain(0.05)
            task.join()
            listener.close()

        self._ended = end
        return self

    def stop(self) -> None:
        ended, self._ended, self.agent = self._ended, lambda: None, None
        ended()

    def round(self) -> None:
        """As the process does every few seconds."""
        assert self.agent is not None
        self._agents.blocking(self.agent.round)

    def ring(self, name: str = "object") -> bytes:
        return (self.etc / f"{name}.ring.gz").read_bytes()


class Agents:
    """exchange: what a joining node's requests go through; tests put themselves in between."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nodes: list[Node] = []
        self.token: token.Token | None = None
        self.log = LogLines()
        self.logger = logging.getLogger("objstore.agent")
        self._ports = PortBlock()
        self._pool = green.ThreadPool(16)

    def __enter__(self) -> Agents:
        self._level = self.logger.level
        self.logger.addHandler(self.log)
        self.logger.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.stop()
        self.logger.removeHandler(self.log)
        self.logger.setLevel(self._level)
        self._ports.release()

    @property
    def port(self) -> int:
        """Of every agent, each on its own address."""
        return self._ports.first

    def blocking(self, call: Callable[..., T], *arguments: Any) -> T:
        """Run what blocks while the hub serves."""
        return self._pool.run(call, *arguments)

    def first(self, *, weight: int | None = None, ip: str = "127.0.0.1", **plan: Any) -> Node:
        """The first node, which holds the builders; its agent runs."""
        directory = ClusterDirectory(self.root / "c1")
        found = drives.found([self.root / "m1" / "d1"], Fs())
        first = FirstNode("z1", found, ip, self.port, weight=weight)
        fields = {"part_power": 4, "port": self.port + _PROXY, "base_port": self.port + _NODE, "ip": ip} | plan
        _, self.token = first_node.initialise(directory, InitPlan(**fields), first, Fs())
        return self._node(directory, ip)

    def plan(self, number: int, zone: str, **changes: Any) -> JoinPlan:
        fields: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "zone": zone,
            "drives": drives.found([self.root / f"m{number}" / "d1"], Fs()),
            "ip": f"127.0.0.{number}",
            "agent_port": self.port,
            "base_port": self.port + _NODE,
            "proxy_port": self.port + _PROXY,
        }
        return JoinPlan(**(fields | changes))

    def join(self, zone: str = "", *, fs: Fs | None = None, **changes: Any) -> Node:
        """One more node, by a token of its own; its agent runs. Raises what joining.join does."""
        number = len(self.nodes) + 1
        directory = ClusterDirectory(self.root / f"c{number}")
        plan = self.plan(number, zone or f"z{number}", **changes)
        self.blocking(joining.join, directory, plan, self.new_token(), fs or Fs(), lambda _: None)
        return self._node(directory, plan.ip)

    def new_token(self) -> token.Token:
        """The first node's, then others."""
        if self.token is not None:
            found, self.token = self.token, None
            return found
        return token.parse(self.blocking(self.nodes[0].client().new_token))

    def _node(self, directory: ClusterDirectory, ip: str) -> Node:
        node = Node(self, directory, ip).start()
        self.nodes.append(node)
        return node
