"""What the default pipeline costs a plain request beside the mandatory filters alone: python -m benchmarks.filters

    python -m benchmarks.filters [--rounds 4] [--scale 1] [--dir DIR] [--json]

One cluster of its own (objstore up --no-daemons, four nodes, three replicas), whose proxy is given the one pipeline and
the other in turn, so that whatever drifts drifts for both. Printed for GET and PUT of 4 KiB: CPU-ms per operation of
all server processes with either, median over the rounds, and by how many percent the default one is dearer. The
mandatory pipeline has tempauth besides, or there would be no token, and the cache, as everybody has.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cpu import by_role
from benchmarks.load import run
from benchmarks.report import show
from benchmarks.speed import Bench, Site
from tests.support.cluster import Cluster

PIPELINES = {
    "mandatory": "catch_errors gatekeeper cache listing_formats tempauth copy slo dlo versioned_writes symlink "
    "proxy-server",
    "default": "",
}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.filters", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--scale", type=float, default=1.0, help="share of 10,000 GETs and 2,500 PUTs a round")
    parser.add_argument("--dir", type=Path, help="where the cluster's temporary directory is made")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        cluster = Cluster(Path(folder) / "cluster")
        try:
            cluster.init()
            results = measure(cluster, options.rounds, options.scale)
        finally:
            cluster.close()
    show(results, as_json=options.json, decimals=3)
    return 0


def measure(cluster: Cluster, rounds: int, scale: float) -> dict[str, dict[str, float]]:
    pipelines = PIPELINES | {"default": " ".join(cluster.setting("pipeline:main", "pipeline").split())}
    cluster.start("--no-daemons")
    site = Site(cluster, cluster.login(), scale, 1)
    benches = [bench for bench in site.benches() if bench.name in ("get-4k", "put-4k")]
    found: dict[str, dict[str, list[float]]] = {bench.name: {name: [] for name in pipelines} for bench in benches}
    for number in range(rounds + 1):
        # The first round warms up; the order turns round, so that neither is always the later one.
        for name in sorted(pipelines, reverse=bool(number % 2)):
            cluster.configure("pipeline:main", "pipeline", pipelines[name])
            cluster.reload()
            for bench in benches:
                cost = cpu_ms(site, bench, number * len(pipelines) + list(pipelines).index(name))
                if number:
                    found[bench.name][name].append(cost)
    return {operation: _compared(costs) for operation, costs in found.items()}


def cpu_ms(site: Site, bench: Bench, number: int) -> float:
    """Per operation, of all server processes together."""
    bench.before(number)
    pids = site.pids()
    before = by_role(pids)
    outcome = run(bench.load(number))
    after = by_role(pids)
    return (sum(after.values()) - sum(before.values())) * 1000 / outcome.count


def _compared(costs: dict[str, list[float]]) -> dict[str, float]:
    medians = {name: statistics.median(values) for name, values in costs.items()}
    return {**medians, "dearer_percent": 100 * (medians["default"] / medians["mandatory"] - 1)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
