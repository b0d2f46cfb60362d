"""Daemons as processes: which there are, how their sections become Runners, and what a process of them does.

One process can run several: `objstore up` has one for all daemons of a node. What is there is told by the entry points
of the group objstore.daemon; a name's first word says whose ini file has its section.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from objstore.cli.assembly import internal_pipeline
from objstore.cli.serve import open_log, priority_of
from objstore.cli.watchdog import spawn_watchdog
from objstore.cluster.servers import PROXY_NODE, ServerFile
from objstore.config.cluster import Cluster, load_cluster
from objstore.config.errors import ConfigError, ConfigProblem
from objstore.config.factories import DAEMON_GROUP, installed
from objstore.config.report import daemon_settings
from objstore.config.server import ROLE_PORTS, ServerSettings
from objstore.daemon.pass_ import EVERYTHING, Scope
from objstore.daemon.runner import Runner, Schedule
from objstore.daemon.settings import DaemonSettings, kind_of
from objstore.daemon.surroundings import Surroundings
from objstore.daemon.worker_share import WorkerShare, devices_of
from objstore.middleware.statsd import sender_of
from objstore.ring.fileformat import RingFileError
from objstore.runtime import green
from objstore.runtime.clock import SystemClock
from objstore.runtime.devices import Devices
from objstore.runtime.priority import give_way
from objstore.runtime.supervisor import CannotStart
from objstore.runtime.worker import Program, Worker

ROLE = "daemons"
_log = logging.getLogger("objstore.daemons")


@dataclass(frozen=True, slots=True)
class DaemonPlan:
    """A daemon whose section was read and is right. server: the file it stands in."""

    name: str
    settings: DaemonSettings
    server: ServerFile


def names() -> tuple[str, ...]:
    """Every daemon there is."""
    return installed().names(DAEMON_GROUP)


def role_of(name: str) -> str:
    """object-updater → object-server."""
    return f"{kind_of(name)}-server"


def plans(servers: Iterable[ServerFile], wanted: Iterable[str] | None = None) -> list[DaemonPlan]:
    """The daemons that go with some servers' files. wanted: names; None is all. Raises ConfigError."""
    found: list[DaemonPlan] = []
    problems: list[ConfigProblem] = []
    by_role = {server.role: server for server in servers}
    for name in names() if wanted is None else wanted:
        server = by_role.get(role_of(name))
        if server is None:
            continue
        settings_class = installed().settings_class(DAEMON_GROUP, name)
        assert settings_class is not None and issubclass(settings_class, DaemonSettings), name
        settings, wrong = daemon_settings(server.ini, name, settings_class)
        problems += wrong
        found.append(DaemonPlan(name, settings, server))
    if problems:
        raise ConfigError(problems)
    return found


def node_programs(servers: Sequence[ServerFile], log_directory: Path) -> list[Program]:
    """One Program per node, with all of its daemons. Raises ConfigError."""
    nodes: dict[str, list[ServerFile]] = {}
    for server in servers:
        if server.node != PROXY_NODE:
            nodes.setdefault(server.node, []).append(server)
    found = []
    for node, files in nodes.items():
        wanted = plans(files)
        if wanted:
            found.append(Program(ROLE, node, partial(serve, wanted, EVERYTHING, log_directory)))
    return found


def shares(plan: DaemonPlan, scope: Scope) -> list[WorkerShare | None]:
    """Of the processes of a daemon that runs by its own command: as many as its settings want, at most one per disk.
    [None] for a single process, which does everything."""
    section = _section_server_settings(plan)
    names = Devices(section.devices, section.mount_check).all_names
    try:
        count = min(plan.settings.worker_count, len(devices_of(scope, names())))
    except OSError:
        count = 1  # It says what is wrong with them.
    return [WorkerShare(index, count, names) for index in range(count)] if count > 1 else [None]


def serve(
    wanted: Sequence[DaemonPlan],
    scope: Scope,
    log_directory: Path | None,
    worker: Worker,
    *,
    share: WorkerShare | None = None,
) -> None:
    """Run in the child until the supervisor asks it to stop. share: of its daemon, where several processes do it.
    Raises CannotStart."""
    refused = give_way([priority_of(plan.settings) for plan in wanted])
    open_log(wanted[0].server, log_directory, worker.program.role)
    for problem in refused:
        _log.warning("%s", problem)
    green.patch_sockets()
    runners = [runner(plan, share) for plan in wanted]
    tasks = [green.spawn(each.run_forever, scope) for each in runners]
    pet = spawn_watchdog()
    _log.info("running node=%s daemons=%s", worker.program.node, ",".join(plan.name for plan in wanted))
    worker.ready()
    worker.wait_for_stop()
    stops = [green.spawn(each.stop) for each in runners]
    for stop in stops:
        stop.join()
    for task in (*tasks, *([pet] if pet else [])):
        task.kill()
    _log.info("stopped node=%s", worker.program.node)


def runner(plan: DaemonPlan, share: WorkerShare | None = None) -> Runner[Any]:
    """Build a daemon's pass and what runs it. Raises CannotStart: swift.conf or a ring cannot be used."""
    section = _section_server_settings(plan)
    clock = SystemClock()
    factory: Callable[..., Any] | None = installed().load(DAEMON_GROUP, plan.name)
    assert factory is not None
    try:
        cluster: Cluster = load_cluster(Path(section.swift_dir))
        the_pass = factory(
            Surroundings(
                plan.name,
                plan.settings,
                cluster,
                Devices(section.devices, section.mount_check),
                (section.bind_ip, section.bind_port or ROLE_PORTS[plan.server.role]),
                clock,
                plan.server.ini.own_pairs_only,
                partial(internal_pipeline, plan.server.ini, Path(section.swift_dir)),
            )
        )
    except ConfigError as error:
        raise CannotStart([str(problem) for problem in error.problems]) from None
    except RingFileError as error:
        raise CannotStart([str(error)]) from None
    statsd = sender_of(section)
    return Runner(the_pass, _schedule(plan.settings, share.count if share else 1), clock, statsd=statsd, share=share)


def _schedule(settings: DaemonSettings, workers: int) -> Schedule:
    """The schedule of one process of several: together they go no faster than one would."""
    rate = replace(settings.rate, per_second=settings.rate.per_second / workers)
    return Schedule(settings.interval, settings.concurrency_among(workers), rate, settings.recon_directory)


def _section_server_settings(plan: DaemonPlan) -> ServerSettings:
    """[DEFAULT] as this daemon sees it: its own section may say otherwise (devices, mount_check, swift_dir)."""
    pairs = plan.server.ini.own_pairs(plan.name)
    settings, _ = ServerSettings.from_pairs({key: pairs[key] for key in pairs if key in ServerSettings.keys()})
    return settings
