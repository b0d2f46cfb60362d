"""Object replicators over StorageNodes: the real pass, on real sockets, one for each node."""

from __future__ import annotations

import hashlib
import logging
import random
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from objstore.config.cluster import Cluster, load_cluster
from objstore.core.hashing import suffix_of
from objstore.core.limits import Limits
from objstore.core.policy import Policies, Policy
from objstore.core.timestamp import Timestamp
from objstore.daemon.pass_ import EVERYTHING
from objstore.http.client import ConnectionPool
from objstore.http.server import Server
from objstore.object.app import build
from objstore.object.passes.deliver import Deliverer
from objstore.object.passes.here import Here, RingBook
from objstore.object.passes.replicate import ObjectReplicator, ReplicationRules
from objstore.object.settings import ObjectServerSettings
from objstore.peers.exchange import Caller
from objstore.peers.node_client import NodeClient, Timeouts
from objstore.peers.replicate import ReplicateCalls
from objstore.replication.in_band import InBandSender
from objstore.runtime import green
from objstore.runtime.clock import SystemClock
from objstore.runtime.device_threads import DeviceThreads
from objstore.runtime.devices import Devices
from objstore.runtime.fs import Fs
from objstore.runtime.green_fs import GreenFs
from objstore.storage.disk import DiskEngine
from objstore.storage.layout import ObjectAddress
from objstore.storage.partitions import PartitionPlaces

RECENT = float(int(time.time()) - 3600)
"""An hour ago: far from the age at which tombstones go, for the servers go by the real clock."""


def make_replicator(nodes, node, *, rsync=None, clock=None, timeout_s=60.0, port=None, **rules) -> ObjectReplicator:
    """The replicator of one node of StorageNodes. rsync: an RsyncPush; None goes in-band."""
    cluster = load_cluster(nodes.directory)
    clock = clock or SystemClock()
    devices = Devices(nodes.device_root(node), mount_check=False)
    engine = DiskEngine(devices, cluster.secrets, clock, fs=GreenFs())
    port = port or nodes.port(node, "object")
    return assemble(engine, devices, cluster, clock, port, rsync=rsync, timeout_s=timeout_s, **rules)


def assemble(engine, devices, cluster, clock, port, *, rsync=None, timeout_s=60.0, **rules) -> ObjectReplicator:
    places = PartitionPlaces(devices, GreenFs())
    threads = DeviceThreads(2)
    caller = Caller(ConnectionPool(), 10.0, timeout_s)
    calls = ReplicateCalls(NodeClient("object-replicator", Timeouts(10.0, timeout_s)))
    return ObjectReplicator(
        engine=engine,
        places=places,
        policies=cluster.policies,
        rings=RingBook(cluster.swift_dir, cluster.policies),
        here=Here(frozenset({"127.0.0.1"}), port),
        calls=calls,
        deliverer=Deliverer(
            engine, places, cluster.secrets, calls, InBandSender(caller, timeout_s, timeout_s), threads, rsync
        ),
        threads=threads,
        clock=clock,
        rules=ReplicationRules(**rules),
        random=random.Random(1),
    )


def run_pass(replicator, scope=EVERYTHING):
    """Every job of a pass, one after the other; the counts of all."""
    total = {}
    for job in list(replicator.jobs(scope)):
        for name, count in replicator.run(job).items():
            total[name] = total.get(name, 0) + count
    return total


class Copies:
    """What lies on the devices of StorageNodes, and a way to put something there that no proxy would."""

    def __init__(self, nodes) -> None:
        self.nodes = nodes
        self.cluster = load_cluster(nodes.directory)
        self.ring = RingBook(nodes.directory, self.cluster.policies).seen[0]

    def engine(self, node) -> DiskEngine:
        return DiskEngine(Devices(self.nodes.device_root(node), False), self.cluster.secrets, SystemClock())

    def partition(self, name: str) -> int:
        return self.ring.partition(self.cluster.secrets.digest(*name.split("/", 3)[1:]))

    def primaries(self, name: str) -> list[int]:
        """Numbers of the nodes the ring names."""
        return self.primaries_of(self.partition(name))

    def primaries_of(self, partition: int) -> list[int]:
        return [node.id for node in self.ring.primaries(partition)]

    def handoff(self, name: str) -> int:
        return next(self.ring.handoffs(self.partition(name))).id

    def address(self, name: str, node: int) -> ObjectAddress:
        digest = self.cluster.secrets.hash_path(*name.split("/", 3)[1:])
        return ObjectAddress(f"sd{node}", str(self.partition(name)), 0, name, digest)

    def put(self, node: int, name: str, body: bytes = b"hello", at: float = RECENT, **headers: str) -> None:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        etag = hashlib.md5(body).hexdigest()
        with self.engine(node).create(self.address(name, node), len(body)) as writer:
            writer.write(body)
            writer.commit(Timestamp.from_seconds(at), {"content-type": "text/plain", "etag": etag, **named})

    def post(self, node: int, name: str, at: float, **headers: str) -> None:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        self.engine(node).post(self.address(name, node), Timestamp.from_seconds(at), named, None)

    def delete(self, node: int, name: str, at: float) -> None:
        self.engine(node).delete(self.address(name, node), Timestamp.from_seconds(at))

    def directory(self, node: int, name: str) -> Path:
        address = self.address(name, node)
        partition = self.nodes.device_root(node) / address.device / "objects" / address.partition
        return partition / suffix_of(address.hash_hex) / address.hash_hex

    def names(self, node: int, name: str) -> list[str]:
        """Names in the object's directory on a node."""
        directory = self.directory(node, name)
        return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []

    def read(self, node: int, name: str):
        """(body, headers) of the object on a node; None when it is not there."""
        found = self.engine(node).open(self.address(name, node))
        if not hasattr(found, "body"):
            return None
        with found:
            return found.body.pread(found.size, 0), found.headers


