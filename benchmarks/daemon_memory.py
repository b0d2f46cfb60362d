"""Whether the daemons of a node keep their size: memory (PSS) of their process after some passes, and 20 passes later.

    python -m benchmarks.daemon_memory [--passes 20] [--objects 500]

Every daemon starts a pass each second, over objects in several containers; the object auditor reads without its brakes.
Budget: at most 5 % more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from benchmarks.idle import pss_mb
from objstore.config.factories import DAEMON_GROUP, installed
from objstore.daemon import recon
from objstore.daemon.recon import DAEMONS
from tests.support.cluster import Cluster, like_a_newcomers, until

BUDGET = 1.05
_WARM_PASSES = 5
_PATIENCE_S = 600.0


def main(argv: Sequence[str], *, stdout: TextIO, stderr: TextIO) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.daemon_memory", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--objects", type=int, default=500)
    options = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="daemons-") as folder:
            cluster = like_a_newcomers(Path(folder) / "cluster", "--nodes", "3")
            for name in installed().names(DAEMON_GROUP):
                cluster.configure(name, "interval", 1, kind=name.partition("-")[0])
            for rate in ("files_per_second", "zero_byte_files_per_second"):  # Otherwise a pass takes half a minute.
                cluster.configure("object-auditor", rate, 1000, kind="object")
            with cluster:
                return _measure(cluster, options.passes, options.objects, stdout)
    except AssertionError as error:
        print(f"daemon_memory: {error}", file=stderr)
        return 1


def _measure(cluster: Cluster, passes: int, object_count: int, stdout: TextIO) -> int:
    login = cluster.login()
    token = {"X-Auth-Token": login.token}
    for number in range(object_count):
        container = f"{login.path}/c{number % 10}"
        if number < 10:
            cluster.ask("PUT", container, token)
        cluster.ask("PUT", f"{container}/o{number}", token, b"x" * 1000)
    processes = [process for process in cluster.processes() if process.role == "daemons"]
    _wait_for_passes(cluster, _least(cluster) + _WARM_PASSES)
    before = [pss_mb(process.pid) for process in processes]
    _wait_for_passes(cluster, _least(cluster) + passes)
    after = [pss_mb(process.pid) for process in processes]
    for process, first, last in zip(processes, before, after, strict=True):
        print(f"{process.node}: {first:.1f} MB, {passes} passes later {last:.1f} MB", file=stdout)
    return 0 if sum(after) <= sum(before) * BUDGET else 1


def _least(cluster: Cluster) -> int:
    """Passes of the daemon that has made the fewest."""
    counts = []
    for node in cluster.nodes:
        known = recon.read(recon.recon_file(cluster.directory.cache(node), DAEMONS))
        counts += [int(known.get(name, {}).get("passes", 0)) for name in installed().names(DAEMON_GROUP)]
    return min(counts)


def _wait_for_passes(cluster: Cluster, count: int) -> None:
    until(lambda: _least(cluster) >= count, f"{count} passes of every daemon", _PATIENCE_S, poll_s=0.5)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], stdout=sys.stdout, stderr=sys.stderr))
