"""The members file DIR/etc/cluster.json: the nodes of a cluster, and which of them holds the ring builders.

Every node has the same file; only the holder changes it, and its agent brings it to the others (distribution.py). Who a
node is itself, it knows by its certificate. What drives there are is said by the rings and nowhere else.

    {"cluster": 32 hex, "term": 1, "version": 4, "holder": node id, "rsync_port": 6203, "weights_by_size": true,
     "nodes": [
        {"id": 16 hex, "name": "n1", "zone": "z1", "zone_number": 1, "ip": "10.0.0.1", "agent_port": 6199,
         "fingerprint": SHA-256 of the certificate, "ports": {"object": 6200, "container": 6201, "account": 6202}}]}

(term, version) orders members files. A term has one holder: taking over counts it up, so that the holder before, once
it is back, learns that it is none any more. Two files of one term with different holders are a split, and refused.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from objstore.cluster.directory import MEMBERS_FILE, STORAGE_KINDS
from objstore.cluster.strict_json import BadFields, Fields
from objstore.core.errors import DomainError
from objstore.runtime.fs import Fs
from objstore.runtime.listen import Address, shown

FILE_NAME = MEMBERS_FILE
NODES_MAX = 1000
BYTES_MAX = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}\Z")
_ZONE_NUMBER_MAX = (1 << 31) - 1

Stamp = tuple[int, int]
"""(term, version): the newer is the larger."""


class MembersError(DomainError):
    """A members file that cannot be used, or a change that makes no sense. One line for a human."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node. zone: the operators' word; zone_number: what rings say. ports: of its storage servers, by kind."""

    id: str
    name: str
    zone: str
    zone_number: int
    ip: str
    agent_port: int
    fingerprint: str
    ports: dict[str, int]


@dataclass(frozen=True, slots=True)
class Members:
    """rsync_port: where the rsync daemon of every node listens, on the node's own address. weights_by_size: new drives
    get a weight of 1 per gigabyte; in clusters older than that every drive weighs the same."""

    cluster: str
    term: int
    version: int
    holder: str
    rsync_port: int
    nodes: tuple[Member, ...]
    weights_by_size: bool = False

    @property
    def stamp(self) -> Stamp:
        return self.term, self.version

    @property
    def holding(self) -> Member:
        """The node that holds the builders."""
        found = self.by_id(self.holder)
        assert found is not None, "parse() and the changes below keep the holder among the nodes"
        return found

    def by_id(self, node_id: str) -> Member | None:
        return next((node for node in self.nodes if node.id == node_id), None)

    def by_fingerprint(self, fingerprint: str) -> Member | None:
        return next((node for node in self.nodes if node.fingerprint == fingerprint), None)

    def named(self, name: str) -> Member:
        """By its name or its address. Raises MembersError."""
        for node in self.nodes:
            if name in (node.name, node.ip):
                return node
        raise MembersError(f"no node {name!r}; there are: {', '.join(node.name for node in self.nodes)}")

    def addresses(self) -> frozenset[str]:
        return frozenset(node.ip for node in self.nodes)

    def server_addresses(self) -> frozenset[Address]:
        """Of their storage servers, as rings name them."""
        return frozenset((node.ip, node.ports[kind]) for node in self.nodes for kind in STORAGE_KINDS)

    # Changes: each gives the next version

    def joined_by(self, node: Member) -> Members:
        """With one node more, or with that node (by id) as it is now. Raises MembersError."""
        others = [each for each in self.nodes if each.id != node.id]
        for other in others:
            if other.name == node.name:
                raise MembersError(f"there is a node {node.name} already")
            if (other.ip, other.agent_port) == (node.ip, node.agent_port):
                raise MembersError(
                    f"{shown((node.ip, node.agent_port))} is the address of node {other.name}; when that node is gone "
                    f"for good: objstore node remove DIR {other.name}"
                )
            if other.ip == node.ip and set(other.ports.values()) & set(node.ports.values()):
                raise MembersError(f"node {other.name} has the same address and storage ports ({node.ip})")
        if len(others) >= NODES_MAX:
            raise MembersError(f"a cluster has at most {NODES_MAX} nodes")
        position = next((i for i, each in enumerate(self.nodes) if each.id == node.id), len(others))
        return replace(self, version=self.version + 1, nodes=(*others[:position], node, *others[position:]))

    def left_by(self, node_id: str) -> Members:
        """Without a node. Raises MembersError for the holder."""
        if node_id == self.holder:
            raise MembersError(
                f"{self.holding.name} holds the ring builders; first, on another node: objstore node holder DIR"
            )
        return replace(self, version=self.version + 1, nodes=tuple(node for node in self.nodes if node.id != node_id))

    def held_by(self, node_id: str) -> Members:
        """With another holder, in the next term. Raises MembersError."""
        if self.by_id(node_id) is None:
            raise MembersError(f"no node with id {node_id}")
        return replace(self, term=self.term + 1, version=self.version + 1, holder=node_id)

    # Text

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode() + b"\n"