@dataclass
class Exchange:
    """One request as it passed a server. passed: [way, bytes] in the order of the wire, pieces of one way joined."""

    method: str
    path: str
    passed: list

    def note(self, way, data):
        if data and self.passed and self.passed[-1][0] == way:
            self.passed[-1][1] += data
        elif data:
            self.passed.append([way, bytes(data)])


class _HeardInput:
    """wsgi.input that notes what is read from it."""

    def __init__(self, body, exchange):
        self._body = body
        self._exchange = exchange

    def readline(self, limit=-1):
        line = self._body.readline(limit)
        self._exchange.note(">", line)
        return line

    def readinto(self, buffer):
        count = self._body.readinto(buffer)
        self._exchange.note(">", bytes(buffer[:count]))
        return count


class LoneServer:
    """One object server with several devices, on loopback; everything it hears and says is in `exchanges`."""

    def __init__(self, folder: Path, devices, secrets, clock) -> None:
        self.folder = folder
        self.devices = devices
        self.secrets = secrets
        self.clock = clock
        self.exchanges: list[Exchange] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.policies = Policies([Policy(0, "gold", is_default=True)])

    def __enter__(self):
        for device in self.devices:
            (self.folder / "devices" / device).mkdir(parents=True)
        pairs = {"devices": str(self.folder / "devices"), "mount_check": "no", "fallocate_reserve": "0"}
        settings, _ = ObjectServerSettings.from_pairs(pairs)
        cluster = Cluster(self.folder, self.secrets, self.policies, Limits())
        self._app = build(settings, cluster, clock=self.clock)
        self._server = Server(self._listener, self._heard, logger=logging.getLogger("test"))
        self._task = green.spawn(self._server.serve)
        self.engine = self._engine(Fs())
        return self

    def __exit__(self, *_):
        self._server.drain(0)
        self._task.kill()
        self._listener.close()

    def _heard(self, environ, start_response):
        exchange = Exchange(environ["REQUEST_METHOD"], environ["PATH_INFO"], [])
        self.exchanges.append(exchange)
        environ["wsgi.input"] = _HeardInput(environ["wsgi.input"], exchange)

        def said():
            for piece in response:
                exchange.note("<", piece)
                yield piece

        response = self._app(environ, start_response)
        return said()

    def _engine(self, fs):
        return DiskEngine(Devices(self.folder / "devices", False), self.secrets, self.clock, fs=fs)

    def address(self, device, partition, name) -> ObjectAddress:
        return ObjectAddress(device, str(partition), 0, name, self.secrets.hash_path(*name.split("/", 3)[1:]))

    def directory(self, address: ObjectAddress) -> Path:
        partition = self.folder / "devices" / address.device / "objects" / address.partition
        return partition / suffix_of(address.hash_hex) / address.hash_hex

    def put(self, address, body, at: Timestamp, headers) -> None:
        etag = hashlib.md5(body).hexdigest()
        with self.engine.create(address, len(body)) as writer:
            writer.write(body)
            writer.commit(at, {"content-type": "text/plain", "etag": etag, **headers})

    def replicator(self, *, rsync=None) -> ObjectReplicator:
        """Of all devices; narrow it by a Scope."""
        return assemble(
            self._engine(GreenFs()),
            Devices(self.folder / "devices", False),
            Cluster(self.folder, self.secrets, self.policies, Limits()),
            self.clock,
            self.port,
            rsync=rsync,
        )
