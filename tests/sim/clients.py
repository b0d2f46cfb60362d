"""Clients that read, write and delete a few names through the proxies, and judge every answer on the spot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import eventlet
from greenlet import GreenletExit

from objstore.core.timestamp import Timestamp
from tests.sim.history import Fate, History, Write
from tests.sim.host import EPOCH_S, HOST, Ended
from tests.sim.world import Proxy, World
from tests.support.storage_nodes import ProxyClient

ACCOUNT = "/v1/AUTH_a"
CONTAINERS = ("c0", "c1")
CHURNED = ("k0", "k1")
OBJECTS = ("o0", "o1", "o2", "o3")
SIZES = (0, 1, 100, 5000, 70_000)
_PATIENCE_S = 120.0


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Clients:
    def __init__(self, world: World, history: History) -> None:
        self._world = world
        self._history = history
        self.containers = list(CONTAINERS)
        """Those that stay, with objects in them."""
        self.churned = list(CHURNED)
        """Containers without objects: those that are made and deleted, and others that faults have made."""
        self._used: set[int] = set()
        self._count = 0

    # Requests

    def ask(self, proxy: Proxy, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer | None:
        """The whole answer; None when there was none, or it broke off."""
        self._count += 1
        number = self._count
        if not proxy.process.is_alive:
            return None
        HOST.trace(f"#{number} {proxy.name} {method} {path} {dict(headers)} {len(body)} B")
        query = "format=json" if path.endswith("?") else ""
        client = ProxyClient(proxy.app)
        try:
            with eventlet.Timeout(_PATIENCE_S):
                found = proxy.process.run(
                    lambda: client.request(method, path.rstrip("?"), headers, body, query, environ=_environ())
                )
        except (Exception, GreenletExit, Ended, eventlet.Timeout) as error:
            HOST.trace(f"#{number} broke: {error!r}")
            return None
        HOST.trace(f"#{number} {found.status} {len(found.body)} B")
        return Answer(found.status, found.headers, found.body)

    def write(self, proxy: Proxy, write: Write, headers: Mapping[str, str]) -> Write:
        self._history.writes.append(write)
        found = self.ask(
            proxy,
            write.method,
            write.path,
            {"x-timestamp": write.timestamp.internal, **headers},
            write.content,
        )
        write.status = found.status if found is not None else 0
        write.fate = _fate(write)
        return write

    def time_for(self, proxy: Proxy) -> Timestamp:
        """Now, as the proxy's clock has it; no two writes have the same."""
        stamp = Timestamp.from_seconds(EPOCH_S + HOST.now_s + proxy.skew_s)
        while stamp.ticks in self._used:
            stamp = Timestamp(stamp.ticks + 1)
        self._used.add(stamp.ticks)
        return stamp

    def any_proxy(self) -> Proxy:
        return HOST.random.choice(self._world.proxies)

    # What clients do

    def prepare(self) -> None:
        """Containers that stay."""
        for name in CONTAINERS:
            self.put_container(name)

    def put_container(self, name: str, proxy: Proxy | None = None, headers: Mapping[str, str] | None = None) -> Write:
        proxy = proxy or self.any_proxy()
        return self.write(proxy, Write("PUT", f"{ACCOUNT}/{name}", self.time_for(proxy)), headers or {})

    def run(self, count: int) -> None:
        """One client: so many requests, one after the other."""
        for _ in range(count):
            eventlet.sleep(HOST.random.choice((0.0, 0.05, 0.5, 2.0, 4.0)))
            HOST.random.choices(
                (self.put, self.delete, self._post, self._get, self._list, self._churn), (40, 14, 10, 25, 4, 7)
            )[0]()

    def _path(self) -> str:
        return f"{ACCOUNT}/{HOST.random.choice(CONTAINERS)}/{HOST.random.choice(OBJECTS)}"

    def put(self, proxy: Proxy | None = None, path: str = "", *, may_expire: bool = True) -> Write:
        proxy, path = proxy or self.any_proxy(), path or self._path()
        stamp = self.time_for(proxy)
        content = content_of(path, stamp, HOST.random.choice(SIZES))
        write = Write("PUT", path, stamp, content, hashlib.md5(content).hexdigest())
        headers = {"content-type": "text/plain", "content-length": str(len(content))}
        if may_expire and HOST.random.random() < 0.12:
            write.delete_at_s = int(EPOCH_S + HOST.now_s) + HOST.random.choice((10, 40, 100))
            headers["x-delete-at"] = str(write.delete_at_s)
        return self.write(proxy, write, headers)

    def delete(self, proxy: Proxy | None = None, path: str = "") -> None:
        proxy = proxy or self.any_proxy()
        self.write(proxy, Write("DELETE", path or self._path(), self.time_for(proxy)), {})

    def _post(self) -> None:
        proxy = self.any_proxy()
        stamp = self.time_for(proxy)
        self.write(proxy, Write("POST", self._path(), stamp, tag=stamp.internal), {"x-object-meta-tag": stamp.internal})

    def _churn(self) -> None:
        proxy = self.any_proxy()
        method = HOST.random.choice(("PUT", "PUT", "DELETE"))
        path = f"{ACCOUNT}/{HOST.random.choice(CHURNED)}"
        self.write(proxy, Write(method, path, self.time_for(proxy)), {})

    def _list(self) -> None:
        found = self.ask(self.any_proxy(), "GET", f"{ACCOUNT}/{HOST.random.choice(CONTAINERS)}?", {})
        if found is not None and found.status == 200:
            for row in json.loads(found.body):
                if row["name"] not in OBJECTS:
                    self._history.problems.append(f"a listing has {row['name']!r}, which nobody has put there")

    def _get(self) -> None:
        path = self._path()
        self.judge(path, self.ask(self.any_proxy(), HOST.random.choice(("GET", "GET", "HEAD")), path, {}))

    def get_again(self, path: str, count: int) -> None:
        """So often that every replica has its turn."""
        for _ in range(count):
            self.judge(path, self.ask(self.any_proxy(), "GET", path, {}))

    def judge(self, path: str, found: Answer | None) -> None:
        """Whatever is answered was put there, whole. (It may be old: that is for the end to judge.)"""
        if found is None or found.status != 200:
            return
        etag = found.headers.get("etag", "").strip('"')
        known = {write.etag: write.content for write in self._history.of(path, "PUT")}
        if etag not in known:
            self._history.problems.append(f"{path}: answered with an ETag {etag} of no PUT")
        elif found.body and found.body != known[etag]:
            self._history.problems.append(f"{path}: {len(found.body)} wrong bytes with ETag {etag}")
        elif found.headers.get("content-length") != str(len(known[etag])):
            self._history.problems.append(f"{path}: length {found.headers.get('content-length')} with ETag {etag}")


def content_of(path: str, stamp: Timestamp, size: int) -> bytes:
    """Bytes that belong to one PUT alone."""
    mark = f"{path} {stamp.internal} ".encode()
    return (mark * (size // len(mark) + 1))[: max(size, 0)] if size >= len(mark) else mark[-size:] if size else b""


def _environ() -> dict[str, Any]:
    return {"objstore.simulated": True}


def _fate(write: Write) -> Fate:
    """202 to a PUT: something newer is there, or so the servers said; nobody promises this one."""
    status = write.status
    if status in (200, 201, 204) or (status == 202 and write.method in ("POST", "DELETE")):
        return Fate.ACKNOWLEDGED
    if status in (400, 401, 403, 411, 412, 413, 422):
        return Fate.REFUSED
    return Fate.UNKNOWN
