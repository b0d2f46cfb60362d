"""What clients notice of a disk that is rebuilt: latency of GETs at a steady rate, before, during and after.

    python -m benchmarks.rebuild_latency [--objects 4000] [--bytes 65536] [--large 40] [--rate 50] [--seconds 20]

A cluster of four nodes as `objstore up` makes it, its replicators passing every few seconds; the disk of one node is
emptied and the daemons left alone. --large: objects of 16 MiB among the others, which nobody reads. Clients ask for one
object after the other at --rate requests a second on one connection; one that is late counts from when it was due, as
a client would see it. Budget: p99 while the disk is rebuilt below twice the mean of before and after.

Every line says how much of a processor core others on the machine had meanwhile: their turns are in the p99, and runs
with a quarter of a core or more compare nothing.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from benchmarks.cpu import cpu_with_children_s, machine_cpu_s
from benchmarks.replication import ACCOUNT, CONTAINER, Bench
from tests.support.cluster import Cluster, Login, like_a_newcomers

P99_BUDGET = 2.0
LARGE_BYTES = 16 << 20
INTERVAL_S = 5
_PATIENCE_S = 300.0
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """sorted_s: of all requests. elapsed_s: from the first to the last. others_s: CPU time of other processes."""

    sorted_s: Sequence[float]
    elapsed_s: float
    others_s: float

    def percentile(self, percent: float) -> float:
        return self.sorted_s[min(len(self.sorted_s) - 1, int(len(self.sorted_s) * percent / 100))]

    def line(self, name: str) -> str:
        p50, p99 = self.percentile(50) * 1000, self.percentile(99) * 1000
        return (
            f"{name}: {len(self.sorted_s)} GETs in {self.elapsed_s:.1f} s, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
            f" (others: {self.others_s / self.elapsed_s:.0%} of a core)"
        )


class Reader:
    """A client that asks for the small objects in turn."""

    def __init__(self, cluster: Cluster, login: Login, count: int, rate: float) -> None:
        self._cluster = cluster
        self._address = cluster.address
        self._headers = {"X-Auth-Token": login.token}
        self._paths = [f"/v1/{ACCOUNT}/{CONTAINER}/object-{number}" for number in range(count)]
        self._rate = rate
        self._next = 0

    def read_while(self, goes_on: Callable[[], bool]) -> Latencies:
        """Raises AssertionError for an answer that is no object."""
        connection = http.client.HTTPConnection(*self._address, timeout=60)
        took = []
        others_s = self._others_s()
        started = due = time.perf_counter()
        while goes_on():
            if (early_s := due - time.perf_counter()) > 0:
                time.sleep(early_s)
            path = self._paths[self._next % len(self._paths)]
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, f"GET {path}: {answer.status}"
            took.append(time.perf_counter() - due)
            due += 1 / self._rate
            self._next += 1
        connection.close()
        return Latencies(sorted(took), time.perf_counter() - started, max(0.0, self._others_s() - others_s))

    def _others_s(self) -> float:
        """CPU time of everybody but us and the cluster; of rsync's processes, when they have ended."""
        ours = [os.getpid(), *(process.pid for process in self._cluster.processes())]
        return machine_cpu_s() - sum(map(cpu_with_children_s, ours))

    def read_for(self, seconds: float) -> Latencies:
        end = time.perf_counter() + seconds
        return self.read_while(lambda: time.perf_counter() < end)


def main(argv: Sequence[str], *, stdout: TextIO, stderr: TextIO) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rebuild_latency", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--objects", type=int, default=4000)
    parser.add_argument("--bytes", type=int, default=65536)
    parser.add_argument("--large", type=int, default=40)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--method", choices=("rsync", "ssync"), default="rsync")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="rebuild-latency-") as folder:
        cluster = like_a_newcomers(Path(folder) / "cluster")
        cluster.configure("object-replicator", "sync_method", options.method, kind="object")
        cluster.configure("object-replicator", "interval", INTERVAL_S, kind="object")
        try:
            with cluster:
                bench, login = Bench(cluster), cluster.login()
                assert login.path.endswith(f"/{ACCOUNT}"), f"objects are made in {ACCOUNT}, {login.path} is read"
                cluster.ask("PUT", f"{login.path}/{CONTAINER}", {"X-Auth-Token": login.token})
                bench.fill(options.objects, options.bytes)
                bench.fill(options.large, LARGE_BYTES, first=options.objects)
                reader = Reader(cluster, login, options.objects, options.rate)
                return _measure(bench, reader, options.seconds, stdout)
        except AssertionError as error:
            print(f"rebuild_latency: {error}", file=stderr)
            return 1


def _measure(bench: Bench, reader: Reader, seconds: float, stdout: TextIO) -> int:
    # The replicators have new objects to hash first.
    reader.read_for(max(seconds, 3 * INTERVAL_S))
    before = reader.read_for(seconds)
    print(before.line("before"), file=stdout, flush=True)
    expected = _count(bench.objects("n1"))
    # At once, and the deleting is not measured: somebody writes there all the time.
    bench.objects("n1").rename(bench.objects("n1").with_name("lost"))
    during = reader.read_while(_until_whole(bench.objects("n1"), expected))
    print(during.line("while it is rebuilt"), file=stdout, flush=True)
    after = reader.read_for(seconds)
    print(after.line("after"), file=stdout, flush=True)
    ratio = during.percentile(99) * 2 / (before.percentile(99) + after.percentile(99))
    print(f"{expected} objects are back; p99 is {ratio:.2f} times the normal one", file=stdout)
    return 0 if ratio < P99_BUDGET else 1


def _until_whole(objects: Path, expected: int) -> Callable[[], bool]:
    """Whether to go on. Raises AssertionError when it never ends.

    A process of its own looks, once a second and with the lowest priority: a client that looked itself would be late
    with its next requests, and measure that."""
    watcher = multiprocessing.get_context("fork").Process(target=_watch, args=(objects, expected), daemon=True)
    watcher.start()

    def goes_on() -> bool:
        if watcher.is_alive():
            return True
        assert watcher.exitcode == 0, f"not whole after {_PATIENCE_S:.0f} s: {_count(objects)} of {expected}"
        return False

    return goes_on


def _watch(objects: Path, expected: int) -> None:
    """Ends when all are there, with 1 when they never are."""
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    deadline = time.monotonic() + _PATIENCE_S
    while _count(objects) < expected:
        if time.monotonic() > deadline:
            sys.exit(1)
        time.sleep(_LOOK_S)


def _count(objects: Path) -> int:
    return sum(1 for _ in objects.glob("*/*/*/*.data"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], stdout=sys.stdout, stderr=sys.stderr))
