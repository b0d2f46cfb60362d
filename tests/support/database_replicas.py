"""Account and container databases on the disks of StorageNodes, and their replicators: what tests of replication need.

replicas = Replicas(nodes, "container")
home = replicas.make(0, "c")                 the database of AUTH_v/c on its first primary
replicas.replicate(0)                        one pass of the replicator of that primary's node
"""

from __future__ import annotations

import logging
from collections import Counter

from objstore.account.passes.replicate import Accounts
from objstore.config.cluster import load_cluster
from objstore.container.passes.replicate import Containers
from objstore.core.timestamp import Timestamp
from objstore.daemon.pass_ import EVERYTHING
from objstore.db import account, container
from objstore.db.account import AccountBroker
from objstore.db.container import ContainerBroker
from objstore.db.database import Databases
from objstore.db.outbound import local_state
from objstore.http.client import ConnectionPool
from objstore.peers.db_replicas import DatabasePeers
from objstore.replication.db_file import Files
from objstore.replication.db_replicator import DatabaseReplicator, Options
from objstore.replication.db_sender import Limits, Sender
from objstore.ring.fileformat import load
from objstore.runtime.clock import SystemClock
from objstore.runtime.devices import Devices
from tests.support.databases import NOW, row

ACCOUNT = "AUTH_v"
LOGGER = logging.getLogger("objstore.test")


class Replicas:
    """kind: account or container. Positions are those in the ring's order of a database's nodes: primaries from 0, then
    handoffs; every node has one device."""

    def __init__(self, nodes, kind, clock=None):
        self.nodes = nodes
        self.kind = kind
        self.clock = clock or SystemClock()
        self.cluster = load_cluster(nodes.directory)
        self.ring = load(nodes.directory / f"{kind}.ring.gz")
        self.pool = ConnectionPool()
        self.databases = Databases(account.KIND if kind == "account" else container.KIND, LOGGER)

    def close(self):
        self.pool.close()
        self.databases.handles.close()

    def names(self, name):
        return (ACCOUNT,) if self.kind == "account" else (ACCOUNT, name)

    def order(self, name="c", names=None):
        """Nodes of a database: primaries, then handoffs."""
        partition = self.ring.partition(self.cluster.secrets.digest(*(names or self.names(name))))
        return [*self.ring.primaries(partition), *self.ring.handoffs(partition)], partition

    def broker(self, position, name="c", names=None):
        order, partition = self.order(name, names)
        node = order[position].id
        hash_hex = self.cluster.secrets.hash_path(*(names or self.names(name)))
        database = self.databases.at(f"{self.nodes.device_root(node)}/sd{node}", str(partition), hash_hex)
        return AccountBroker(database) if self.kind == "account" else ContainerBroker(database)

    def make(self, position, name="c", put=NOW, policy=0, created=NOW):
        broker = self.broker(position, name)
        if self.kind == "account":
            assert broker.create(ACCOUNT, put, created)
        else:
            assert broker.create(ACCOUNT, name, put, created, policy)
        return broker

    def make_all(self, name="c", count=3, **more):
        return [self.make(position, name, **more) for position in range(count)]

    def state(self, position, name="c"):
        database = self.broker(position, name).database
        database.flush()
        return database.read(lambda connection: local_state(connection, self.databases.kind.datadir))

    def names_in(self, position, name="c"):
        table = "container" if self.kind == "account" else "object"
        query = f"SELECT name FROM {table} WHERE deleted = 0 ORDER BY name"
        database = self.broker(position, name).database
        return [found for (found,) in database.read(lambda connection: connection.execute(query).fetchall())]

    def replicator(self, node, *, rsync=None, per_diff=1000, max_diffs=100, node_timeout_s=20, **options):
        peers = DatabasePeers(self.pool, conn_timeout_s=2, node_timeout_s=node_timeout_s)
        files = Files(peers, rsync)
        sender = Sender(peers, files, self.cluster.policies, self.clock, Limits(per_diff, max_diffs))
        rings = lambda: self.ring  # noqa: E731
        kindred = Accounts() if self.kind == "account" else Containers(self.cluster.secrets, rings, self.clock)
        return DatabaseReplicator(
            f"{self.kind}-replicator", self.databases, Devices(self.nodes.device_root(node), False), rings,
            frozenset({"127.0.0.1"}), self.nodes.port(node, self.kind), sender, kindred, self.clock, LOGGER,
            Options(**{"reclaim_age_s": 1e10, **options}),
        )  # fmt: skip

    def replicate(self, position, name="c", **options):
        """One pass on the node of a position; the counts, added up."""
        replicator = self.replicator(self.order(name)[0][position].id, **options)
        counts = Counter()
        for job in replicator.jobs(EVERYTHING):
            counts.update(replicator.run(job))
        return counts


def rows(*names, at=1.0, **more):
    return [row(name, at, **more) for name in names]


def at(seconds):
    return Timestamp(NOW.ticks + round(seconds * 100_000))
