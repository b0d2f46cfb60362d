"""A supervised server process: its application built from its file, served by http.Server until it must stop."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from objstore.cli.assembly import build
from objstore.cli.watchdog import spawn_watchdog
from objstore.cluster.peer_gate import gate_of
from objstore.cluster.servers import ServerFile
from objstore.config.errors import ConfigError
from objstore.config.priority import PrioritySettings
from objstore.http.environ import WSGIApp
from objstore.http.head import BACKEND_LIMITS, HeadLimits
from objstore.http.server import Server, ServerLimits
from objstore.middleware.request_metrics import RequestMetrics
from objstore.middleware.statsd import sender_of
from objstore.runtime import generations, green, logs
from objstore.runtime.priority import Priority, take
from objstore.runtime.supervisor import CannotStart
from objstore.runtime.worker import Program, Worker

PROXY = "proxy-server"
_log = logging.getLogger("objstore.serve")


def programs(servers: Iterable[ServerFile], log_directory: Path | None = None) -> list[Program]:
    """One Program per worker of every server. log_directory: where each (role, node) has its file; None: where the
    server's own settings say."""
    # Made before the fork, so that all workers see each other's changes.
    generations.create()
    found = []
    for server in servers:
        for index in range(server.settings.workers):
            found.append(
                Program(
                    server.role,
                    server.node,
                    partial(serve, server, log_directory),
                    index=index,
                    device=_devices(server),
                    addresses=(server.address,),
                    origin=server.origin,
                    backlog=server.settings.backlog,
                )
            )
    return found


def serve(server: ServerFile, log_directory: Path | None, worker: Worker) -> None:
    """Run in the child, until the supervisor asks it to stop. Raises CannotStart."""
    refused = take(priority_of(server.settings))
    open_log(server, log_directory)
    for problem in refused:
        _log.warning("%s", problem)
    green.patch_sockets()
    try:
        app, notes = build(server.ini, server.role)
        app = with_metrics(app, server)
        tls = tls_context(server)
    except ConfigError as error:
        raise CannotStart([str(problem) for problem in error.problems]) from None
    if worker.program.index == 0:
        for note in (*server.notes, *notes):
            _log.warning("%s", note)
    (sock,) = worker.sockets.values()
    http = http_server(server, sock, app, tls)
    task = green.spawn(http.serve)
    spawn_watchdog()
    green.sleep(0)
    _log.info(
        "serving role=%s node=%s address=%s:%d worker=%d",
        server.role,
        server.node,
        *server.address,
        worker.program.index,
    )
    worker.ready()
    worker.wait_for_stop()
    http.drain(worker.grace_s)
    task.join()
    _log.info("stopped role=%s node=%s worker=%d", server.role, server.node, worker.program.index)


def priority_of(settings: PrioritySettings) -> Priority:
    return Priority(settings.nice_priority, settings.ionice_class, settings.ionice_priority)


def with_metrics(app: WSGIApp, server: ServerFile) -> WSGIApp:
    """A storage server's application, its requests told to StatsD if that is configured. A proxy's are told by
    proxy-logging, which knows what clients see."""
    if server.role == PROXY:
        return app
    statsd = sender_of(server.settings)
    return app if statsd is None else RequestMetrics(app, statsd, server.role)


def http_server(server: ServerFile, sock: socket.socket, app: WSGIApp, tls: ssl.SSLContext | None) -> Server:
    """The server of an application, as [DEFAULT] of its file wants it. sock: bound and listening."""
    return Server(
        sock,
        app,
        limits=_limits(server),
        logger=logging.getLogger(f"objstore.{server.role}"),
        tls=tls,
        requires_proxy_line=server.settings.require_proxy_protocol,
        admits=_admits(server),
    )


def _admits(server: ServerFile) -> Callable[[str], bool] | None:
    """Who may connect to a storage server; None for everybody, as to a proxy."""
    pool = green.ThreadPool(1)
    gate = gate_of(server, later=pool.start)
    return None if gate is None else gate.open().admits


def open_log(server: ServerFile, log_directory: Path | None, role: str = "") -> None:
    """Send this process' log where it belongs. role: what the process is, when it is not the server itself."""
    if log_directory is not None:
        role = role or server.role
        name = role if server.node == "-" else f"{role}-{server.node}"
        logs.log_to_file(log_directory / f"{name}.log", server.settings.log_level)
    elif server.settings.log_file:
        logs.log_to_file(Path(server.settings.log_file), server.settings.log_level)
    else:
        logs.log_to_stderr(server.settings.log_level)


def tls_context(server: ServerFile) -> ssl.SSLContext | None:
    """From cert_file and key_file; None without. Raises CannotStart when they do not fit together."""
    if not server.settings.cert_file:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(server.settings.cert_file, server.settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise CannotStart(
            [f"{server.ini.path}: [DEFAULT] cert_file = {server.settings.cert_file!r}: cannot be used: {error}"]
        ) from None
    return context


def _limits(server: ServerFile) -> ServerLimits:
    settings = server.settings
    return ServerLimits(
        head=HeadLimits() if server.role == PROXY else BACKEND_LIMITS,
        client_timeout_s=settings.client_timeout,
        body_bytes_per_s=settings.client_min_rate,
        keepalive_timeout_s=settings.keepalive_timeout,
        max_connections=settings.max_clients,
    )


def _devices(server: ServerFile) -> str:
    """The devices of a storage server, for status: names of the directories under its `devices`."""
    if server.role == PROXY or not server.devices.is_dir():
        return ""
    return ",".join(sorted(entry.name for entry in server.devices.iterdir() if entry.is_dir()))
