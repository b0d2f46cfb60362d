"""The account server: a WSGI app over account databases. Started by paste as egg:objstore#account."""

from __future__ import annotations

import logging
from functools import partial

from objstore.account.handlers import change, put, read, replicate
from objstore.account.service import AccountService
from objstore.account.settings import AccountServerSettings
from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import Cluster, load_cluster
from objstore.config.settings import reads
from objstore.db.account import KIND
from objstore.dbserver.node import DatabaseNode
from objstore.http.dispatch import BackendApp, Handler
from objstore.runtime.clock import Clock, SystemClock

logger = logging.getLogger("objstore.account")


def make_app(settings: AccountServerSettings, cluster: Cluster, clock: Clock) -> BackendApp:
    service = AccountService(DatabaseNode.of(KIND, settings, cluster, clock, logger))
    handlers: dict[str, Handler] = {
        "DELETE": partial(change.delete, service),
        "GET": partial(read.get, service),
        "HEAD": partial(read.head, service),
        "POST": partial(change.post, service),
        "PUT": partial(put.put, service),
    }
    return service.node.app(handlers, partial(replicate.replicate, service))


@reads(AccountServerSettings)
def app_factory(global_conf: dict[str, str], **local_conf: str) -> BackendApp:
    """PasteDeploy. Raises ConfigError."""
    settings = settings_for(AccountServerSettings, global_conf, local_conf)
    return make_app(settings, load_cluster(swift_dir_of(global_conf)), SystemClock())
