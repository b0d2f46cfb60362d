"""The object server: a WSGI app made by PasteDeploy from [app:object-server]."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import Cluster, load_cluster
from objstore.config.settings import reads
from objstore.http.dispatch import BackendApp, Handler
from objstore.object.changes import OpenChanges
from objstore.object.context import ObjectContext
from objstore.object.delivery import HttpPeers, RowDelivery
from objstore.object.expiring import ExpiryQueue
from objstore.object.handlers.batch import BatchHandler
from objstore.object.handlers.collect import CollectHandler
from objstore.object.handlers.delete import DeleteHandler
from objstore.object.handlers.post import PostHandler
from objstore.object.handlers.put import PutHandler
from objstore.object.handlers.read import ReadHandler
from objstore.object.handlers.replicate import ReplicateHandler
from objstore.object.handlers.ssync import SsyncHandler
from objstore.object.placement import Placement
from objstore.object.settings import ObjectServerSettings
from objstore.object.update import ContainerUpdates, Delivery
from objstore.peers.batched import METHOD as BATCH
from objstore.peers.collected import METHOD as COLLECT
from objstore.peers.silence import Silences
from objstore.runtime.clock import Clock, SystemClock
from objstore.runtime.device_threads import DeviceThreads
from objstore.runtime.devices import Devices
from objstore.runtime.green_fs import GreenFs
from objstore.storage.disk import DiskEngine
from objstore.storage.engine import Engine
from objstore.storage.partitions import PartitionPlaces
from objstore.storage.writer import WriteSettings


@reads(ObjectServerSettings)
def app_factory(global_conf: Mapping[str, str], **local_conf: str) -> BackendApp:
    """Raises ConfigError with every problem of the section and of swift.conf."""
    settings = settings_for(ObjectServerSettings, global_conf, local_conf)
    return build(settings, load_cluster(swift_dir_of(global_conf)))


def build(
    settings: ObjectServerSettings,
    cluster: Cluster,
    *,
    clock: Clock | None = None,
    engine: Engine | None = None,
    delivery: Delivery | None = None,
) -> BackendApp:
    """The app over given parts; tests pass their own clock, engine or delivery."""
    clock = clock or SystemClock()
    engine = engine or disk_engine(settings, cluster, clock)
    delivery = delivery or RowDelivery(
        HttpPeers(settings.conn_timeout), clock, settings.container_update_timeout, Silences()
    )
    threads = DeviceThreads(settings.threads_per_disk)
    context = ObjectContext(
        engine=engine,
        policies=cluster.policies,
        secrets=cluster.secrets,
        clock=clock,
        settings=settings,
        updates=ContainerUpdates(delivery, engine, threads, cluster.secrets),
        changes=OpenChanges(engine, threads, clock),
        threads=threads,
        expiry=ExpiryQueue(
            cluster.secrets, settings.expiring_objects_account_name, settings.expiring_objects_container_divisor
        ),
        logger=logging.getLogger("objstore.object"),
    )
    # With threads of its own: while a disk is filled again, clients' reads do not stand in line behind its hashing.
    replication = replace(context, threads=DeviceThreads(settings.threads_per_disk))
    read = ReadHandler(context)
    places = PartitionPlaces(Devices(settings.devices, settings.mount_check), GreenFs())
    placement = Placement(cluster.swift_dir, cluster.policies)
    app = BackendApp(
        "object",
        {"GET": read, "HEAD": read, **_writes(context)},
        {
            "REPLICATE": ReplicateHandler(replication, places),
            "SSYNC": SsyncHandler(replication, places, placement, _writes(replication)),
        },
        own_handlers={COLLECT: CollectHandler(context), BATCH: BatchHandler(lambda request: app.respond(request))},
        replication_server=settings.replication_server,
        logger=context.logger,
    )
    return app


def _writes(context: ObjectContext) -> dict[str, Handler]:
    return {"PUT": PutHandler(context), "POST": PostHandler(context), "DELETE": DeleteHandler(context)}


def disk_engine(settings: ObjectServerSettings, cluster: Cluster, clock: Clock) -> DiskEngine:
    return DiskEngine(
        Devices(settings.devices, settings.mount_check),
        cluster.secrets,
        clock,
        fs=GreenFs(),
        reserve=settings.fallocate_reserve,
        reclaim_age_s=settings.reclaim_age,
        settings=WriteSettings(
            bytes_per_sync=settings.mb_per_sync << 20,
            past_cache_from_bytes=settings.keep_cache_size,
            preallocate=not settings.disable_fallocate,
        ),
    )
