"""Passes of a cluster's daemons, once on every node at the same time: how tests have a cluster heal without waiting.

    python -m tests.support.rounds DIR [--nodes n1,n2] [--daemons object-replicator,object-updater]

Imports once and forks a process per node, which runs one pass after the other, as `objstore-<daemon> CONF --once` does.
Prints JSON: node → daemon → {"is_complete": …, "jobs": …, "counts": …}. The cluster must have been started with
--no-daemons, or passes would meet.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from objstore.cli import daemons
from objstore.cli.serve import open_log
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.servers import ServerFile, read_servers
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


def run_round(
    directory: Path,
    nodes: Iterable[str] = (),
    wanted: Iterable[str] = (),
    within: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Reports:
    """One pass of each wanted daemon on each of the nodes; none named: all there are.

    within: a command that the passes are run by (ip netns exec …)."""
    command = [*within, sys.executable, "-m", "tests.support.rounds", str(directory)]
    command += ["--nodes", ",".join(nodes), "--daemons", ",".join(wanted)]
    done = subprocess.run(
        command, cwd=_ROOT, capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, **(environ or {})}
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return {
        node: {name: Report(**report) for name, report in of_node.items()}
        for node, of_node in json.loads(done.stdout).items()
    }


def _main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="One pass of a cluster's daemons on every node.")
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--nodes", type=_names, default=(), metavar="A,B")
    parser.add_argument("--daemons", type=_names, default=(), metavar="A,B")
    arguments = parser.parse_args(argv)
    directory = ClusterDirectory(arguments.directory)
    by_node: dict[str, list[ServerFile]] = {}
    for server in read_servers(directory):
        if server.node != "-" and (not arguments.nodes or server.node in arguments.nodes):
            by_node.setdefault(server.node, []).append(server)
    wanted = [name for name in ORDER if not arguments.daemons or name in arguments.daemons]
    assert set(arguments.daemons) <= set(ORDER) == set(daemons.names()), "a daemon that is not in ORDER"
    running = {node: _forked(files, wanted, directory.log) for node, files in by_node.items()}
    print(json.dumps({node: _result(node, *each) for node, each in running.items()}))
    return 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _forked(files: Sequence[ServerFile], wanted: Sequence[str], log: Path) -> tuple[int, int]:
    """(pid, where its result comes from). Before any hub exists, as everywhere."""
    reading, writing = os.pipe()
    parent = os.getpid()
    pid = process.fork()
    if pid:
        os.close(writing)
        return pid, reading
    status = 1
    try:
        process.die_with_parent(parent)
        os.write(writing, json.dumps(_passes(files, wanted, log)).encode())
        status = 0
    finally:
        os._exit(status)


def _passes(files: Sequence[ServerFile], wanted: Sequence[str], log: Path) -> dict[str, dict[str, object]]:
    open_log(files[0], log, "daemons")
    green.patch_sockets()
    found: dict[str, dict[str, object]] = {}
    for plan in daemons.plans(files, wanted):
        report = daemons.runner(plan).run_once()
        found[plan.name] = {
            "is_complete": report.is_complete,
            "jobs": report.job_count,
            "counts": dict(report.counts),
        }
    return found


def _result(node: str, pid: int, reading: int) -> object:
    with open(reading, "rb") as file:
        result = file.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0 and result, f"{node}: its passes ended with status {status}; see its daemons log"
    return json.loads(result)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
