"""What a client notices of a storage node that dies or freezes: the slowest of 200 mixed requests, one after the other.

python -m benchmarks.node_down [--nodes 4] [--requests 200]

Budget: no client error, and every request within 2 s.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from tests.support.cluster import Cluster, like_a_newcomers

BUDGET_S = 2.0
LARGE_BYTES = 300_000
_EXPECTED = {"PUT": 201, "GET": 200, "PUT large": 201, "list": 200, "DELETE": 204}


def main(argv: Sequence[str], *, stdout: TextIO, stderr: TextIO) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.node_down", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args(argv)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="node-down-") as folder,
            like_a_newcomers(Path(folder) / "cluster", "--nodes", str(options.nodes)) as cluster,
        ):
            return _compare(cluster, options.requests, stdout)
    except AssertionError as error:
        print(f"node_down: {error}", file=stderr)
        return 1


def _compare(cluster: Cluster, count: int, stdout: TextIO) -> int:
    login = cluster.login()
    token = {"X-Auth-Token": login.token}
    container = f"{login.path}/c"
    cluster.ask("PUT", container, token)

    def request(kind: str, name: str) -> int:
        path, body = f"{container}/{name}", b""
        method = kind.split()[0]
        if kind == "list":
            method, path = "GET", f"{container}?format=json&limit=5"
        elif method == "PUT":
            path, body = (path, b"x" * 4096) if kind == "PUT" else (f"{path}-large", b"x" * LARGE_BYTES)
        return cluster.ask(method, path, token, body).status

    node = cluster.nodes[1]
    _measure("healthy", request, count, stdout)
    with cluster.frozen(node):
        _measure("frozen, first", request, count, stdout)
        _measure("frozen, later", request, count, stdout)
    _measure("thawed", request, count, stdout)
    cluster.kill_node(node)
    _measure("killed", request, count, stdout)
    return 0


def _measure(name: str, request: Callable[[str, str], int], count: int, stdout: TextIO) -> None:
    took, errors = [], []
    kinds = list(_EXPECTED)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        started = time.perf_counter()
        status = request(kind, f"{name.replace(' ', '-')}-{number // len(kinds)}")
        took.append((time.perf_counter() - started, kind))
        if status != _EXPECTED[kind]:
            errors.append((kind, status))
    took.sort()
    slowest_s, kind = took[-1]
    late = sum(elapsed_s > BUDGET_S for elapsed_s, _ in took)
    p50_s, p95_s = took[len(took) // 2][0], took[int(len(took) * 0.95)][0]
    print(
        f"{name}: p50 {p50_s:.3f} s, p95 {p95_s:.3f} s, slowest {slowest_s:.2f} s ({kind}), {late} over {BUDGET_S:g} s,"
        f" {len(errors)} errors {errors[:3] or ''}",
        file=stdout,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], stdout=sys.stdout, stderr=sys.stderr))
