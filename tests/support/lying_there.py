"""What lies on the disks of a whole cluster: every object, database and waiting row, and whether it is at home.

The disks are read, nobody is asked, and nothing is changed. A Place is a device of one server as the rings name it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from objstore.cluster.servers import ServerFile
from objstore.config.cluster import Cluster, load_cluster
from objstore.db.merge import split_bytes
from objstore.middleware.slo.headers import OVERRIDE_ETAG, SLO_ETAG
from objstore.ring.fileformat import load
from objstore.ring.model import Device, Ring
from objstore.runtime.fs import Fs
from objstore.storage.engine import Absent
from objstore.storage.examine import Damaged, examine
from objstore.storage.layout import DeviceLayout, ObjectAddress
from objstore.storage.resolve import resolve

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A device: its node's name, its server's address, and where it is mounted."""

    node: str
    device: str
    address: tuple[str, int]
    path: str

    def __str__(self) -> str:
        return f"{self.node}/{self.device}"


@dataclass(frozen=True, slots=True)
class Body:
    """A copy of an object. problem: why it is not what was written; "" for a good one. shown_etag: what clients are
    told, of a manifest that of its segments; listed: size and ETag in a listing."""

    name: str
    etag: str
    size: int
    content_type: str
    problem: str = ""
    shown_etag: str = ""
    listed: tuple[int, str] = (0, "")


@dataclass(slots=True)
class Copies:
    """An object in all places. names: the files in effect, where there are any; homes: its primaries."""

    policy_index: int
    partition: int
    hash: str
    homes: tuple[Place, ...]
    names: dict[Place, tuple[str, ...]] = field(default_factory=dict)
    bodies: dict[Place, Body] = field(default_factory=dict)

    @property
    def is_at_home(self) -> bool:
        """On all primaries the same, and nowhere else."""
        return set(self.names) == set(self.homes) and len(set(self.names.values())) == 1

    @property
    def body(self) -> Body | None:
        """A copy of what all the names together say is there, a good one if there is any; None for a deleted object."""
        data = resolve({name for names in self.names.values() for name in names}).data
        if data is None:
            return None
        holding = [self.bodies[place] for place, names in self.names.items() if data.name in names]
        return min(holding, key=lambda body: bool(body.problem))

    def __str__(self) -> str:
        found = next((body.name for body in self.bodies.values() if body.name), self.hash)
        where = ", ".join(f"{place}: {' '.join(names)}" for place, names in sorted(self.names.items()))
        return f"{found} (partition {self.partition}, at home on {' '.join(map(str, sorted(self.homes)))}; {where})"


@dataclass(slots=True)
class Database:
    """An account's or container's database in all places. names: (account,) or (account, container)."""

    kind: str
    partition: int
    hash: str
    homes: tuple[Place, ...]
    places: list[Place] = field(default_factory=list)
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {'/'.join(self.names)}"


