"""How long objects that expire in the same second take to leave listings and disks, and what that costs.

python -m benchmarks.expiry [--objects 100000] [--containers 10] [--nodes 4] [--fill-rate 100]

A cluster as `objstore up` makes it, with default settings. Budget: 100,000 objects in 300 s on 2 cores. CPU is user and
system time of all of the cluster's processes, per object, from the moment of expiry on. --fill-rate: objects a second
that the filling reaches at least; it has to end before the first one expires. --containers: of the objects; 1,000
objects in one have as many neighbours in the queue as 10,000 in ten.
"""

from __future__ import annotations

import argparse
import glob
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from benchmarks.cpu import by_role
from benchmarks.load import LoadError, Small, run
from tests.support.cluster import Cluster, Login, like_a_newcomers

BUDGET_S = 300.0
BUDGET_OBJECTS = 100_000
_PATIENCE_S = 900.0


def main(argv: Sequence[str], *, stdout: TextIO, stderr: TextIO) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.expiry", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--objects", type=int, default=BUDGET_OBJECTS)
    parser.add_argument("--containers", type=int, default=10)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--fill-rate", type=float, default=100.0)
    options = parser.parse_args(argv)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="expiry-") as folder,
            like_a_newcomers(Path(folder) / "cluster", "--nodes", str(options.nodes)) as cluster,
        ):
            return _measure(cluster, options.objects, options.containers, options.fill_rate, stdout)
    except (AssertionError, LoadError) as error:
        print(f"expiry: {error}", file=stderr)
        return 1


def _measure(cluster: Cluster, count: int, container_count: int, fill_rate: float, stdout: TextIO) -> int:
    login = cluster.login()
    containers = [f"{login.path}/c{number}" for number in range(container_count)]
    expires = int(time.time() + 20 + count / fill_rate)
    try:
        filled_s = _fill(cluster, login, containers, count, expires)
    except LoadError:
        if time.time() < expires:
            raise
    if time.time() >= expires:
        raise AssertionError(
            f"filling is slower than {fill_rate:g} a second, say less by --fill-rate: some have expired"
        )
    print(f"filled: {count} objects in {filled_s:.0f} s", file=stdout, flush=True)
    time.sleep(max(0.0, expires - time.time()))
    before = _cpu(cluster)
    gone_s = _until_gone(cluster, login, containers, stdout)
    used = {role: seconds - before.get(role, 0.0) for role, seconds in _cpu(cluster).items()}
    rate = count / gone_s
    print(
        f"gone after {gone_s:.0f} s: {rate:.0f}/s; {BUDGET_OBJECTS} would take {BUDGET_OBJECTS / rate:.0f} s",
        file=stdout,
    )
    each = ", ".join(f"{role} {seconds / count * 1000:.2f}" for role, seconds in sorted(used.items()))
    print(f"CPU-ms per object: {sum(used.values()) / count * 1000:.2f} ({each})", file=stdout)
    return 0 if BUDGET_OBJECTS / rate <= BUDGET_S else 1


def _fill(cluster: Cluster, login: Login, containers: Sequence[str], count: int, expires: int) -> float:
    token = {"X-Auth-Token": login.token}
    for container in containers:
        cluster.ask("PUT", container, token)
    headers = (("Host", "benchmark"), ("X-Auth-Token", login.token), ("X-Delete-At", str(expires)))
    paths = [f"{containers[number % len(containers)]}/o{number}" for number in range(count)]
    load = Small(cluster.address, "PUT", paths, headers, b"x" * 100, time_limit_s=_PATIENCE_S * 2)
    return run(load).elapsed_s


def _until_gone(cluster: Cluster, login: Login, containers: Sequence[str], stdout: TextIO) -> float:
    """Seconds until neither a row nor a data file is left. Counting files would take a core from the cluster for
    seconds: they are looked for when no row is left."""
    started = told = time.monotonic()
    while time.monotonic() - started < _PATIENCE_S:
        left = _rows(cluster, login, containers)
        if not left and not _files(cluster):
            return time.monotonic() - started
        if time.monotonic() - told > 20:
            told = time.monotonic()
            print(f"  after {told - started:.0f} s: {left} rows", file=stdout, flush=True)
        time.sleep(2)
    raise AssertionError(f"objects were still there after {_PATIENCE_S:.0f} s")


def _rows(cluster: Cluster, login: Login, containers: Sequence[str]) -> int:
    total = 0
    for container in containers:
        answer = cluster.ask("HEAD", container, {"X-Auth-Token": login.token})
        total += int(answer.header("x-container-object-count") or 0)
    return total


def _files(cluster: Cluster) -> list[str]:
    return glob.glob(f"{cluster.directory.nodes}/*/*/objects/*/*/*/*.data")


def _cpu(cluster: Cluster) -> dict[str, float]:
    pids: dict[str, list[int]] = {}
    for process in cluster.processes():
        pids.setdefault(process.role, []).append(process.pid)
    return by_role(pids)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], stdout=sys.stdout, stderr=sys.stderr))
