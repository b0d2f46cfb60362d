"""What 5,000 idle and half-sent connections cost the others, and whether memory and descriptors come back.

python -m benchmarks.idle_connections [--connections 5000]

Budget: p99 of the others less than twice what it was; afterwards memory and descriptors within 10 % of before.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from benchmarks.idle import pss_mb
from benchmarks.load import LoadError, Outcome, Small, run
from tests.support.cluster import Cluster, like_a_newcomers

REQUESTS = 5000
RETURN_S = 30.0
RELEASE_S = 3.0
"""A proxy gives memory back a second after a crowd has gone."""


def main(argv: Sequence[str], *, stdout: TextIO, stderr: TextIO) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle_connections", description=(__doc__ or "")[:90])
    parser.add_argument("--connections", type=int, default=5000)
    options = parser.parse_args(argv)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="idle-") as folder,
            like_a_newcomers(Path(folder) / "cluster") as cluster,
        ):
            _compare(cluster, options.connections, stdout)
    except (AssertionError, LoadError, OSError) as error:
        print(f"idle_connections: {error}", file=stderr)
        return 1
    return 0


def _compare(cluster: Cluster, count: int, stdout: TextIO) -> None:
    login = cluster.login()
    token = {"X-Auth-Token": login.token}
    headers = (("Host", "x"), *token.items())
    for path, body in (("/c", b""), ("/c/o", b"x" * 4096)):
        answer = cluster.ask("PUT", login.path + path, token, body)
        if answer.status not in (201, 202):
            raise LoadError(f"PUT {path}: {answer.status}")
    proxies = [each.pid for each in cluster.processes() if each.role == "proxy"]

    def load() -> Outcome:
        return run(Small(cluster.address, "GET", [f"{login.path}/c/o"] * REQUESTS, headers))

    load()
    alone, before = load(), _cost(proxies)
    crowd = _crowd(cluster, count)
    beside, during = load(), _cost(proxies)
    after = _left_by(crowd, proxies, before)
    # What the first crowd leaves is the allocator's; what a second one adds to it would be a leak.
    again = _left_by(_crowd(cluster, count), proxies, before)
    for name, outcome in (("alone", alone), (f"beside {count}", beside)):
        print(
            f"{name}: p50 {outcome.percentile(50) * 1000:.2f} ms, p99 {outcome.percentile(99) * 1000:.2f} ms",
            file=stdout,
        )
    print(f"p99 grew {beside.percentile(99) / alone.percentile(99):.2f} times (budget: less than 2)", file=stdout)
    for name, cost in (("before", before), ("during", during), ("after", after), ("after another", again)):
        print(f"{name}: {cost[0]:.1f} MB, {cost[1]} descriptors in {len(proxies)} proxies", file=stdout)


def _crowd(cluster: Cluster, count: int) -> list[socket.socket]:
    return [_connect(cluster.address, number) for number in range(count)]


def _left_by(crowd: list[socket.socket], proxies: Sequence[int], before: tuple[float, int]) -> tuple[float, int]:
    """The proxies' cost once a crowd has gone and they have had time to notice."""
    for sock in crowd:
        sock.close()
    end = time.monotonic() + RETURN_S
    while _cost(proxies)[1] > before[1] * 1.1 and time.monotonic() < end:
        time.sleep(0.2)
    time.sleep(RELEASE_S)
    return _cost(proxies)


def _connect(address: tuple[str, int], number: int) -> socket.socket:
    """One that says nothing, one that stops in the middle of its head, one that stops in the middle of its body."""
    sock = socket.create_connection(address, timeout=30)
    if number % 3:
        sock.sendall(b"PUT /v1/AUTH_x/c/o HTTP/1.1\r\nHost: x\r\nContent-Le")
    if number % 3 == 2:
        sock.sendall(b"ngth: 100\r\n\r\nhalf of the body")
    return sock


def _cost(pids: Sequence[int]) -> tuple[float, int]:
    return sum(pss_mb(pid) for pid in pids), sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], stdout=sys.stdout, stderr=sys.stderr))
