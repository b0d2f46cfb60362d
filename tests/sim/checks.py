"""What must hold once everything is well again and the daemons have had their rounds. Each check returns problems."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from objstore.core.policy import policy_directory
from objstore.runtime.clock import SystemClock
from objstore.runtime.devices import Devices
from objstore.storage.disk import DiskEngine
from objstore.storage.engine import StoredObject
from objstore.storage.hashes import hash_parts
from objstore.storage.layout import ObjectAddress
from objstore.storage.resolve import resolve
from tests.sim.clients import ACCOUNT, OBJECTS, Answer, Clients
from tests.sim.history import Fate, History, Write
from tests.sim.host import EPOCH_S, HOST
from tests.sim.nodes import Node
from tests.sim.world import World


class _Held(str):
    """The path of an object that is there."""


class Checks:
    def __init__(self, world: World, history: History, clients: Clients) -> None:
        self._world = world
        self._history = history
        self._clients = clients
        self._there: dict[str, Answer] = {}

    def all(self) -> list[str]:
        self._there = {}
        return [
            *self._objects(),
            *self._copies(),
            *self._listings(),
            *self._databases(),
            *self._account(),
            *self._rest(),
        ]

    # Objects, as clients see them

    def _objects(self) -> Iterator[str]:
        for container in self._clients.containers:
            for name in OBJECTS:
                path = f"{ACCOUNT}/{container}/{name}"
                found = self._clients.ask(self._clients.any_proxy(), "GET", path, {})
                self._clients.judge(path, found)
                if found is not None and found.status == 200:
                    self._there[path] = found
                yield from self._judged(path, found)

    def _judged(self, path: str, found: Answer | None) -> Iterator[str]:
        possible = self._history.possible(path)
        told = "; ".join(map(str, possible)) or "nothing was ever written"
        if found is None or found.status not in (200, 404):
            yield f"{path}: {'no answer' if found is None else found.status}; expected one of: {told}"
        elif found.status == 404:
            if self._history.is_sure(path, "PUT", "DELETE") and not any(map(self._may_be_gone, possible)):
                yield f"{path}: lost; expected one of: {told}"
        else:
            etag = found.headers["etag"].strip('"')
            fitting = [each for each in possible if each.method == "PUT" and each.etag == etag]
            if not any(map(self._may_be_there, fitting)):
                yield f"{path}: is there with ETag {etag}; expected one of: {told}"
            elif not any(self._fits_posts(path, each, found) for each in fitting):
                yield f"{path}: metadata {found.headers.get('x-object-meta-tag')} is not of the newest POST"

    def _may_be_gone(self, write: Write) -> bool:
        return write.method == "DELETE" or 0 < write.delete_at_s <= EPOCH_S + HOST.now_s

    def _may_be_there(self, write: Write) -> bool:
        """A POST takes the expiry away."""
        is_due = 0 < write.delete_at_s <= EPOCH_S + HOST.now_s
        return not is_due or bool(self._history.possible_posts(write.path, write.timestamp))

    def _fits_posts(self, path: str, put: Write, found: Answer) -> bool:
        posts = self._history.possible_posts(path, put.timestamp)
        tags = {post.tag for post in posts}
        if not any(post.fate is Fate.ACKNOWLEDGED for post in posts):
            tags.add("")
        return found.headers.get("x-object-meta-tag", "") in tags

    # Copies, as they lie on disk

    def _copies(self) -> Iterator[str]:
        held: set[str] = set()
        for index in range(self._world.policy_count):
            for path in self._copies_of(index):
                if isinstance(path, _Held):
                    if path in held:
                        yield f"{path}: has copies of two policies"
                    held.add(path)
                else:
                    yield path
        for path in self._there.keys() - held:
            yield f"{path}: answered, and there is no copy"

    def _copies_of(self, index: int) -> Iterator[str]:
        """Problems with the copies of a policy, and each path that it has an object of."""
        top = policy_directory("objects", index)
        ring = self._world.ring(policy_directory("object", index))
        found: dict[str, dict[tuple[str, str], tuple[str, ...]]] = defaultdict(dict)
        partitions: dict[str, str] = {}
        objects: set[str] = set()
        for node, disk, directory in self._hash_directories(top):
            names = [path.name for path in directory.iterdir()]
            live = resolve(names)
            if live.data is not None:
                objects.add(directory.name)
            else:  # A POST whose data never came is kept for a week; it means nothing without (formats 4.6).
                live = replace(live, meta=None, content_type_meta=None)
            if hash_parts(live):
                found[directory.name][node.name, disk] = tuple(hash_parts(live))
                partitions[directory.name] = directory.parts[-3]
        paths = {self._hash(path): path for path in self._paths()}
        for hash_hex, copies in sorted(found.items()):
            homes = self._homes(ring.primaries(int(partitions[hash_hex])))
            path = paths.get(hash_hex, hash_hex)
            for place in copies.keys() - homes:
                yield f"{path}: a copy is left on {place}, which is no primary: {copies[place]}"
            if len({copies.get(home) for home in homes}) > 1:
                yield f"{path}: copies differ: {sorted((home, copies.get(home)) for home in homes)}"
            if hash_hex in objects and path in self._there:
                yield _Held(path)
                yield from self._whole(path, hash_hex, partitions[hash_hex], index, homes)

    def _whole(
        self, path: str, hash_hex: str, partition: str, index: int, homes: set[tuple[str, str]]
    ) -> Iterator[str]:
        expected = self._there[path]
        for name, disk in sorted(homes):
            engine = DiskEngine(
                Devices(self._world.node(name).root, mount_check=False), self._world.secrets, SystemClock()
            )
            address = ObjectAddress(disk, partition, index, path.removeprefix("/v1"), hash_hex)
            try:
                stored = engine.open(address)
            except Exception as error:
                yield f"{path}: the copy on {name}/{disk}: {error!r}"
                continue
            if not isinstance(stored, StoredObject):
                yield f"{path}: no copy on {name}/{disk}"
                continue
            with stored:
                if stored.body.pread(stored.size + 1, 0) != expected.body:
                    yield f"{path}: wrong bytes on {name}/{disk}"

    def _homes(self, primaries: object) -> set[tuple[str, str]]:
        by_ip = {node.ip: node.name for node in self._world.nodes}
        return {(by_ip[each.device.ip], each.name) for each in primaries}  # type: ignore[attr-defined]

    def _paths(self) -> list[str]:
        return [f"{ACCOUNT}/{container}/{name}" for container in self._clients.containers for name in OBJECTS]

    def _hash(self, path: str) -> str:
        return self._world.secrets.hash_path(*path.removeprefix("/v1/").split("/", 2))

    def _hash_directories(self, top: str) -> Iterator[tuple[Node, str, Path]]:
        for node in self._world.nodes:
            for disk in node.disks:
                for path in sorted((node.root / disk / top).glob("*/???/" + "?" * 32)):
                    yield node, disk, path

    # Listings and totals

    def _listings(self) -> Iterator[str]:
        for container in self._clients.containers:
            path = f"{ACCOUNT}/{container}"
            found = self._clients.ask(self._clients.any_proxy(), "GET", f"{path}?", {})
            if found is None or found.status not in (200, 204):
                if self._history.is_sure(path, "PUT"):
                    yield f"{path}: no listing: {found and found.status}"
                continue
            rows = {row["name"]: (row["hash"], row["bytes"]) for row in json.loads(found.body or b"[]")}
            there = {
                each.rpartition("/")[2]: (answer.headers["etag"].strip('"'), len(answer.body))
                for each, answer in self._there.items()
                if each.startswith(f"{path}/")
            }
            if rows != there:
                yield f"{path}: the listing has {_short(rows)}, there are {_short(there)}"

    def _databases(self) -> Iterator[str]:
        for kind, table, columns in (
            ("container", "object", "name, created_at, size, etag"),
            ("account", "container", "name, object_count, bytes_used"),
        ):
            ring = self._world.ring(kind)
            rows: dict[str, dict[tuple[str, str], object]] = defaultdict(dict)
            partitions: dict[str, str] = {}
            for node, disk, directory in self._hash_directories(f"{kind}s"):
                for file in directory.glob("*.db"):
                    with closing(sqlite3.connect(file)) as connection:
                        rows[directory.name][node.name, disk] = connection.execute(
                            f"SELECT {columns} FROM {table} WHERE deleted = 0 ORDER BY name"
                        ).fetchall()
                    partitions[directory.name] = directory.parts[-3]
            for hash_hex, copies in sorted(rows.items()):
                homes = self._homes(ring.primaries(int(partitions[hash_hex])))
                for place in sorted(copies.keys() - homes):
                    yield f"{kind} {hash_hex}: a database is left on {place}, which is no primary"
                if len({str(copies.get(home)) for home in homes}) > 1:
                    yield f"{kind} {hash_hex}: databases differ: {sorted((home, copies.get(home)) for home in homes)}"

    def _account(self) -> Iterator[str]:
        for name in self._clients.churned:
            yield from self._container_fate(f"{ACCOUNT}/{name}")
        found = self._clients.ask(self._clients.any_proxy(), "GET", f"{ACCOUNT}?", {})
        if found is None or found.status not in (200, 204):
            yield f"{ACCOUNT}: no listing: {found and found.status}"
            return
        rows = {row["name"]: (row["count"], row["bytes"]) for row in json.loads(found.body or b"[]")}
        totals: dict[str, tuple[int, int]] = {}
        for name in (*self._clients.containers, *self._clients.churned):
            answer = self._clients.ask(self._clients.any_proxy(), "HEAD", f"{ACCOUNT}/{name}", {})
            if answer is not None and answer.status == 204:
                sizes = [len(each.body) for path, each in self._there.items() if path.split("/")[3] == name]
                totals[name] = (len(sizes), sum(sizes))
                counted = tuple(int(answer.headers[f"x-container-{what}"]) for what in ("object-count", "bytes-used"))
                if counted != totals[name]:
                    yield f"{name}: counts {counted}, there are {totals[name]}"
        if rows != totals:
            yield f"{ACCOUNT}: lists {rows}, there are {totals}"
        counted = tuple(
            int(found.headers[f"x-account-{what}"]) for what in ("container-count", "object-count", "bytes-used")
        )
        expected = (len(totals), sum(count for count, _ in totals.values()), sum(size for _, size in totals.values()))
        if counted != expected:
            yield f"{ACCOUNT}: counts {counted}, there are {expected}"

    def _container_fate(self, path: str) -> Iterator[str]:
        possible = self._history.possible(path)
        found = self._clients.ask(self._clients.any_proxy(), "HEAD", path, {})
        status = found.status if found is not None else 0
        told = "; ".join(map(str, possible)) or "nothing was ever written"
        methods = {write.method for write in possible}
        is_fine = {
            204: "PUT" in methods,
            404: "DELETE" in methods or not self._history.is_sure(path, "PUT", "DELETE"),
        }
        if not is_fine.get(status, False):
            yield f"{path}: {status}; expected one of: {told}"

    def _rest(self) -> Iterator[str]:
        """Rows that wait for a container on an object server: by now they should have got there."""
        for node in self._world.nodes:
            for disk in node.disks:
                for path in (node.root / disk / "async_pending").glob("*/*"):
                    yield f"{node.name}/{disk}: a row still waits: {path.name}"


def _short(rows: object) -> str:
    return str(rows) if rows else "nothing"
