"""The speed budgets: CPU per operation, rate and latency of a whole default cluster on this machine.

    python -m benchmarks.speed [--only get-4k,put-64m] [--json] [--dir DIR] [--profile OUT]

Starts the servers of a cluster of its own (objstore up --no-daemons, four nodes, three replicas, fsync on) in a
temporary directory, and loads them from client processes whose CPU is not counted. Every figure is the median of three
runs after one warm-up run of the same size. CPU is user plus system time of all server processes, by role. With
--daemons the replicators, auditors and the like run as well, and look at everything that the load has just changed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from benchmarks.cpu import by_role
from benchmarks.load import MIB, Large, LoadError, Outcome, Small, connect, run
from tests.support.cluster import Cluster, Login, like_a_newcomers

RUNS = 3
CONNECTIONS = 16
BODY_4K = bytes(range(256)) * 16
LISTING_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `cpu_ms` per unit (an operation, or a MiB) and at least `rate` of them each second; None: no budget."""

    cpu_ms: float
    rate: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. cpu_ms: per unit, by role. rate: units each second. Latencies in milliseconds, per operation."""

    cpu_ms: Mapping[str, float]
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    operations: int

    @property
    def total_cpu_ms(self) -> float:
        return sum(self.cpu_ms.values())


@dataclass(frozen=True, slots=True)
class Bench:
    """name; budget; `load(bench run number)` gives the load of one run; `before` and `after` are not measured."""

    name: str
    title: str
    budget: Budget
    units_per_operation: float
    load: Callable[[int], Small | Large]
    before: Callable[[int], None] = lambda number: None
    after: Callable[[int], None] = lambda number: None


class Site:
    """The cluster under load, and the loads we put on it."""

    def __init__(self, cluster: Cluster, login: Login, scale: float, large_connections: int) -> None:
        self._cluster = cluster
        self._login = login
        self._address = cluster.address
        self._token = {"X-Auth-Token": login.token}
        self._headers = (("Host", "{}:{}".format(*cluster.address)), *self._token.items())
        self._scale = scale
        self._large_connections = large_connections
        self._have: set[str] = set()
        for container in ("small", "large", "listing"):
            self._expect_created(container)

    def _expect_created(self, container: str) -> None:
        answer = self._cluster.ask("PUT", f"{self._login.path}/{container}", self._token)
        if answer.status not in (201, 202):
            raise LoadError(f"PUT {container}: {answer.status} {answer.body[:200]!r}")

    def pids(self) -> dict[str, list[int]]:
        pids: dict[str, list[int]] = {}
        for process in self._cluster.processes():
            pids.setdefault(process.role, []).append(process.pid)
        return pids

    def _small(self, method: str, names: Sequence[str], body: bytes = b"", container: str = "small") -> Small:
        paths = [f"{self._login.path}/{container}/{name}" for name in names]
        return Small(self._address, method, paths, self._headers, body, CONNECTIONS)

    def _large(self, method: str, names: Sequence[str], size: int, connections: int) -> Large:
        paths = [f"{self._login.path}/large/{name}" for name in names]
        return Large(self._address, method, paths, self._headers, size, connections)

    def _count(self, count: int) -> int:
        return max(CONNECTIONS, int(count * self._scale))

    def _names(self, prefix: str, count: int) -> list[str]:
        return [f"{prefix}/{number:06d}" for number in range(count)]

    def _ensure(self, key: str, load: Small | Large) -> None:
        """Upload what a bench reads or deletes, once."""
        if key not in self._have:
            run(load)
            self._have.add(key)

    def _drop_large(self, name: str) -> None:
        self._cluster.ask("DELETE", f"{self._login.path}/large/{name}", self._token, timeout_s=120)
        self._have.discard(name)

    def benches(self) -> list[Bench]:
        reads, writes = self._count(10_000), self._count(2_500)
        working_set = self._names("read", 1000)

        def some_small(number: int) -> None:
            self._ensure("read", self._small("PUT", working_set, BODY_4K))

        def doomed(number: int) -> None:
            self._ensure(f"doomed{number}", self._small("PUT", self._names(f"doomed{number}", writes), BODY_4K))

        def listing(number: int) -> None:
            self._ensure("listing", self._small("PUT", self._names("row", LISTING_ROWS), b"", "listing"))

        def read(method: str) -> Callable[[int], Small]:
            return lambda number: self._small(method, [working_set[i % 1000] for i in range(reads)])

        def page(number: int) -> Small:
            path = f"{self._login.path}/listing?format=json&limit={LISTING_ROWS}"
            return Small(self._address, "GET", [path] * self._count(40), self._headers, connections=2)

        return [
            Bench("get-4k", "GET 4 KiB, 16 connections", Budget(0.6, 2000, "op"), 1, read("GET"), some_small),
            Bench("head", "HEAD", Budget(0.5, 2200, "op"), 1, read("HEAD"), some_small),
            Bench("put-4k", "PUT 4 KiB", Budget(2.5, 500, "op"), 1,
                  lambda number: self._small("PUT", self._names(f"put{number}", writes), BODY_4K)),
            Bench("delete", "DELETE", Budget(2.5, 500, "op"), 1,
                  lambda number: self._small("DELETE", self._names(f"doomed{number}", writes)), doomed),
            Bench("listing", "JSON listing, page of 10,000", Budget(60, None, "op"), 1, page, listing),
            *self._transfers("64m", 64, self._count(16), self._large_connections),
            *self._transfers("1g", 1024, 1, 1),
        ]  # fmt: skip

    def _transfers(self, label: str, size_mib: int, count: int, connections: int) -> list[Bench]:
        size = size_mib * MIB
        shown = f"{size_mib} MiB" if size_mib < 1024 else f"{size_mib // 1024} GiB"
        uploads = self._names(f"up{label}", count)

        def ready(number: int) -> None:
            self._ensure(f"down{label}/000000", self._large("PUT", [f"down{label}/000000"], size, 1))

        def clear(number: int) -> None:
            for name in uploads:
                self._drop_large(name)

        return [
            Bench(f"get-{label}", f"GET {shown}", Budget(1.0, 1000, "MiB"), size_mib,
                  lambda number: self._large("GET", [f"down{label}/000000"] * max(count, 2), size, connections), ready),
            Bench(f"put-{label}", f"PUT {shown}", Budget(5.0, 300, "MiB"), size_mib,
                  lambda number: self._large("PUT", uploads, size, connections), after=clear),
        ]  # fmt: skip


def measure(bench: Bench, site: Site, tell: Callable[[str], None]) -> Figures:
    """The median of RUNS runs after a warm-up run of the same size."""
    figures = []
    for number in range(RUNS + 1):
        bench.before(number)
        pids = site.pids()
        before = by_role(pids)
        outcome = run(bench.load(number))
        after = by_role(pids)
        bench.after(number)
        found = _figures(bench, outcome, {role: after[role] - before[role] for role in pids})
        name = f"run {number}" if number else "warm-up"
        tell(f"  {bench.title}: {name}: {found.total_cpu_ms:.3f} CPU-ms/{bench.budget.unit}, {found.rate:.0f}/s")
        if number:
            figures.append(found)
    return _median(figures)


def _figures(bench: Bench, outcome: Outcome, used_s: Mapping[str, float]) -> Figures:
    units = outcome.count * bench.units_per_operation
    return Figures(
        cpu_ms={role: seconds * 1000 / units for role, seconds in used_s.items()},
        rate=outcome.rate * bench.units_per_operation,
        p50_ms=outcome.percentile(50) * 1000,
        p95_ms=outcome.percentile(95) * 1000,
        p99_ms=outcome.percentile(99) * 1000,
        operations=outcome.count,
    )


def _median(figures: Sequence[Figures]) -> Figures:
    """The run whose total CPU is the median one, with the median of every other figure."""
    middle = sorted(figures, key=lambda each: each.total_cpu_ms)[len(figures) // 2]
    return Figures(
        cpu_ms=middle.cpu_ms,
        rate=statistics.median(each.rate for each in figures),
        p50_ms=statistics.median(each.p50_ms for each in figures),
        p95_ms=statistics.median(each.p95_ms for each in figures),
        p99_ms=statistics.median(each.p99_ms for each in figures),
        operations=middle.operations,
    )


def table(results: Sequence[tuple[Bench, Figures]]) -> str:
    lines = [
        "| operation | CPU-ms | budget | by role | rate | budget | p50 ms | p95 ms | p99 ms |",
        "|---|" + "---|" * 8,
    ]
    for bench, found in results:
        budget = bench.budget
        roles = ", ".join(
            f"{role} {value:.3f}"
            for role, value in sorted(found.cpu_ms.items(), key=lambda item: -item[1])
            if value >= 0.0005
        )
        rate = "" if budget.rate is None else f"{budget.rate:.0f}/s {_verdict(found.rate >= budget.rate)}"
        unit = "" if budget.unit == "op" else "/" + budget.unit
        rate_unit = "/s" if budget.unit == "op" else " MiB/s"
        lines.append(
            f"| {bench.title} | {found.total_cpu_ms:.3f}{unit} | {budget.cpu_ms} "
            f"{_verdict(found.total_cpu_ms <= budget.cpu_ms)} | {roles} | {found.rate:.0f}{rate_unit} | {rate} "
            f"| {found.p50_ms:.1f} | {found.p95_ms:.1f} | {found.p99_ms:.1f} |"
        )
    return "\n".join(lines)


def _verdict(is_kept: bool) -> str:
    return "ok" if is_kept else "MISSED"


def as_json(results: Sequence[tuple[Bench, Figures]]) -> str:
    return json.dumps(
        [
            {"name": bench.name, "title": bench.title, "budget": asdict(bench.budget), **asdict(found),
             "total_cpu_ms": found.total_cpu_ms}
            for bench, found in results
        ],
        indent=1,
    )  # fmt: skip


class Profile:
    """py-spy on the processes of some roles while the benches run; needs py-spy in PATH and the right to trace."""

    def __init__(self, folder: Path, pids: Mapping[str, Sequence[int]], roles: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._children = [
            subprocess.Popen(
                ["py-spy", "record", "--pid", str(pid), "--format", "raw", "--rate", "200", "--native",
                 "--output", str(folder / f"{role}-{pid}.txt"), "--duration", "3600"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for role in roles
            for pid in list(pids.get(role, ()))[:4]
        ]  # fmt: skip

    def stop(self) -> None:
        for child in self._children:
            child.send_signal(2)  # py-spy writes its file at SIGINT
        for child in self._children:
            child.wait(30)


def main(argv: Sequence[str], *, stdout: TextIO, stderr: TextIO) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="Speed budgets of a whole cluster.")
    parser.add_argument("--only", default="", help="comma-separated: get-4k,head,put-4k,delete,listing,get-64m,…")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the requests of a full run (default 1)")
    parser.add_argument("--large-connections", type=int, default=2, help="connections for 64 MiB objects (default 2)")
    parser.add_argument("--dir", type=Path, help="where the cluster's temporary directory is made (a real disk)")
    parser.add_argument("--options", default="", help="flags for objstore init, such as '--proxy-workers 2'")
    parser.add_argument("--daemons", action="store_true", help="with replicators and the like at work beside them")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="record py-spy profiles of the servers there")
    options = parser.parse_args(argv)
    wanted = {word for word in options.only.split(",") if word}
    folder = Path(tempfile.mkdtemp(prefix="speed-", dir=options.dir))
    started = time.monotonic()

    def tell(text: str) -> None:
        print(text, file=stderr, flush=True)

    try:
        cluster = like_a_newcomers(folder / "cluster", *options.options.split())
        try:
            cluster.start(*(() if options.daemons else ("--no-daemons",)))
            site = Site(cluster, cluster.login(), options.scale, options.large_connections)
            connect(cluster.address).close()
            profile = Profile(options.profile, site.pids(), ("proxy", "object")) if options.profile else None
            results = []
            for bench in site.benches():
                if wanted and bench.name not in wanted:
                    continue
                results.append((bench, measure(bench, site, tell)))
            if profile:
                profile.stop()
        finally:
            cluster.close()
    except (AssertionError, LoadError) as error:
        tell(f"speed: {error}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(as_json(results) if options.json else table(results), file=stdout)
    tell(f"{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], stdout=sys.stdout, stderr=sys.stderr))
