"""Static large objects against a plain one: python -m benchmarks.large_objects [--segments N] [--rounds N] [--json]

A cluster of four nodes in a directory of its own (TMPDIR decides where). Printed for segments of 1 MiB and of 64 KiB:
how long the PUT of the manifest took, MiB/s and the CPU-ms per MiB of proxy and object servers of a GET, both beside
those of a plain object, and how much the proxy's peak memory grew. What else the machine does hits both: each round
reads the one right after the other, in turns, share_percent is the median of the rounds' shares (its least and its most
beside it), and all other figures are medians, too. Segments of 1 MiB are a few objects that the manifest names again
and again: what is measured is the way through the proxy, not a disk. Those of 64 KiB are all different.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.cpu import cpu_s
from benchmarks.report import show
from tests.support.cluster import Cluster

MIB = 1 << 20
_DISTINCT = 8


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_objects")
    parser.add_argument("--segments", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "cluster") as cluster:
        results = measure(cluster, options.segments, options.rounds)
    show(results, as_json=options.json, decimals=2)
    return 0


def measure(cluster: Cluster, count: int, rounds: int) -> dict[str, dict[str, float]]:
    assert cluster.request("PUT", "/c")[0] == 201
    plain_mib = min(256, count)
    assert cluster.request("PUT", "/c/plain", bytes(plain_mib * MIB))[0] == 201
    results = {}
    for name, size, distinct in (("1 MiB", MIB, _DISTINCT), ("64 KiB", 65536, count)):
        for index in range(distinct):
            status = cluster.request("PUT", f"/c/{size}-{index}", bytes([index % 251]) * size)[0]
            assert status == 201
        put_s = put_manifest(cluster, f"/c/slo-{size}", [f"/c/{size}-{index % distinct}" for index in range(count)])
        asked = {"plain": ("/c/plain", plain_mib * MIB), "slo": (f"/c/slo-{size}", count * size)}
        results[name] = {"put_s": put_s, **compared(cluster, asked, rounds)}
    return results


def put_manifest(cluster: Cluster, path: str, segments: Sequence[str]) -> float:
    """Seconds it took."""
    manifest = json.dumps([{"path": segment} for segment in segments]).encode()
    login = cluster.login()
    started = time.monotonic()
    target = f"{login.path}{path}?multipart-manifest=put"
    assert cluster.raw_request("PUT", target, manifest, {"X-Auth-Token": login.token})[0] == 201
    return time.monotonic() - started


def compared(cluster: Cluster, asked: dict[str, tuple[str, int]], rounds: int) -> dict[str, float]:
    """asked: (path, size in bytes) of `plain` and `slo`."""
    for path, size in asked.values():
        read(cluster, path, size)  # The first use of everything.
    found: dict[str, list[dict[str, float]]] = {name: [] for name in asked}
    for number in range(rounds):
        for name in sorted(asked, reverse=number % 2 == 1):
            found[name].append(read(cluster, *asked[name]))
    shares = [100 * slo["mib_s"] / plain["mib_s"] for plain, slo in zip(found["plain"], found["slo"], strict=True)]
    return {
        "share_percent": median(shares),
        "share_least": min(shares),
        "share_most": max(shares),
        **{
            f"{name}_{figure}": median(each[figure] for each in found[name])
            for figure in ("mib_s", "proxy_cpu_ms_per_mib", "object_cpu_ms_per_mib")
            for name in asked
        },
        "memory_growth_mib": max(each["growth_mib"] for each in found["slo"]),
    }


def read(cluster: Cluster, path: str, size: int) -> dict[str, float]:
    """A GET whose body is thrown away."""
    proxies, servers = cluster.pids(role="proxy-server"), cluster.pids(role="object-server")
    before_kib, used_s, served_s = max(map(peak_kib, proxies)), total_s(proxies), total_s(servers)
    started = time.monotonic()
    receive(cluster, path, size)
    elapsed_s = time.monotonic() - started
    return {
        "mib_s": size / MIB / elapsed_s,
        "proxy_cpu_ms_per_mib": (total_s(proxies) - used_s) * 1000 / (size / MIB),
        "object_cpu_ms_per_mib": (total_s(servers) - served_s) * 1000 / (size / MIB),
        "growth_mib": (max(map(peak_kib, proxies)) - before_kib) / 1024,
    }


def total_s(pids: Sequence[int]) -> float:
    return sum(map(cpu_s, pids))


def receive(cluster: Cluster, path: str, size: int) -> None:
    login = cluster.login()
    head = f"GET {login.path}{path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {login.token}\r\nConnection: close\r\n\r\n"
    buffer = bytearray(MIB)
    with socket.create_connection(cluster.address, 60) as connection:
        connection.sendall(head.encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += connection.recv(65536)
        top, _, rest = got.partition(b"\r\n\r\n")
        assert top.startswith(b"HTTP/1.1 200"), top
        received = len(rest)
        while count := connection.recv_into(buffer):
            received += count
    assert received == size, (received, size)


def peak_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
