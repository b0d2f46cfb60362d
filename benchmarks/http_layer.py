"""How fast the HTTP layer is by itself: python -m benchmarks.http_layer [section …] [--seconds N] [--connections N]

Sections (all when none is named):
  requests   a trivial application, 4 KiB answers over 16 kept connections: requests/s, server CPU-µs per request
  client     round trips of our pooled client against that server: requests/s, client CPU-µs per request
  sendfile   1 GiB from the page cache to a client: GB/s, server CPU-ms/MiB
  splice     the same through a relaying server (client.transfer to the sink): GB/s, CPU-ms/MiB of both servers
  crowd      5,000 idle and half-sent connections: p99 of others before and during, memory and descriptors after

Servers run in processes of their own; CPU is user plus system time of the process measured. Loopback only.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import select
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from objstore.http.client import ConnectionPool, request
from objstore.http.server import Server, ServerLimits
from objstore.runtime import green

ANSWER = bytes(4096)
FILE_BYTES = 1 << 30
HEAD = (
    b"GET /v1/AUTH_test/c/object-000017 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: python-swiftclient-4.6.0\r\n"
    b"X-Auth-Token: AUTH_tk0123456789abcdef0123456789abcdef\r\nAccept-Encoding: gzip\r\nAccept: */*\r\n"
    b"X-Trans-Id: tx0123456789abcdef01234-006740f0a1\r\nReferer: GET http://127.0.0.1:8080/v1/AUTH_test/c/object\r\n"
    b"X-Timestamp: 1795232188.14071\r\nX-Backend-Storage-Policy-Index: 0\r\nX-Newest: false\r\n"
    b"Connection: keep-alive\r\n\r\n"
)
SIZE_HEADERS = [("Content-Type", "application/octet-stream"), ("Etag", '"d41d8cd98f00b204e9800998ecf8427e"')]


def trivial(environ, start_response):
    start_response("200 OK", [*SIZE_HEADERS, ("Content-Length", "4096"), ("X-Timestamp", "1795232188.14071")])
    return [ANSWER]


class FileBody:
    def __init__(self, path: str) -> None:
        self.file = open(path, "rb")  # Closed by close(), as WSGI has it.

    def transfer(self, sink) -> None:
        sink.sendfile(self.file.fileno(), 0, FILE_BYTES)

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(65536), b"")

    def close(self) -> None:
        self.file.close()


class RelayedBody:
    def __init__(self, connection) -> None:
        self.connection = connection

    def transfer(self, sink) -> None:
        self.connection.transfer(sink, FILE_BYTES, 10)

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.connection.read_some(65536, 10), b"")

    def close(self) -> None:
        self.connection.release()


class Process:
    """A server in a child process. cpu_s, memory_bytes and descriptor_count are read from /proc."""

    def __init__(self, app: Callable, limits: ServerLimits | None = None) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.address = listener.getsockname()
        self.pid = os.fork()
        if not self.pid:
            try:
                Server(listener, app, limits=limits, logger=logging.getLogger("benchmark")).serve()
            finally:
                os._exit(1)
        listener.close()

    def cpu_s(self) -> float:
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptor_count(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@contextmanager
def server(app: Callable, limits: ServerLimits | None = None) -> Iterator[Process]:
    process = Process(app, limits)
    try:
        yield process
    finally:
        process.stop()


def connect(address) -> socket.socket:
    sock = socket.create_connection(address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def load(address, connections: int, seconds: float) -> tuple[int, list[float]]:
    """Closed-loop load from this process without any HTTP library: (requests, latencies in seconds)."""
    poll = select.epoll()
    state: dict[int, list] = {}
    for _ in range(connections):
        sock = connect(address)
        sock.send(HEAD)
        sock.setblocking(False)
        poll.register(sock, select.EPOLLIN)
        state[sock.fileno()] = [sock, 0, time.perf_counter()]
    size, latencies = 0, []
    end = time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        for fd, _ in poll.poll(1):
            entry = state[fd]
            data = entry[0].recv(65536)
            size = size or data.index(b"\r\n\r\n") + 4 + len(ANSWER)
            entry[1] += len(data)
            if entry[1] >= size:
                now = time.perf_counter()
                latencies.append(now - entry[2])
                entry[1], entry[2] = 0, now
                entry[0].send(HEAD)
    for entry in state.values():
        entry[0].close()
    return len(latencies), latencies


def p99_ms(latencies: list[float]) -> float:
    return sorted(latencies)[int(len(latencies) * 0.99)] * 1000


def requests(options) -> None:
    with server(trivial) as process:
        load(process.address, 16, 0.5)
        before = process.cpu_s()
        count, latencies = load(process.address, 16, options.seconds)
        cpu_us = (process.cpu_s() - before) / count * 1e6
        print(
            f"requests: {count / options.seconds:,.0f}/s, {cpu_us:.1f} CPU-µs each "
            f"({1e6 / cpu_us:,.0f}/s per core), p99 {p99_ms(latencies):.2f} ms"
        )


def client(options) -> None:
    """Sixteen green threads, each one exchange after the other."""
    with server(trivial) as process:
        pool = ConnectionPool()
        host, port = process.address
        headers = [("Host", "h"), ("X-Timestamp", "1795232188.14071"), ("X-Trans-Id", "tx0"), ("User-Agent", "b")]
        counts = [0] * 16
        end = time.perf_counter() + options.seconds

        def work(index: int) -> None:
            while time.perf_counter() < end:
                request(
                    pool,
                    host,
                    port,
                    "GET",
                    "/d/1/a/c/o",
                    headers,
                    connect_timeout_s=1,
                    timeout_s=5,
                    max_body_bytes=1 << 20,
                )
                counts[index] += 1

        before = time.process_time()
        for task in [green.spawn(work, index) for index in range(16)]:
            task.join()
        cpu_us = (time.process_time() - before) / sum(counts) * 1e6
        print(f"client: {sum(counts) / options.seconds:,.0f} round trips/s, {cpu_us:.1f} CPU-µs each in the client")
        pool.close()


def file_app(path: str) -> Callable:
    def app(environ, start_response):
        start_response("200 OK", [*SIZE_HEADERS, ("Content-Length", str(FILE_BYTES))])
        return FileBody(path)

    return app


def relay_app(address) -> Callable:
    pool = ConnectionPool()

    def app(environ, start_response):
        connection = pool.connect(*address, 1)
        connection.send_request("GET", "/", [("Host", "h")], timeout_s=5)
        connection.read_head(5)
        start_response("200 OK", [*SIZE_HEADERS, ("Content-Length", str(FILE_BYTES))])
        return RelayedBody(connection)

    return app


def swallow(address) -> float:
    """Seconds that FILE_BYTES take to arrive. MSG_TRUNC drops them in the kernel: the reader costs next to nothing."""
    with connect(address) as sock:
        start = time.perf_counter()
        sock.send(HEAD)
        left = FILE_BYTES
        left -= len(sock.recv(65536).partition(b"\r\n\r\n")[2])
        buffer = bytearray(1 << 20)
        while left > 0:
            count = sock.recv_into(buffer, min(left, 1 << 20), socket.MSG_TRUNC)
            assert count, "closed early"
            left -= count
        return time.perf_counter() - start


@contextmanager
def large_file() -> Iterator[str]:
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(FILE_BYTES >> 20):
            file.write(bytes(1 << 20))
        file.flush()
        yield file.name


def timed(label: str, address, processes: list[Process]) -> None:
    swallow(address)
    before = sum(process.cpu_s() for process in processes)
    seconds = min(swallow(address) for _ in range(3))
    cpu_ms = (sum(process.cpu_s() for process in processes) - before) / 3 * 1000
    print(f"{label}: {FILE_BYTES / seconds / 1e9:.2f} GB/s, {cpu_ms / (FILE_BYTES >> 20):.3f} CPU-ms/MiB")


def sendfile(options) -> None:
    with large_file() as path, server(file_app(path)) as process:
        timed("sendfile", process.address, [process])


def splice(options) -> None:
    with large_file() as path, server(file_app(path)) as source, server(relay_app(source.address)) as relay:
        timed("splice", relay.address, [source, relay])


def crowd(options) -> None:
    """Half of the crowd is idle after a request, half has sent part of a head; their deadline is beyond the run."""
    limits = ServerLimits(head_timeout_s=300, keepalive_timeout_s=300)
    with server(trivial, limits) as process:
        load(process.address, 16, 1)
        _, latencies = load(process.address, 16, options.seconds)
        normal, memory, descriptors = p99_ms(latencies), process.memory_bytes(), process.descriptor_count()
        others = [connect(process.address) for _ in range(options.connections)]
        for index, sock in enumerate(others):
            sock.send(HEAD if index % 2 else HEAD[:100])
        time.sleep(1)
        crowded_memory = process.memory_bytes()
        count, latencies = load(process.address, 16, options.seconds)
        print(
            f"crowd: p99 {normal:.2f} ms alone, {p99_ms(latencies):.2f} ms beside {len(others):,} others "
            f"({count / options.seconds:,.0f}/s); {(crowded_memory - memory) / len(others) / 1024:.1f} KiB each"
        )
        for sock in others:
            sock.close()
        time.sleep(1)
        print(
            f"crowd: memory {memory / 1e6:.1f} → {crowded_memory / 1e6:.1f} → {process.memory_bytes() / 1e6:.1f} MB, "
            f"descriptors {descriptors} → {process.descriptor_count()}"
        )


SECTIONS = {"requests": requests, "client": client, "sendfile": sendfile, "splice": splice, "crowd": crowd}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="all when none is named")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=5000)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for name in options.sections or SECTIONS:
        SECTIONS[name](options)


if __name__ == "__main__":
    main()