def free_name(members: Members) -> str:
    """n1, n2, …: the first after all that have been given."""
    numbers = [int(node.name[1:]) for node in members.nodes if re.fullmatch(r"n[0-9]{1,9}", node.name)]
    return f"n{max(numbers, default=0) + 1}"


def zone_number(zone: str, nodes: Iterable[Member]) -> int:
    """The number of a zone: the one it has; else, z7 gets 7 when nobody has that, others the first that is free."""
    known = {node.zone: node.zone_number for node in nodes}
    if zone in known:
        return known[zone]
    taken = set(known.values())
    matched = re.fullmatch(r"z([1-9][0-9]{0,8})", zone)
    if matched is not None and int(matched[1]) not in taken:
        return int(matched[1])
    return next(number for number in range(1, len(taken) + 2) if number not in taken)


def checked_zone(zone: str) -> str:
    """Raises MembersError."""
    if not _NAME.match(zone):
        raise MembersError(f"zone {zone!r}: expected 1 to 32 letters, digits and any of ._-, as in z1")
    return zone


def checked_name(name: str) -> str:
    """Of a node. Raises MembersError."""
    if not _NAME.match(name):
        raise MembersError(f"name {name!r}: expected 1 to 32 letters, digits and any of ._-, as in n1")
    return name


def parse(data: bytes, what: str = "members") -> Members:
    """The inverse of to_json(). Raises MembersError: too long, damaged, or not of one piece."""
    if len(data) > BYTES_MAX:
        raise MembersError(f"{what}: expected at most {BYTES_MAX} bytes, got {len(data)}")
    try:
        return _members(Fields.parse(data, what))
    except BadFields as error:
        raise MembersError(str(error)) from None


def read(etc: Path) -> Members | None:
    """The file of a directory; None when it has none: no cluster of agents. Raises MembersError."""
    path = etc / FILE_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MembersError(f"{path}: cannot be read ({error.strerror})") from None
    return parse(data, str(path))


def write(etc: Path, members: Members, fs: Fs) -> None:
    """Durable, whole or not at all."""
    fs.replace_file(str(etc / FILE_NAME), members.to_json())


def member_of(fields: Fields) -> Member:
    """One node. Raises BadFields."""
    name, zone = fields.text("name"), fields.text("zone")
    for key, value in (("name", name), ("zone", zone)):
        if not _NAME.match(value):
            raise BadFields(f"node: {key}: expected 1 to 32 letters, digits and any of ._-")
    return Member(
        id=fields.hexadecimal("id", 8),
        name=name,
        zone=zone,
        zone_number=fields.number("zone_number", 0, _ZONE_NUMBER_MAX),
        ip=ip_of(fields),
        agent_port=fields.number("agent_port", 1, 65535),
        fingerprint=fields.hexadecimal("fingerprint", 32),
        ports=ports_of(fields),
    )


def ip_of(fields: Fields) -> str:
    """An address, never a name: it is what rings say and what is admitted. Raises BadFields."""
    try:
        address = ipaddress.ip_address(fields.text("ip", 64))
    except ValueError:
        raise BadFields("ip: expected an IPv4 or IPv6 address") from None
    if address.is_unspecified or address.is_multicast:
        raise BadFields("ip: expected the address of one machine")
    return str(address)


def ports_of(fields: Fields) -> dict[str, int]:
    """One for each kind of storage server, all different. Raises BadFields."""
    ports = fields.object("ports")
    found = {kind: ports.number(kind, 1, 65535) for kind in STORAGE_KINDS}
    if len(set(found.values())) != len(found):
        raise BadFields("ports: expected different ones")
    return found


def _members(fields: Fields) -> Members:
    members = Members(
        cluster=fields.hexadecimal("cluster", 16),
        term=fields.number("term", 1),
        version=fields.number("version", 1),
        holder=fields.hexadecimal("holder", 8),
        rsync_port=fields.number("rsync_port", 1, 65535),
        nodes=tuple(member_of(each) for each in fields.objects("nodes", NODES_MAX)),
        weights_by_size="weights_by_size" in fields and fields.truth("weights_by_size"),
    )
    for what, values in (
        ("id", [node.id for node in members.nodes]),
        ("name", [node.name for node in members.nodes]),
        ("fingerprint", [node.fingerprint for node in members.nodes]),
        ("address", [(node.ip, node.agent_port) for node in members.nodes]),
    ):
        if len(set(values)) != len(values):
            raise BadFields(f"nodes: two have the same {what}")
    if members.by_id(members.holder) is None:
        raise BadFields("holder: expected the id of one of the nodes")
    return members
