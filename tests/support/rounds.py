"""Passes of a cluster's daemons, once on every node at the same time: how tests have a cluster heal without waiting.

    python -m tests.support.rounds DIR [--nodes n1,n2] < names of daemons, a line each

Imports once and forks a process per node, which runs a pass of each daemon, as `objstore-<daemon> CONF --once` does.
For each line it prints one, JSON: node → {"is_complete": …, "jobs": …, "counts": …}. A daemon waits for the one before
it on all nodes, so that what a round does hangs on no machine's speed. The cluster must have been started with
--no-daemons, or passes would meet.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objstore.cli import daemons
from objstore.cli.serve import open_log
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.servers import ServerFile, read_servers
from objstore.daemon.runner import Runner
from objstore.runtime import green, process

ORDER = (
    "object-updater",
    "container-updater",
    "object-replicator",
    "container-replicator",
    "account-replicator",
    "object-auditor",
    "container-auditor",
    "account-auditor",
    "object-expirer",
    "container-reconciler",
    "account-reaper",
)
MENDING = ("object-updater", "container-updater", "object-replicator", "container-replicator", "account-replicator")
"""What brings copies home and rows where they belong, when nothing is damaged, expired or deleted."""
PATIENCE_S = 600.0
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Report:
    """Of one pass."""

    is_complete: bool
    jobs: int
    counts: Mapping[str, int]


Reports = Mapping[str, Mapping[str, Report]]
"""node → daemon → report."""


@dataclass(frozen=True, slots=True)
class Part:
    """Nodes of one directory. nodes: none named: all of them. within: a command that their passes are run by."""

    directory: Path
    nodes: tuple[str, ...] = ()
    within: tuple[str, ...] = ()


class Rounds:
    """The daemons of some nodes, as long as the `with` lasts: they remember from round to round, as long-lived ones
    do."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._stack = ExitStack()
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Rounds:
        with ExitStack() as stack:
            self._running = [stack.enter_context(_started(part)) for part in self._parts]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, wanted: Iterable[str] = ()) -> Reports:
        """One pass of each wanted daemon, or of all, on all nodes."""
        names = [name for name in ORDER if not wanted or name in wanted]
        assert set(wanted) <= set(ORDER), wanted
        found: dict[str, dict[str, Report]] = {}
        for name in names:
            for each in self._running:
                assert each.stdin is not None
                each.stdin.write(f"{name}\n")
                each.stdin.flush()
            for each in self._running:
                assert each.stdout is not None
                line = each.stdout.readline()
                assert line, f"{name}: its passes broke off; see the daemons' logs"
                for node, report in json.loads(line).items():
                    found.setdefault(node, {})[name] = Report(**report)
        return found


@contextmanager
def _started(part: Part) -> Iterator[subprocess.Popen[str]]:
    command = [*part.within, sys.executable, "-m", "tests.support.rounds", str(part.directory)]
    command += ["--nodes", ",".join(part.nodes)]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            assert running.stdin is not None
            running.stdin.close()
            try:
                running.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                running.kill()


def _main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Passes of a cluster's daemons, as standard input names them.")
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--nodes", type=_names, default=(), metavar="A,B")
    arguments = parser.parse_args(argv)
    directory = ClusterDirectory(arguments.directory)
    by_node: dict[str, list[ServerFile]] = {}
    for server in read_servers(directory):
        if server.node != "-" and (not arguments.nodes or server.node in arguments.nodes):
            by_node.setdefault(server.node, []).append(server)
    running = {node: _Worker(files, directory.log) for node, files in by_node.items()}
    for line in sys.stdin:
        for worker in running.values():
            worker.say(line)
        print(json.dumps({node: json.loads(worker.heard()) for node, worker in running.items()}), flush=True)
    return 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


class _Worker:
    """A node's process: a line with a daemon's name goes in, one with its report comes out. Forked before any hub
    exists, as everywhere; it ends when it hears no more."""

    def __init__(self, files: Sequence[ServerFile], log: Path) -> None:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        if process.fork():
            theirs.close()
            self._stream = ours.makefile("rw")
            return
        try:
            ours.close()
            process.die_with_parent(parent)
            open_log(files[0], log, "daemons")
            stream = theirs.makefile("rw")
            runners: dict[str, Runner[Any]] = {}
            while name := stream.readline().strip():
                green.patch_sockets()
                if name not in runners:
                    (plan,) = daemons.plans(files, [name])
                    runners[name] = daemons.runner(plan)
                stream.write(json.dumps(_one_pass(runners[name])) + "\n")
                stream.flush()
        finally:
            os._exit(1)

    def say(self, line: str) -> None:
        self._stream.write(line)
        self._stream.flush()

    def heard(self) -> str:
        line = self._stream.readline()
        assert line, "a node's passes broke off; see its daemons' log"
        return line


def _one_pass(runner: Runner[Any]) -> dict[str, object]:
    report = runner.run_once()
    return {"is_complete": report.is_complete, "jobs": report.job_count, "counts": dict(report.counts)}


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
