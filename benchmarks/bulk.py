"""Archives and bulk deletion: python -m benchmarks.bulk [--files 10000] [--dir DIR] [--json]

A cluster of its own (objstore up --no-daemons, four nodes, three replicas) takes a tar archive of so many files of 1
KiB as `?extract-archive=tar` and deletes them again by one `?bulk-delete`. Printed for both: files a second, CPU-ms of
all server processes per file, and how much the proxy's peak memory grew (MiB).
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cpu import cpu_s
from benchmarks.large_objects import peak_kib
from benchmarks.report import show
from tests.support.cluster import Cluster

PATIENCE_S = 600


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--dir", type=Path, help="where the cluster's temporary directory is made")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        cluster = Cluster(Path(folder) / "cluster")
        try:
            cluster.start("--no-daemons")
            results = measure(cluster, options.files)
        finally:
            cluster.close()
    show(results, as_json=options.json, decimals=2)
    return 0


def measure(cluster: Cluster, files: int) -> dict[str, dict[str, float]]:
    names = [f"dir{number % 100:02}/file{number:06}" for number in range(files)]
    login = cluster.login()
    # So that what is measured is not the first use of everything.
    first = names[:200]
    upload(cluster, "/warm", archive(first), len(first))
    assert login.path.startswith("/v1/")
    return {
        "extract": timed(cluster, files, lambda: upload(cluster, "/bulk", archive(names), files)),
        "delete": timed(cluster, files, lambda: delete(cluster, [f"/bulk/{name}" for name in names])),
    }


def timed(cluster: Cluster, files: int, work: Callable[[], None]) -> dict[str, float]:
    proxies, everybody = cluster.pids(role="proxy-server"), cluster.pids()
    peak, used_s = sum(map(peak_kib, proxies)), sum(map(cpu_s, everybody))
    started = time.monotonic()
    work()
    elapsed_s = time.monotonic() - started
    return {
        "per_s": files / elapsed_s,
        "cpu_ms": (sum(map(cpu_s, everybody)) - used_s) * 1000 / files,
        "memory_growth_mib": (sum(map(peak_kib, proxies)) - peak) / 1024,
    }


def archive(names: Sequence[str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for number, name in enumerate(names):
            entry = tarfile.TarInfo(name)
            entry.size = 1024
            tar.addfile(entry, io.BytesIO(bytes([number % 251]) * 1024))
    return data.getvalue()


def upload(cluster: Cluster, path: str, data: bytes, files: int) -> None:
    report = ask(cluster, "PUT", f"{path}?extract-archive=tar", data)
    assert report["Number Files Created"] == files, report


def delete(cluster: Cluster, paths: Sequence[str]) -> None:
    report = ask(cluster, "POST", "?bulk-delete", "\n".join(paths).encode(), {"Content-Type": "text/plain"})
    assert report["Number Deleted"] == len(paths), report


def ask(
    cluster: Cluster, method: str, target: str, body: bytes, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    login = cluster.login()
    sent = {"X-Auth-Token": login.token, "Accept": "application/json", **(headers or {})}
    answer = cluster.ask(method, login.path + target, sent, body, timeout_s=PATIENCE_S)
    assert answer.status == 200, (answer.status, answer.body[:500])
    report: dict[str, Any] = json.loads(answer.body)
    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
