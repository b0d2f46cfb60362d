"""The account server: a WSGI app over account databases. Started by paste as egg:objstore#account."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from objstore.account.handlers import change, put, read, replicate
from objstore.account.service import AccountService
from objstore.account.settings import AccountServerSettings
from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import load_cluster
from objstore.core.hashing import HashSecrets
from objstore.core.limits import Limits
from objstore.core.policy import Policies
from objstore.db.account import KIND
from objstore.db.database import Databases
from objstore.http.dispatch import BackendApp, Handler
from objstore.runtime.clock import Clock, SystemClock
from objstore.runtime.devices import Devices

logger = logging.getLogger("objstore.account")


def make_app(
    settings: AccountServerSettings,
    *,
    secrets: HashSecrets,
    policies: Policies,
    limits: Limits,
    clock: Clock,
) -> BackendApp:
    service = AccountService(
        settings=settings,
        secrets=secrets,
        policies=policies,
        limits=limits,
        devices=Devices(settings.devices, settings.mount_check),
        databases=Databases(KIND, logger),
        clock=clock,
    )
    handlers: dict[str, Callable[..., Any]] = {
        "DELETE": change.delete,
        "GET": read.get,
        "HEAD": read.head,
        "POST": change.post,
        "PUT": put.put,
    }
    bound: dict[str, Handler] = {method: partial(handler, service) for method, handler in handlers.items()}
    return BackendApp(
        "account",
        bound,
        {"REPLICATE": partial(replicate.replicate, service)},
        replication_server=settings.replication_server,
        logger=logger,
    )


def app_factory(global_conf: dict[str, str], **local_conf: str) -> BackendApp:
    """PasteDeploy. Raises ConfigError."""
    settings = settings_for(AccountServerSettings, global_conf, local_conf)
    cluster = load_cluster(swift_dir_of(global_conf))
    return make_app(
        settings, secrets=cluster.secrets, policies=cluster.policies, limits=cluster.limits, clock=SystemClock()
    )


app_factory.settings_class = AccountServerSettings  # type: ignore[attr-defined]
