"""One object server behind our HTTP server on loopback, as our own proxy talks to it.

    python -m benchmarks.object_http [--dir DIR] [--seconds S]

CPU-ms are user plus system time of the server process alone, per operation; 16 connections for small objects, one for
large. Uploads are sent as the proxy sends them: MIME with footers, the CRC32C in place of MD5.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.object_server import Bench
from objstore.core.timestamp import Timestamp
from objstore.http.client import Connection, ConnectionPool, chunk_head
from objstore.http.server import Server
from objstore.runtime.checksum import crc32c, crc_text
from objstore.runtime.green import spawn

SMALL, LARGE, TIMEOUT_S = os.urandom(4096), os.urandom(1 << 20) * 64, 5.0
BOUNDARY = "b" * 64
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/schedstat")
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9 if fields.exists() else 0.0


def upload_pieces(body: bytes) -> tuple[bytes, bytes]:
    """(MIME before the object, MIME after it)."""
    footers = {"Etag": hashlib.md5(body).hexdigest(), "X-Objstore-Body-Crc32c": crc_text(crc32c(body))}
    document = json.dumps(footers).encode()
    digest = hashlib.md5(document).hexdigest()
    before = f"--{BOUNDARY}\r\nX-Document: object body\r\n\r\n".encode()
    after = (
        f"\r\n--{BOUNDARY}\r\nX-Document: object metadata\r\nContent-MD5: {digest}\r\n\r\n".encode()
        + document
        + f"\r\n--{BOUNDARY}--\r\n".encode()
    )
    return before, after


class Driver:
    def __init__(self, port: int) -> None:
        self._port = port
        self._pool = ConnectionPool()
        self._pieces = {len(body): upload_pieces(body) for body in (SMALL, LARGE)}
        self.count = 0

    def get(self, name: str, method: str = "GET") -> None:
        connection = self._pool.connect("127.0.0.1", self._port, TIMEOUT_S)
        headers = [("Host", "x"), ("X-Backend-Storage-Policy-Index", "0")]
        connection.send_request(method, self._path(name), headers, timeout_s=TIMEOUT_S)
        head = connection.read_head(TIMEOUT_S)
        assert head.status == 200, head
        buffer = memoryview(bytearray(1 << 20))
        while connection.readinto(buffer, TIMEOUT_S):
            pass
        connection.release()

    def put(self, name: str, body: bytes) -> None:
        connection = self._pool.connect("127.0.0.1", self._port, TIMEOUT_S)
        headers = [
            ("Host", "x"), ("X-Backend-Storage-Policy-Index", "0"), ("X-Timestamp", _now()),
            ("Content-Type", "application/octet-stream"), ("Transfer-Encoding", "chunked"),
            ("Expect", "100-continue"), ("X-Backend-Obj-Content-Length", str(len(body))),
            ("X-Backend-Obj-Metadata-Footer", "yes"), ("X-Backend-Objstore-Crc", "yes"),
            ("X-Backend-Obj-Multipart-Mime-Boundary", BOUNDARY), ("X-Container-Host", "127.0.0.1:1"),
            ("X-Container-Device", "sda"), ("X-Container-Partition", "1"), ("X-Trans-Id", "tx0"),
        ]  # fmt: skip
        connection.send_request("PUT", self._path(name), headers, timeout_s=TIMEOUT_S)
        assert connection.read_head(TIMEOUT_S).status == 100
        before, after = self._pieces[len(body)]
        self._send(connection, before, body, after)
        assert connection.read_head(TIMEOUT_S).status == 201
        connection.read_all(1 << 16, TIMEOUT_S)
        connection.release()

    def fresh(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def _send(self, connection: Connection, before: bytes, body: bytes, after: bytes) -> None:
        end = b"\r\n0\r\n\r\n"
        if len(body) <= 65536:
            data = before + body + after
            connection.send(chunk_head(len(data)) + data + end, TIMEOUT_S)
        else:
            connection.send(chunk_head(len(before)) + before + b"\r\n" + chunk_head(len(body)), TIMEOUT_S)
            connection.send(body, TIMEOUT_S)
            connection.send(b"\r\n" + chunk_head(len(after)) + after + end, TIMEOUT_S)
        connection.mark_request_whole()

    def _path(self, name: str) -> str:
        return f"/sda/{hash(name) % 64}/AUTH_test/c/{name}"


def _now() -> str:
    return Timestamp(time.time_ns() // 10_000).internal


def measure(label: str, pid: int, action: Callable[[], None], seconds: float, concurrency: int, mib: float = 0) -> None:
    action()
    done = 0
    stop = time.perf_counter() + seconds

    def loop() -> None:
        nonlocal done
        while time.perf_counter() < stop:
            action()
            done += 1

    cpu, wall = cpu_s(pid), time.perf_counter()
    for task in [spawn(loop) for _ in range(concurrency)]:
        task.join()
    cpu, wall = cpu_s(pid) - cpu, time.perf_counter() - wall
    line = f"{label:16} {cpu / done * 1000:9.3f} CPU-ms/op {done / wall:9.1f} op/s"
    if mib:
        line += f" {cpu * 1000 / (done * mib):7.3f} CPU-ms/MiB {done * mib / wall:8.0f} MiB/s"
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", default=None)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir=options.dir))
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    pid = os.fork()
    if pid == 0:
        Server(listener, Bench(root / "node").app, logger=logging.getLogger("bench")).serve()
        os._exit(0)
    try:
        driver = Driver(listener.getsockname()[1])
        for number in range(100):
            driver.put(f"kept-{number}", SMALL)
        driver.put("large", LARGE)
        turn = iter(range(1 << 60))
        measure("GET 4 KiB", pid, lambda: driver.get(f"kept-{next(turn) % 100}"), options.seconds, 16)
        measure("HEAD", pid, lambda: driver.get(f"kept-{next(turn) % 100}", "HEAD"), options.seconds, 16)
        measure("PUT 4 KiB new", pid, lambda: driver.put(driver.fresh(), SMALL), options.seconds, 16)
        measure("PUT 4 KiB over", pid, lambda: driver.put(f"kept-{next(turn) % 100}", SMALL), options.seconds, 16)
        measure("GET 64 MiB", pid, lambda: driver.get("large"), options.seconds, 1, 64)
        measure("PUT 64 MiB", pid, lambda: driver.put("large", LARGE), options.seconds, 1, 64)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
