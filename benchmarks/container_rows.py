"""CPU time of one container server per object row, called in this process: no sockets, real files, fsync on.

    python -m benchmarks.container_rows [--dir DIR] [--rows N] [--only NAME] [--profile]

What it prints is user plus system time of this process with its native threads, per row: of all (merging what is
pending into the database is part of it), and of the cheapest twentieth, which a busy machine disturbs least. --profile
prints where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import pstats
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from objstore.config.cluster import Cluster
from objstore.container.app import make_app
from objstore.container.settings import ContainerServerSettings
from objstore.core.hashing import HashSecrets
from objstore.core.limits import Limits
from objstore.core.policy import Policies
from objstore.core.timestamp import Timestamp
from objstore.runtime import green
from objstore.runtime.clock import SystemClock

CONTAINER = "/sda/17/AUTH_test/c"
SENT = {
    "HTTP_X_BACKEND_STORAGE_POLICY_INDEX": "0",
    "HTTP_X_TRANS_ID": "tx0123456789abcdef01234-0065a0b1c2",
    "HTTP_REFERER": "PUT http://127.0.0.1:8080/v1/AUTH_test/c/o",
    "HTTP_USER_AGENT": "object-server 4711",
    "HTTP_HOST": "127.0.0.1:6201",
}
ROW = {
    "HTTP_X_SIZE": "4096",
    "HTTP_X_CONTENT_TYPE": "application/octet-stream",
    "HTTP_X_ETAG": "7ac66c0f148de9519b8bd264312c4d64",
}
PARTS = 20


class Bench:
    def __init__(self, root: Path) -> None:
        (root / "sda").mkdir(parents=True)
        pairs = {"devices": str(root), "mount_check": "no", "fallocate_reserve": "1%"}
        settings, problems = ContainerServerSettings.from_pairs(pairs)
        assert not problems, problems
        cluster = Cluster(root, HashSecrets(b"", b"bench"), Policies.single(), Limits())
        self.app = make_app(settings, cluster, SystemClock(), send=lambda *_: 201)
        self.count = 0
        self.call("PUT", CONTAINER)

    def call(self, method: str, path: str, body: bytes = b"", **environ: str) -> bytes:
        statuses: list[str] = []
        request: dict[str, object] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_X_TIMESTAMP": Timestamp(time.time_ns() // 10_000).internal,
            **SENT,
            **environ,
        }
        answer = b"".join(self.app(request, lambda status, headers: statuses.append(status)))
        assert statuses[0][0] == "2", (statuses, answer)
        return answer

    def fresh(self) -> str:
        self.count += 1
        return f"bench/object-{self.count:08d}"

    def put(self) -> None:
        self.call("PUT", f"{CONTAINER}/{self.fresh()}", **ROW)

    def delete(self) -> None:
        self.call("DELETE", f"{CONTAINER}/{self.fresh()}")

    def update(self, rows: int) -> None:
        now = Timestamp(time.time_ns() // 10_000).internal
        items = [
            {
                "name": self.fresh(),
                "created_at": now,
                "size": 4096,
                "content_type": ROW["HTTP_X_CONTENT_TYPE"],
                "etag": ROW["HTTP_X_ETAG"],
                "deleted": 0,
                "storage_policy_index": 0,
            }
            for _ in range(rows)
        ]
        self.call("UPDATE", CONTAINER, json.dumps(items).encode())

    def listing(self) -> None:
        environ = {"QUERY_STRING": "format=json&limit=10000"}
        self.call("GET", CONTAINER, **environ)


def operations(bench: Bench, rows: int) -> Sequence[tuple[str, int, int, Callable[[], None]]]:
    """(name, callers at once, rows of one call, what is called)."""
    return (
        ("PUT row, alone", 1, 1, bench.put),
        ("PUT row, 5 at once", 5, 1, bench.put),
        ("DELETE row, 5 at once", 5, 1, bench.delete),
        ("UPDATE of 3 rows", 1, 3, lambda: bench.update(3)),
        ("UPDATE of 30 rows", 1, 30, lambda: bench.update(30)),
        ("JSON listing", 1, max(1, rows // 20), bench.listing),
    )


def measure(action: Callable[[], None], calls: int, at_once: int) -> tuple[float, float]:
    """CPU seconds of a call: mean, and mean of the cheapest part."""

    def some(count: int) -> None:
        for _ in range(count):
            action()

    action()
    per_part = max(calls // PARTS // at_once, 1)
    spent = []
    for _ in range(PARTS):
        started = time.process_time()
        for task in [green.spawn(some, per_part) for _ in range(at_once)]:
            task.join()
        spent.append(time.process_time() - started)
    return sum(spent) / PARTS / per_part / at_once, min(spent) / per_part / at_once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", default=None, help="where the device is made")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--only", default="", help="operations whose name contains this")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir=options.dir))
    try:
        bench = Bench(root / "node")
        for name, at_once, per_call, action in operations(bench, options.rows):
            if options.only not in name:
                continue
            calls = max(options.rows // per_call, 1)
            profile = cProfile.Profile() if options.profile else None
            if profile is not None:
                profile.enable()
            mean_s, best_s = measure(action, calls, at_once)
            rows = 1 if "listing" in name else per_call
            print(f"{name:22} {mean_s / rows * 1000:9.4f} {best_s / rows * 1000:9.4f} CPU-ms", flush=True)
            if profile is not None:
                profile.disable()
                pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(35)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
