"""CPU time of one object server per operation, called in this process: no sockets, real files, fsync on.

    python -m benchmarks.object_server [--dir DIR] [--seconds S] [--only NAME] [--profile]

What it prints is user plus system time of this process with its native threads, per operation, and operations per
second one after the other. Container rows are taken at once by a stand-in. --profile prints where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from objstore.config.cluster import Cluster
from objstore.core.hashing import HashSecrets
from objstore.core.limits import Limits
from objstore.core.policy import Policies
from objstore.core.timestamp import Timestamp
from objstore.http.dispatch import BackendApp
from objstore.object.app import build
from objstore.object.delivery import Target
from objstore.object.rows import ContainerRow
from objstore.object.settings import ObjectServerSettings
from objstore.object.update import Delivery

SMALL, LARGE = 4096, 64 << 20
PARTITIONS = 64
CONTAINER = {
    "HTTP_X_CONTAINER_HOST": "127.0.0.1:6201",
    "HTTP_X_CONTAINER_DEVICE": "sda",
    "HTTP_X_CONTAINER_PARTITION": "1",
    "HTTP_X_TRANS_ID": "tx0",
    "HTTP_HOST": "127.0.0.1:8080",
}


class TakeEverything:
    def announced(self, targets: Iterable[Target]) -> AbstractContextManager[object]:
        return nullcontext()

    def deliver(self, target: Target, row: ContainerRow, *, alone: bool = False) -> bool:
        row.headers()
        return True


class Input:
    def __init__(self, body: memoryview) -> None:
        self._body = body

    def read_some(self, size: int) -> bytes:
        piece, self._body = bytes(self._body[:size]), self._body[size:]
        return piece

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._body))
        buffer[:count] = self._body[:count]
        self._body = self._body[count:]
        return count

    def continue_with(self, headers: list[tuple[str, str]]) -> None:
        pass


class SocketSink:
    """A socket whose other end throws everything away."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        null = os.open("/dev/null", os.O_WRONLY)
        read_end, write_end = os.pipe()
        while count := os.splice(self._far.fileno(), write_end, 1 << 20):
            os.splice(read_end, null, count)

    def send(self, data: bytes | bytearray | memoryview) -> None:
        self._near.sendall(data)

    def sendfile(self, fd: int, offset: int, count: int) -> None:
        while count:
            sent = os.sendfile(self._near.fileno(), fd, offset, count)
            offset, count = offset + sent, count - sent

    def splice(self, pipe_fd: int, count: int) -> None:
        raise AssertionError("not used")


class Bench:
    def __init__(self, root: Path, delivery: Delivery | None) -> None:
        """delivery: None for the real one."""
        (root / "sda").mkdir(parents=True)
        pairs = {"devices": str(root), "mount_check": "no", "fallocate_reserve": "1%"}
        settings, problems = ObjectServerSettings.from_pairs(pairs)
        assert not problems, problems
        cluster = Cluster(root, HashSecrets(b"", b"bench"), Policies.single(), Limits())
        self.app: BackendApp = build(settings, cluster, delivery=delivery)
        self.sink = SocketSink()
        self.count = 0

    def call(self, method: str, name: str, body: memoryview | None = None, **environ: str) -> None:
        statuses: list[str] = []
        partition = hash(name) % PARTITIONS
        request: dict[str, object] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": f"/sda/{partition}/AUTH_test/c/{name}",
            "QUERY_STRING": "",
            "wsgi.input": Input(body if body is not None else memoryview(b"")),
            "HTTP_X_BACKEND_STORAGE_POLICY_INDEX": "0",
            "HTTP_X_TIMESTAMP": Timestamp(time.time_ns() // 10_000).internal,
            **CONTAINER,
            **environ,
        }
        if body is not None:
            request["CONTENT_LENGTH"] = str(len(body))
            request["CONTENT_TYPE"] = "application/octet-stream"
        response = self.app(request, lambda status, headers: statuses.append(status))
        if hasattr(response, "transfer"):  # isinstance() of a protocol takes 65 µs, and is no part of the server.
            response.transfer(self.sink)
            response.close()
        elif method == "GET":
            b"".join(response)
        assert statuses[0][0] == "2" or method == "DELETE", statuses

    def fresh(self) -> str:
        self.count += 1
        return f"object-{self.count}"


def operations(bench: Bench) -> Iterator[tuple[str, int, Callable[[], None]]]:
    """(name, bytes of body, what is done once)."""
    small, large = memoryview(os.urandom(SMALL)), memoryview(os.urandom(1 << 20) * 64)
    for number in range(200):
        bench.call("PUT", f"kept-{number}", small)
    bench.call("PUT", "large", large)
    numbers = iter(range(1 << 60))
    deletes = [bench.fresh() for _ in range(20_000)]
    yield "GET 4 KiB", SMALL, lambda: bench.call("GET", f"kept-{next(numbers) % 200}")
    yield "HEAD", 0, lambda: bench.call("HEAD", f"kept-{next(numbers) % 200}")
    yield "PUT 4 KiB new", SMALL, lambda: bench.call("PUT", bench.fresh(), small)
    yield "PUT 4 KiB over", SMALL, lambda: bench.call("PUT", f"kept-{next(numbers) % 200}", small)
    yield "DELETE unknown", 0, lambda: bench.call("DELETE", deletes.pop())
    yield "POST", 0, lambda: bench.call("POST", f"kept-{next(numbers) % 200}", HTTP_X_OBJECT_META_A="1")
    yield "PUT 64 MiB", LARGE, lambda: bench.call("PUT", "large", large)
    yield "GET 64 MiB", LARGE, lambda: bench.call("GET", "large")


def measure(action: Callable[[], None], seconds: float) -> tuple[int, float, float]:
    """(operations, CPU seconds, wall seconds)."""
    action()
    count, cpu, wall = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - wall < seconds:
        action()
        count += 1
    return count, time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", default=None, help="where the device is made")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="", help="operations whose name contains this")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir=options.dir))
    try:
        for name, size, action in operations(Bench(root / "node", TakeEverything())):
            if options.only not in name:
                continue
            profile = cProfile.Profile() if options.profile else None
            if profile is not None:
                profile.enable()
            count, cpu_s, wall_s = measure(action, options.seconds)
            line = f"{name:16} {cpu_s / count * 1000:9.3f} CPU-ms/op {count / wall_s:9.1f} op/s"
            if size > 1 << 20:
                mib = count * size / (1 << 20)
                line += f" {cpu_s * 1000 / mib:7.3f} CPU-ms/MiB {mib / wall_s:8.0f} MiB/s"
            print(line, flush=True)
            if profile is not None:
                profile.disable()
                pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(25)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
