"""One object server behind our HTTP server on loopback, as our own proxy talks to it.

    python -m benchmarks.object_http [--dir DIR] [--seconds S] [--only NAME] [--connections N] [--repeat R]

CPU-ms are user plus system time of the server process alone, per operation; large objects go over one connection.
Requests are sent as the proxy sends them: small uploads in one piece with their ETag, large ones as MIME with footers,
the CRC32C in place of MD5. Container rows go to a stand-in of a container server, a process of its own. "waits" are
voluntary context switches of the server: how often it went to sleep.
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
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.object_server import Bench
from objstore.core.timestamp import Timestamp
from objstore.http.client import ConnectionPool, chunk_head
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.server import Server
from objstore.runtime.checksum import crc32c, crc_text
from objstore.runtime.green import spawn

SMALL_BYTES, TIMEOUT_S = 4096, 5.0
SMALL, LARGE = os.urandom(SMALL_BYTES), os.urandom(1 << 20) * 64
BOUNDARY = "b" * 64


def cpu_s(pid: int) -> float:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def wait_count(pid: int) -> int:
    """Voluntary context switches of all threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = (task / "status").read_text()
        total += int(status.partition("\nvoluntary_ctxt_switches:")[2].split(None, 1)[0])
    return total


def take_rows(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A container server that has every row already."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    status = {"PUT": "201 Created", "DELETE": "204 No Content"}.get(environ["REQUEST_METHOD"], "202 Accepted")
    start_response(status, [("Content-Type", "text/html; charset=UTF-8")])
    return ()


def serve(listener: socket.socket, app: Callable[[], WSGIApp]) -> int:
    """A process that serves an app; its pid."""
    pid = os.fork()
    if pid == 0:
        Server(listener, app(), logger=logging.getLogger("bench")).serve()
        os._exit(0)
    return pid


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
    def __init__(self, port: int, rows_port: int) -> None:
        self._port = port
        self._rows_port = rows_port
        self._pool = ConnectionPool()
        self._pieces = upload_pieces(LARGE)
        self._small_etag = hashlib.md5(SMALL).hexdigest()
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

    def put(self, name: str) -> None:
        """A small object, in one send."""
        headers = [
            *self._change_headers(), ("Content-Type", "application/octet-stream"),
            ("Etag", self._small_etag), ("Content-Length", str(SMALL_BYTES)),
        ]  # fmt: skip
        self._change("PUT", name, headers, SMALL, 201)

    def delete(self, name: str) -> None:
        self._change("DELETE", name, [*self._change_headers(), ("Content-Length", "0")], b"", 204)

    def _change(self, method: str, name: str, headers: list[tuple[str, str]], body: bytes, expected: int) -> None:
        connection = self._pool.connect("127.0.0.1", self._port, TIMEOUT_S)
        connection.send_request(method, self._path(name), headers, body, timeout_s=TIMEOUT_S)
        head = connection.read_head(TIMEOUT_S)
        assert head.status == expected, head
        connection.read_all(1 << 16, TIMEOUT_S)
        connection.release()

    def _change_headers(self) -> list[tuple[str, str]]:
        return [
            ("Host", f"127.0.0.1:{self._port}"), ("X-Backend-Storage-Policy-Index", "0"), ("X-Timestamp", _now()),
            ("User-Agent", "proxy-server 1"), ("Referer", "PUT http://127.0.0.1:8080/v1/AUTH_test/c/o"),
            ("X-Trans-Id", "tx0"), ("X-Container-Host", f"127.0.0.1:{self._rows_port}"),
            ("X-Container-Device", "sda"), ("X-Container-Partition", "1"),
        ]  # fmt: skip

    def put_large(self, name: str) -> None:
        connection = self._pool.connect("127.0.0.1", self._port, TIMEOUT_S)
        headers = [
            *self._change_headers(), ("Content-Type", "application/octet-stream"), ("Transfer-Encoding", "chunked"),
            ("Expect", "100-continue"), ("X-Backend-Obj-Content-Length", str(len(LARGE))),
            ("X-Backend-Obj-Metadata-Footer", "yes"), ("X-Backend-Objstore-Crc", "yes"),
            ("X-Backend-Obj-Multipart-Mime-Boundary", BOUNDARY),
        ]  # fmt: skip
        connection.send_request("PUT", self._path(name), headers, timeout_s=TIMEOUT_S)
        assert connection.read_head(TIMEOUT_S).status == 100
        before, after = self._pieces
        end = b"\r\n0\r\n\r\n"
        connection.send(chunk_head(len(before)) + before + b"\r\n" + chunk_head(len(LARGE)), TIMEOUT_S)
        connection.send(LARGE, TIMEOUT_S)
        connection.send(b"\r\n" + chunk_head(len(after)) + after + end, TIMEOUT_S)
        connection.mark_request_whole()
        assert connection.read_head(TIMEOUT_S).status == 201
        connection.read_all(1 << 16, TIMEOUT_S)
        connection.release()

    def fresh(self) -> str:
        self.count += 1
        return f"n{self.count}"

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

    cpu, waits, wall = cpu_s(pid), wait_count(pid), time.perf_counter()
    for task in [spawn(loop) for _ in range(concurrency)]:
        task.join()
    cpu, waits, wall = cpu_s(pid) - cpu, wait_count(pid) - waits, time.perf_counter() - wall
    line = f"{label:16} {cpu / done * 1000:9.3f} CPU-ms/op {done / wall:9.1f} op/s {waits / done:7.2f} waits/op"
    if mib:
        line += f" {cpu * 1000 / (done * mib):7.3f} CPU-ms/MiB {done * mib / wall:8.0f} MiB/s"
    print(line, flush=True)


def run(driver: Driver, pid: int, options: argparse.Namespace) -> None:
    for number in range(100):
        driver.put(f"kept-{number}")
    turn, doomed = iter(range(1 << 60)), iter(range(1 << 60))
    small: list[tuple[str, Callable[[], None]]] = [
        ("GET 4 KiB", lambda: driver.get(f"kept-{next(turn) % 100}")),
        ("HEAD", lambda: driver.get(f"kept-{next(turn) % 100}", "HEAD")),
        ("PUT 4 KiB new", lambda: driver.put(driver.fresh())),
        ("PUT 4 KiB over", lambda: driver.put(f"kept-{next(turn) % 100}")),
        ("DELETE", lambda: driver.delete(f"doomed{next(doomed)}")),
    ]
    large: list[tuple[str, Callable[[], None]]] = [
        ("PUT 64 MiB", lambda: driver.put_large("large")),
        ("GET 64 MiB", lambda: driver.get("large")),
    ]
    for _ in range(options.repeat):
        for label, action in small:
            if options.only in label:
                if label == "DELETE":
                    # As many as the measured time can take.
                    for number in range(next(doomed), next(doomed) + int(options.seconds * 2000)):
                        driver.put(f"doomed{number}")
                measure(label, pid, action, options.seconds, options.connections)
        for label, action in large:
            if options.only in label:
                measure(label, pid, action, options.seconds, 1, len(LARGE) / (1 << 20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", default=None)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="", help="operations whose name contains this")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir=options.dir))
    listener, rows = (socket.create_server(("127.0.0.1", 0), backlog=256) for _ in range(2))
    pids = [serve(listener, lambda: Bench(root / "node", None).app), serve(rows, lambda: take_rows)]
    try:
        run(Driver(listener.getsockname()[1], rows.getsockname()[1]), pids[0], options)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
