"""object-replicator from its settings: what the pass, its methods of transport and its peers are made of."""

from __future__ import annotations

import logging

from objstore.config.settings import reads
from objstore.daemon.surroundings import Surroundings
from objstore.http.client import ConnectionPool
from objstore.object.passes.deliver import Deliverer
from objstore.object.passes.here import Here, RingBook
from objstore.object.passes.replicate import ObjectReplicator, ReplicationRules
from objstore.object.passes.replicate_settings import ObjectReplicatorSettings
from objstore.peers.exchange import Caller
from objstore.peers.node_client import NodeClient, Timeouts
from objstore.peers.replicate import ReplicateCalls
from objstore.replication.in_band import InBandSender
from objstore.replication.rsync_module import is_installed
from objstore.replication.rsync_push import RsyncPush
from objstore.runtime.device_threads import DeviceThreads
from objstore.runtime.green_fs import GreenFs
from objstore.runtime.netinfo import local_addresses
from objstore.storage.disk import DiskEngine
from objstore.storage.partitions import PartitionPlaces

_log = logging.getLogger("objstore.object-replicator")


@reads(ObjectReplicatorSettings)
def factory(surroundings: Surroundings[ObjectReplicatorSettings]) -> ObjectReplicator:
    settings, cluster, devices = surroundings.settings, surroundings.cluster, surroundings.devices
    fs = GreenFs()
    engine = DiskEngine(devices, cluster.secrets, surroundings.clock, fs=fs, reclaim_age_s=settings.reclaim_age)
    places = PartitionPlaces(devices, fs)
    threads = DeviceThreads(settings.threads_per_disk)
    caller = Caller(ConnectionPool(), settings.conn_timeout, settings.node_timeout)
    calls = ReplicateCalls(NodeClient("object-replicator", Timeouts(settings.conn_timeout, settings.http_timeout)))
    here = Here(local_addresses(surroundings.address[0]), surroundings.address[1])
    rings = RingBook(cluster.swift_dir, cluster.policies)
    deliverer = Deliverer(
        engine,
        places,
        cluster.secrets,
        calls,
        InBandSender(caller, settings.node_timeout, settings.http_timeout),
        threads,
        _rsync(settings),
        here.region(rings.seen.values()),
        bandwidth_kb_s=settings.rsync_bwlimit,
        clock=surroundings.clock,
    )
    return ObjectReplicator(
        engine,
        places,
        cluster.policies,
        rings,
        here,
        calls,
        deliverer,
        threads,
        surroundings.clock,
        ReplicationRules(settings.handoffs_first, settings.handoff_delete),
    )


def _rsync(settings: ObjectReplicatorSettings) -> RsyncPush | None:
    if settings.sync_method != "rsync":
        return None
    if not is_installed():
        _log.warning("sync_method = rsync, but rsync is not installed here: objects travel in-band")
        return None
    return RsyncPush(
        settings.rsync_module,
        settings.rsync_timeout,
        settings.rsync_io_timeout,
        settings.rsync_bwlimit,
        settings.rsync_compress,
    )