class Disks:
    """swift_dir: its rings say where everything belongs. servers: of all nodes."""

    def __init__(self, swift_dir: Path, servers: Sequence[ServerFile]) -> None:
        self.cluster: Cluster = load_cluster(swift_dir)
        self.rings = {kind: load(swift_dir / f"{kind}.ring.gz") for kind in ("account", "container")}
        self.object_rings = {
            policy.index: load(swift_dir / f"{policy.ring_name}.ring.gz") for policy in self.cluster.policies
        }
        self._servers = {server.address: server for server in servers if server.node != "-"}

    def place(self, device: Device) -> Place:
        server = self._servers[device.ip, device.port]
        return Place(server.node, device.device, server.address, f"{server.devices.resolve()}/{device.device}")

    def places(self, ring: Ring) -> list[Place]:
        return [self.place(device) for device in ring.devices if device is not None]

    def homes(self, ring: Ring, partition: int) -> tuple[Place, ...]:
        return tuple(self.place(node.device) for node in ring.primaries(partition))

    def objects(self, *, reads_bodies: bool = True) -> list[Copies]:
        """Every object and tombstone of all policies. reads_bodies: judge each copy by its bytes."""
        return [
            copies for index, ring in self.object_rings.items() for copies in self._objects(index, ring, reads_bodies)
        ]

    def _objects(self, index: int, ring: Ring, reads_bodies: bool) -> Iterable[Copies]:
        found: dict[tuple[str, str], Copies] = {}
        for place in self.places(ring):
            for partition, hash_hex, directory in _hash_directories(DeviceLayout(place.path).data(index)):
                names = _in_effect(directory)
                if not names:
                    continue
                copies = found.get((partition, hash_hex))
                if copies is None:
                    homes = self.homes(ring, int(partition))
                    copies = found[partition, hash_hex] = Copies(index, int(partition), hash_hex, homes)
                copies.names[place] = names
                if reads_bodies and any(name.endswith(".data") for name in names):
                    address = ObjectAddress(place.device, partition, index, "", hash_hex)
                    copies.bodies[place] = _judged(self.cluster, directory, address)
        return found.values()

    def databases(self, kind: str) -> list[Database]:
        ring = self.rings[kind]
        found: dict[tuple[str, str], Database] = {}
        for place in self.places(ring):
            for partition, hash_hex, directory in _hash_directories(f"{place.path}/{kind}s"):
                files = [name for name in _listed(directory) if name.endswith(".db")]
                if not files:
                    continue
                database = found.get((partition, hash_hex))
                if database is None:
                    homes = self.homes(ring, int(partition))
                    database = found[partition, hash_hex] = Database(kind, int(partition), hash_hex, homes)
                database.places.append(place)
                database.names = database.names or _names_in(f"{directory}/{files[0]}", kind)
        return list(found.values())

    def pending(self) -> list[str]:
        """Rows that wait to be sent."""
        return [
            f"{place}: {path.name}"
            for index, ring in self.object_rings.items()
            for place in self.places(ring)
            for path in Path(DeviceLayout(place.path).pending(index)).glob("*/*-*")
        ]

    def quarantined(self) -> list[str]:
        every = {place for ring in (*self.rings.values(), *self.object_rings.values()) for place in self.places(ring)}
        return [
            str(path) for path in {each.path: each for each in every} for path in Path(path).glob("quarantined/*/*")
        ]


def _hash_directories(top: str) -> Iterator[tuple[str, str, str]]:
    """(partition, hash, directory): what is there while others write and remove."""
    for partition in _listed(top):
        if partition.isdigit():
            for suffix in _listed(f"{top}/{partition}"):
                if len(suffix) == 3:
                    for hash_hex in _listed(f"{top}/{partition}/{suffix}"):
                        yield partition, hash_hex, f"{top}/{partition}/{suffix}/{hash_hex}"


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _in_effect(directory: str) -> tuple[str, ...]:
    """Names that count. A POST without its data serves nobody: a copy may keep one beside a tombstone."""
    live = resolve(_listed(directory))
    files = (live.data, live.meta, live.content_type_meta) if live.data else (live.tombstone,)
    return tuple(sorted(file.name for file in files if file is not None))


def _judged(cluster: Cluster, directory: str, address: ObjectAddress) -> Body:
    try:
        found = examine(Fs(), cluster.secrets, directory, address)
    except (Damaged, OSError) as error:
        return Body("", "", 0, "", str(error) or "damaged")
    if isinstance(found, Absent):
        return Body("", "", 0, "", "gone meanwhile")
    with found:
        digest, offset = hashlib.md5(), 0
        while data := found.body.pread(_BLOCK, offset):
            digest.update(data)
            offset += len(data)
        headers: Mapping[str, str] = found.headers
        etag = headers["etag"]
        problem = "" if (digest.hexdigest(), offset) == (etag, found.size) else "wrong bytes"
        content_type = headers.get("content-type", "")
        _, joined_size = split_bytes(content_type)
        listed = int(joined_size or found.size), headers.get(OVERRIDE_ETAG, etag)
        shown = headers.get(SLO_ETAG, etag)
        return Body(found.address.name, etag, found.size, content_type, problem, shown, listed)


def _names_in(path: str, kind: str) -> tuple[str, ...]:
    """Names a database says it is of; none when it cannot be read."""
    columns = "account" if kind == "account" else "account, container"
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            row = connection.execute(f"SELECT {columns} FROM {kind}_stat").fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return ()
    return tuple(row or ())
