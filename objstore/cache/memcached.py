"""memcached as a CacheService, readable and writable by Swift proxies that share it (formats 7).

Keys go as MD5, values as JSON with flags 2; counters and strings of others have flags 0. Flags 1 were pickles: they
are never decoded (CVE-2012-4406). A server that fails often is left alone for a while; what cannot be done is a miss.
"""

from __future__ import annotations

import json
import logging
import math
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from objstore.cache.connection import CacheError, Connection, address_of
from objstore.cache.placement import Circle, wire_key
from objstore.runtime import green

T = TypeVar("T")
_PLAIN, _JSON = b"0", b"2"
_ABSOLUTE_FROM_S = 30 * 24 * 3600
_VALUE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class MemcachedLimits:
    """error_limit failures of a server within error_interval_s leave it alone for another error_interval_s."""

    connect_timeout_s: float = 0.3
    io_timeout_s: float = 2.0
    pool_timeout_s: float = 1.0
    connections_max: int = 2
    tries: int = 3
    error_limit: int = 10
    error_interval_s: float = 60.0


class MemcachedCache:
    """servers: host:port as every proxy of the cluster spells them. tls: how to speak to them, None for plain TCP."""

    is_shared = True

    def __init__(
        self,
        servers: Sequence[str],
        limits: MemcachedLimits | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        logger: logging.Logger | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        for server in servers:
            address_of(server)
        self._limits = limits or MemcachedLimits()
        self._circle = Circle(servers)
        self._servers = {server: _Server(server, self._limits, tls, now) for server in servers}
        self._logger = logger or logging.getLogger("objstore.cache")
        self._now = now

    def get(self, key: str) -> Any:
        hashed = wire_key(key)
        return self._on_holder(hashed, lambda connection: _fetch(connection, hashed.encode()))

    def set(self, key: str, value: Any, ttl_s: float = 0) -> None:
        hashed = wire_key(key)
        data = json.dumps(value, separators=(",", ":")).encode("ascii")
        self._on_holder(hashed, lambda connection: _store(connection, b"set", hashed, _JSON, self._ttl(ttl_s), data))

    def delete(self, key: str) -> None:
        hashed = wire_key(key)
        self._on_holder(hashed, lambda connection: connection.exchange(b"delete %s\r\n" % hashed.encode()))

    def incr(self, key: str, delta: int = 1, ttl_s: float = 0) -> int | None:
        hashed = wire_key(key)
        return self._on_holder(hashed, lambda connection: _count(connection, hashed, delta, self._ttl(ttl_s)))

    def close(self) -> None:
        """Close what is idle; a command that is running keeps its connection."""
        for server in self._servers.values():
            server.close()

    def _ttl(self, ttl_s: float) -> int:
        seconds = math.ceil(ttl_s)
        # memcached takes anything longer for a date.
        return seconds if seconds <= _ABSOLUTE_FROM_S else int(self._now()) + seconds

    def _on_holder(self, hashed: str, command: Callable[[Connection], T]) -> T | None:
        """Run a command on the first server of the key that works; None when none did."""
        tries = self._limits.tries
        for name in self._circle.holders(hashed):
            if tries == 0:
                break
            server = self._servers[name]
            if server.is_suppressed():
                continue
            tries -= 1
            try:
                return server.run(command)
            except CacheError as error:
                if server.failed():
                    self._logger.error("server=%s: %s; left alone for a while after many errors", name, error)
                else:
                    self._logger.warning("server=%s: %s", name, error)
        return None


class _Server:
    """A bounded pool of connections to one server, and its recent failures."""

    def __init__(
        self, name: str, limits: MemcachedLimits, tls: ssl.SSLContext | None, now: Callable[[], float]
    ) -> None:
        self._name = name
        self._limits = limits
        self._tls = tls
        self._now = now
        self._idle: list[Connection] = []
        self._slots = green.Semaphore(limits.connections_max)
        self._errors: deque[float] = deque(maxlen=limits.error_limit)
        self._suppressed_until = 0.0

    def is_suppressed(self) -> bool:
        return self._now() < self._suppressed_until

    def failed(self) -> bool:
        """Note a failure; True when it was one too many."""
        now = self._now()
        self._errors.append(now)
        if len(self._errors) == self._errors.maxlen and now - self._errors[0] <= self._limits.error_interval_s:
            self._suppressed_until = now + self._limits.error_interval_s
            self._errors.clear()
            return True
        return False

    def run(self, command: Callable[[Connection], T]) -> T:
        if not self._slots.acquire(timeout=self._limits.pool_timeout_s):
            raise CacheError("no connection became free")
        connection: Connection | None = None
        try:
            connection = self._take()
            value = command(connection)
            self._idle.append(connection)
            connection = None
            return value
        finally:
            if connection is not None:
                connection.close()
            self._slots.release()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle:
                return connection
            connection.close()
        return Connection(self._name, self._limits.connect_timeout_s, self._limits.io_timeout_s, self._tls)


def _fetch(connection: Connection, hashed: bytes) -> Any:
    line = connection.exchange(b"get %s\r\n" % hashed)
    value = None
    while line != b"END":
        words = line.split()
        if len(words) < 4 or words[0] != b"VALUE" or not words[3].isdigit() or int(words[3]) > _VALUE_BYTES:
            raise CacheError(f"not an answer to get: {line[:80]!r}")
        data = connection.block(int(words[3]))
        if words[1] == hashed:
            value = _decoded(words[2], data)
        line = connection.line()
    return value


def _decoded(flags: bytes, data: bytes) -> Any:
    """JSON, a counter, a string; None for everything else, pickles first of all."""
    try:
        if flags == _JSON:
            return json.loads(data)
        if flags == _PLAIN:
            text = data.decode("utf-8").strip()  # memcached pads a counter that got shorter.
            return int(text) if text.isascii() and text.isdigit() else text
    except (ValueError, RecursionError):
        return None
    return None


def _store(connection: Connection, verb: bytes, hashed: str, flags: bytes, ttl: int, data: bytes) -> bool:
    head = b"%s %s %s %d %d\r\n" % (verb, hashed.encode(), flags, ttl, len(data))
    answer = connection.exchange(head + data + b"\r\n")
    if answer == b"STORED":
        return True
    if answer == b"NOT_STORED" or answer.startswith(b"SERVER_ERROR"):  # SERVER_ERROR: too large, or no memory left
        return False
    raise CacheError(f"not an answer to {verb.decode()}: {answer[:80]!r}")


def _count(connection: Connection, hashed: str, delta: int, ttl: int) -> int | None:
    command = b"%s %s %d\r\n" % (b"incr" if delta >= 0 else b"decr", hashed.encode(), abs(delta))
    answer = connection.exchange(command)
    if answer == b"NOT_FOUND":
        first = max(0, delta)
        if _store(connection, b"add", hashed, _PLAIN, ttl, b"%d" % first):
            return first
        answer = connection.exchange(command)  # Somebody else was faster.
    digits = answer.strip()
    return int(digits) if digits.isdigit() else None
