"""What encryption costs the proxy: python -m benchmarks.encryption [--mib N] [--json]

Two clusters of four nodes, one after the other in a directory of its own (TMPDIR decides where): one that stores what
comes, one that encrypts. Printed: the proxy's CPU-ms per MiB for a PUT and a GET of N MiB, and its CPU-ms per request
of 4 KiB, each of both clusters and the difference. The best of three runs counts; rates mean nothing on a busy machine.
"""

from __future__ import annotations

import argparse
import http.client
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.cpu import cpu_s
from benchmarks.large_objects import MIB, receive
from benchmarks.report import show
from tests.support import encryption
from tests.support.cluster import Cluster

_RUNS = 3
_SMALL_REQUESTS = 300
_SMALL_BYTES = 4096


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encryption")
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    results: dict[str, dict[str, float]] = {}
    for name in ("plain", "encrypted"):
        with tempfile.TemporaryDirectory() as folder:
            cluster = Cluster(Path(folder) / "cluster")
            if name == "encrypted":
                encryption.configure(cluster)
            with cluster:
                results[name] = measure(cluster, options.mib)
    plain, encrypted = results["plain"], results["encrypted"]
    results["added"] = {key: encrypted[key] - plain[key] for key in plain}
    show(results, as_json=options.json, decimals=3)
    return 0


def measure(cluster: Cluster, mib: int) -> dict[str, float]:
    """CPU-ms of the proxy: per MiB for large bodies, per request for small ones."""
    assert cluster.request("PUT", "/c")[0] == 201
    pid = cluster.pids(role="proxy-server")[0]
    body, small = os.urandom(mib * MIB), os.urandom(_SMALL_BYTES)
    return {
        "put_mib_ms": used_ms(pid, lambda: requests(cluster, "PUT", "/c/large", body)) / mib,
        "get_mib_ms": used_ms(pid, lambda: receive(cluster, "/c/large", mib * MIB)) / mib,
        "put_4k_ms": used_ms(pid, lambda: requests(cluster, "PUT", "/c/small", small, _SMALL_REQUESTS))
        / _SMALL_REQUESTS,
        "get_4k_ms": used_ms(pid, lambda: requests(cluster, "GET", "/c/small", None, _SMALL_REQUESTS))
        / _SMALL_REQUESTS,
    }


def used_ms(pid: int, work: Callable[[], None]) -> float:
    """CPU-ms that a process uses for some work; the least of several runs."""

    def once() -> float:
        before_s = cpu_s(pid)
        work()
        return (cpu_s(pid) - before_s) * 1000

    return min(once() for _ in range(_RUNS))


def requests(cluster: Cluster, method: str, path: str, body: bytes | None, count: int = 1) -> None:
    login = cluster.login()
    connection = http.client.HTTPConnection(*cluster.address, timeout=60)
    for _ in range(count):
        connection.request(method, login.path + path, body, {"X-Auth-Token": login.token})
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (200, 201), answer.status
    connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
