"""Putting a replicator of databases together from its settings: what the factories of both kinds share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from objstore.daemon.surroundings import Surroundings
from objstore.db.database import Databases
from objstore.db.kind import Kind
from objstore.http.client import ConnectionPool
from objstore.peers.db_replicas import DatabasePeers
from objstore.replication.db_file import Files
from objstore.replication.db_replicator import DatabaseReplicator, Kindred, Options
from objstore.replication.db_rsync import Rsync
from objstore.replication.db_sender import Limits, Sender
from objstore.replication.db_settings import AccountReplicatorSettings, ContainerReplicatorSettings
from objstore.replication.rsync_module import is_installed
from objstore.ring.model import Ring
from objstore.ring.reload import ReloadingRing
from objstore.runtime.netinfo import local_addresses

S = TypeVar("S", AccountReplicatorSettings, ContainerReplicatorSettings)


def make_replicator(
    surroundings: Surroundings[S], kind: Kind, kindred: Callable[[Callable[[], Ring]], Kindred]
) -> DatabaseReplicator:
    """kindred: made with the ring of this moment. Raises RingFileError where there is no ring."""
    settings, cluster = surroundings.settings, surroundings.cluster
    reloading = ReloadingRing(cluster.swift_dir / f"{kind.server}.ring.gz")
    assert reloading.current is not None  # Read now: a daemon without a ring must not start.
    logger = logging.getLogger(f"objstore.{surroundings.name}")
    peers = DatabasePeers(ConnectionPool(), conn_timeout_s=settings.conn_timeout, node_timeout_s=settings.node_timeout)
    ip, port = surroundings.address
    return DatabaseReplicator(
        name=surroundings.name,
        databases=Databases(kind, logger),
        devices=surroundings.devices,
        ring=lambda: reloading.current,
        addresses=local_addresses(ip),
        port=port,
        sender=Sender(
            peers,
            Files(peers, _rsync(settings)),
            cluster.policies,
            surroundings.clock,
            Limits(settings.per_diff, settings.max_diffs),
        ),
        kindred=kindred(lambda: reloading.current),
        clock=surroundings.clock,
        logger=logger,
        options=Options(settings.reclaim_age, settings.handoffs_only, settings.handoff_delete),
    )


def _rsync(settings: AccountReplicatorSettings | ContainerReplicatorSettings) -> Rsync | None:
    if not settings.rsync_module or not is_installed():
        return None
    return Rsync(
        settings.rsync_module,
        settings.rsync_io_timeout,
        max(1, round(settings.conn_timeout)),
        settings.rsync_compress,
    )
