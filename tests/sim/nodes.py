"""A storage node: its disks, the servers and daemons that run on it, and the ways in which it can fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import eventlet
import eventlet.semaphore

from objstore.account.app import app_factory as account_factory
from objstore.config.cluster import load_cluster
from objstore.config.factories import DAEMON_GROUP, installed
from objstore.container.app import app_factory as container_factory
from objstore.core.timestamp import Timestamp
from objstore.daemon.runner import Runner, Schedule
from objstore.daemon.surroundings import Surroundings
from objstore.object.app import app_factory as object_factory
from objstore.object.passes.deliver import Small
from objstore.proxy.app import app_factory as proxy_factory
from objstore.runtime.clock import SystemClock
from objstore.runtime.devices import Devices
from tests.sim.disk import SimFs
from tests.sim.host import HOST, Ended, Process
from tests.sim.network import Network, SimServer
from tests.support.durability import ByChance

PORTS = {"object": 6200, "container": 6201, "account": 6202}
_FACTORIES = {"object": object_factory, "container": container_factory, "account": account_factory}
_SERVER_SETTINGS = {
    "object": {"fallocate_reserve": "0", "replication_lock_timeout": "1", "container_update_timeout": "1"},
    "container": {"fallocate_reserve": "0", "report_interval": "5"},
    "account": {"fallocate_reserve": "0"},
}
_DAEMON_SETTINGS = {
    "object-replicator": {"sync_method": "ssync", "http_timeout": "20", "node_timeout": "10"},
    "account-replicator": {"rsync_module": ""},
    "container-replicator": {"rsync_module": ""},
    "object-auditor": {"files_per_second": "0"},
    "object-updater": {},
}
DAEMONS = (
    "object-auditor",
    "container-auditor",
    "account-auditor",
    "object-updater",
    "container-updater",
    "container-replicator",
    "account-replicator",
    "object-replicator",
    "object-expirer",
    "account-reaper",
)
_TRANSPORT = ("rsync", "rsyncd")
"""Processes beside those, of which rsync.py makes use."""
RECONCILER = "container-reconciler"
_PASSES = {name: installed().load(DAEMON_GROUP, name) for name in (*DAEMONS, RECONCILER)}
"""Loaded here, not when they first run: every run shall begin with the same modules in memory."""
PROXY_SETTINGS = {"account_autocreate": "yes", "allow_account_management": "yes", "sorting_method": "shuffle"}


class Node:
    """name: also of its directory in the world. disks: names of its devices."""

    def __init__(self, world: Path, number: int, disks: list[str], network: Network) -> None:
        self.name = f"n{number}"
        self.ip = f"192.0.2.{number + 1}"
        self.root = world / self.name / "devices"
        self.swift_dir = world / self.name / "etc"
        self.disks = disks
        self.skew_s = 0.0
        self.error_rate = 0.0
        self.boots = 1
        self.travels_in_band = Small()
        self.daemon_settings = dict(_DAEMON_SETTINGS)
        self.processes: dict[str, Process] = {}
        self._network = network
        self._passes: dict[str, Runner[Any]] = {}
        self._incarnation = 0
        self._turn = eventlet.semaphore.Semaphore()

    def make(self) -> None:
        for disk in self.disks:
            (self.root / disk).mkdir(parents=True)
            SimFs.shadow.all_synced(str(self.root / disk))
        self.swift_dir.mkdir()

    # Life and death

    @property
    def is_up(self) -> bool:
        return bool(self.processes)

    def start(self) -> None:
        with self._turn:
            if not self.is_up:
                self._start()

    def _start(self) -> None:
        self._incarnation += 1
        for kind in (*PORTS, "daemons", *_TRANSPORT):
            self.processes[kind] = Process(f"{self.name}/{kind}#{self._incarnation}", self, self.skew_s)
        for kind, port in PORTS.items():
            self._serve(kind, port)
        self._passes = {}

    def restart_server(self, kind: str) -> None:
        """kill -9 of one server; its service manager starts it again."""
        with self._turn:
            if self.is_up:
                self._replace(kind)
                self._serve(kind, PORTS[kind])

    def restart_daemons(self) -> None:
        with self._turn:
            if self.is_up:
                self._replace("daemons")
                self._passes = {}

    def end_transfers(self) -> None:
        """Whatever rsync is about here, on either side, ends."""
        with self._turn:
            if self.is_up:
                for kind in _TRANSPORT:
                    self._replace(kind)

    def _replace(self, kind: str) -> None:
        self._end(self.processes[kind])
        self._incarnation += 1
        self.processes[kind] = Process(f"{self.name}/{kind}#{self._incarnation}", self, self.skew_s)

    def crash(self, *, has_power_cut: bool) -> None:
        """Everything on the node ends at once; with a power cut its disks keep what was synced."""
        with self._turn:
            self._crash(has_power_cut)

    def _crash(self, has_power_cut: bool) -> None:
        processes, self.processes = self.processes, {}
        for process in processes.values():
            process.is_alive = False
        for process in processes.values():
            self._end(process)
        for address in [(self.ip, port) for port in PORTS.values()]:
            if has_power_cut:
                self._network.servers.pop(address, None)
        if has_power_cut:
            self.boots += 1
            for disk in self.disks:
                if (self.root / disk).is_dir():
                    SimFs.shadow.power_cut(str(self.root / disk), ByChance(HOST.random))

    def _end(self, process: Process) -> None:
        process.kill()
        self._network.cut(process)

    def _serve(self, kind: str, port: int) -> None:
        app = _FACTORIES[kind](
            {"swift_dir": str(self.swift_dir), "bind_ip": self.ip, "bind_port": str(port)},
            devices=str(self.root),
            mount_check="no",
            **_SERVER_SETTINGS[kind],
        )
        self._network.servers[self.ip, port] = SimServer(_traced(app, f"{self.name}/{kind}"), self.processes[kind])

    # Disks

    def disk_fails(self, kind: str) -> bool:
        return bool(self.error_rate) and kind != "sync" and HOST.random.random() < self.error_rate

    def empty(self, disk: str) -> None:
        """The disk is replaced by a new one, under running servers."""
        path = self.root / disk
        os.rename(path, self.root.parent / f"removed-{disk}-{HOST.random.randrange(1 << 30)}")
        path.mkdir()
        SimFs.shadow.all_synced(str(path))

    def lose_object(self, disk: str, timestamp: Timestamp) -> None:
        """The file of one upload is gone for good, and with it the digests that knew it."""
        for path in (self.root / disk / "objects").glob(f"*/*/*/{timestamp.internal}.data"):
            path.unlink()
            (path.parents[2] / "hashes.pkl").unlink(missing_ok=True)
            for directory in (path.parent, path.parents[2]):
                SimFs.shadow.directory_synced(str(directory))

    def lose_database(self, disk: str, kind: str, hash_hex: str) -> None:
        """A container's (or account's) directory is gone for good."""
        for path in (self.root / disk / f"{kind}s").glob(f"*/*/{hash_hex}"):
            shutil.rmtree(path)
            SimFs.shadow.directory_synced(str(path.parent))

    def has_waiting_rows(self, disk: str) -> bool:
        return any((self.root / disk / "async_pending").glob("*/*"))

    def data_files(self, disk: str) -> Iterator[Path]:
        yield from sorted((self.root / disk / "objects").glob("*/*/*/*.data"))

    # Daemons

    def run_pass(self, name: str) -> dict[str, int]:
        """One pass of a daemon over everything; its counts. Nothing while the node is down."""
        if not self.is_up:
            return {}
        try:
            report = self.processes["daemons"].run(self._run_pass, name)
        except Ended:
            return {"killed": 1}
        return dict(report.counts)

    def _run_pass(self, name: str) -> Any:
        runner = self._passes.get(name)
        if runner is None:
            runner = self._passes[name] = self._runner(name)
        return runner.run_once()

    def _runner(self, name: str) -> Runner[Any]:
        settings_class = installed().settings_class(DAEMON_GROUP, name)
        assert settings_class is not None
        settings: Any = settings_class.from_pairs(self.daemon_settings.get(name, {}))[0]
        kind = name.partition("-")[0]
        clock = SystemClock()
        factory: Any = _PASSES[name]
        made = factory(
            Surroundings(
                name,
                settings,
                load_cluster(self.swift_dir),
                Devices(self.root, mount_check=False),
                (self.ip, PORTS[kind]),
                clock,
                lambda section: {},
                lambda path, filters=(), without=(): make_proxy(self.swift_dir),
            )
        )
        if name == "object-replicator":
            made.deliverer.small = self.travels_in_band
        return Runner(made, Schedule(settings.interval, settings.concurrency, settings.rate, None), clock)


def _traced(app: Any, name: str) -> Any:
    """Every request of a server and its answer stand in the trace."""

    def traced(environ: dict[str, Any], start_response: Any) -> Any:
        what = f"{name} {environ['REQUEST_METHOD']} {environ['PATH_INFO']} {environ.get('HTTP_X_TIMESTAMP', '')}"
        HOST.trace(f"> {what}")

        def started(status: str, headers: Any) -> Any:
            HOST.trace(f"< {what} {status[:3]}")
            return start_response(status, headers)

        return app(environ, started)

    return traced


def make_proxy(swift_dir: Path) -> Any:
    return proxy_factory({"swift_dir": str(swift_dir)}, **PROXY_SETTINGS)


def settle(seconds: float) -> None:
    eventlet.sleep(seconds)
