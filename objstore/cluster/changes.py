"""What may be changed about the drives of a cluster, as values that travel between nodes as JSON. Pure.

A command makes a Change, the holder of the builders (cluster/holder.py) plans and applies it; on the way lies the
network, so from_json trusts nothing. Evidence travels along: whoever can look at a drive says what is left on it.

    {"change": "drain-drive", "node": {"name": "n2", "ip": "10.0.0.2", "ports": {"object": 6200, "container": 6201,
     "account": 6202}}, "drive": "d1"}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from objstore.cluster.directory import STORAGE_KINDS

DRIVES_MAX = 1000
"""Of one change: more than a machine has, less than a peer could fill memory with."""
_TEXT_MAX = 255
_NUMBER_MAX = (1 << 31) - 1
_PORT_MAX = 65535


class InvalidChange(ValueError):
    """JSON that is no change; the text names the field, its value and what was expected."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node, as rings know it: the address of its servers. name: what people call it, only for messages."""

    name: str
    ip: str
    object_port: int
    container_port: int
    account_port: int

    def port(self, kind: str) -> int:
        """kind: of STORAGE_KINDS."""
        return {"object": self.object_port, "container": self.container_port, "account": self.account_port}[kind]


@dataclass(frozen=True, slots=True)
class NewDrive:
    """name: of its directory below the node's `devices`. weight: its share of the partitions, relative to others."""

    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class AddDrives:
    """Drives of a node, which may be new itself, join all rings. zone: the node's failure domain; every drive of a
    node has the same."""

    node: NodeAddress
    zone: int
    drives: tuple[NewDrive, ...]
    region: int = 1


@dataclass(frozen=True, slots=True)
class DrainDrive:
    """Its partitions go to others, as fast as one replica of each may move; it keeps serving what it has."""

    node: NodeAddress
    drive: str


@dataclass(frozen=True, slots=True)
class ReplaceDrive:
    """The drive `by`, of the same node, takes over every partition of `drive`, which leaves the rings in that step.
    is_lost: as for RemoveDrive."""

    node: NodeAddress
    drive: str
    by: str
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class RemoveDrive:
    """A drive leaves the rings. left: partitions somebody has just counted on it, None when nobody could look.
    is_lost: it is dead, and nothing on it will ever be read again."""

    node: NodeAddress
    drive: str
    left: int | None = None
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class DrainNode:
    """As DrainDrive, for every drive of a node."""

    node: NodeAddress


@dataclass(frozen=True, slots=True)
class RemoveNode:
    """As RemoveDrive, for every drive of a node; left: on all of them together."""

    node: NodeAddress
    left: int | None = None
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Continue:
    """The next step of what earlier changes could not move at once."""


Change = AddDrives | DrainDrive | ReplaceDrive | RemoveDrive | DrainNode | RemoveNode | Continue
_NAMES: dict[type[Change], str] = {
    AddDrives: "add-drives",
    DrainDrive: "drain-drive",
    ReplaceDrive: "replace-drive",
    RemoveDrive: "remove-drive",
    DrainNode: "drain-node",
    RemoveNode: "remove-node",
    Continue: "continue",
}
_CLASSES = {name: kind for kind, name in _NAMES.items()}


def to_json(change: Change) -> dict[str, Any]:
    """Any: what JSON has. from_json(to_json(change)) == change."""
    fields = {name: getattr(change, name) for name in change.__dataclass_fields__}
    if "node" in fields:
        fields["node"] = address_to_json(fields["node"])
    if "drives" in fields:
        fields["drives"] = [{"name": drive.name, "weight": drive.weight} for drive in fields["drives"]]
    return {"change": _NAMES[type(change)], **fields}


def from_json(value: object) -> Change:
    """Raises InvalidChange for anything to_json would not have made."""
    fields = _Object(value, "a change")
    name = fields.text("change")
    if name not in _CLASSES:
        raise InvalidChange(f"change is {name!r}: expected one of {', '.join(sorted(_CLASSES))}")
    kind = _CLASSES[name]
    fields.only({"change", *kind.__dataclass_fields__})
    if kind is Continue:
        return Continue()
    node = address_from_json(fields.get("node"))
    if kind is AddDrives:
        drives = tuple(_new_drive(each) for each in fields.list_of("drives", DRIVES_MAX))
        return AddDrives(node, fields.integer("zone", 0, _NUMBER_MAX), drives, fields.integer("region", 0, _NUMBER_MAX))
    if kind is DrainDrive:
        return DrainDrive(node, fields.text("drive"))
    if kind is ReplaceDrive:
        return ReplaceDrive(node, fields.text("drive"), fields.text("by"), fields.boolean("is_lost"))
    if kind is DrainNode:
        return DrainNode(node)
    left = None if fields.get("left") is None else fields.integer("left", 0, _NUMBER_MAX)
    if kind is RemoveDrive:
        return RemoveDrive(node, fields.text("drive"), left, fields.boolean("is_lost"))
    return RemoveNode(node, left, fields.boolean("is_lost"))


def address_to_json(node: NodeAddress) -> dict[str, Any]:
    return {"name": node.name, "ip": node.ip, "ports": {kind: node.port(kind) for kind in STORAGE_KINDS}}


def address_from_json(value: object) -> NodeAddress:
    """Raises InvalidChange."""
    fields = _Object(value, "node")
    fields.only({"name", "ip", "ports"})
    ports = _Object(fields.get("ports"), "node ports")
    ports.only(set(STORAGE_KINDS))
    return NodeAddress(
        fields.text("name"),
        fields.text("ip"),
        ports.integer("object", 1, _PORT_MAX),
        ports.integer("container", 1, _PORT_MAX),
        ports.integer("account", 1, _PORT_MAX),
    )


def _new_drive(value: object) -> NewDrive:
    fields = _Object(value, "a drive")
    fields.only({"name", "weight"})
    weight = fields.get("weight")
    if type(weight) not in (int, float) or not 0 < weight < 1e12:
        raise InvalidChange(f"weight is {_shown(weight)}: expected a number above 0")
    return NewDrive(fields.text("name"), float(weight))


class _Object:
    """Typed access to a JSON object that somebody sent."""

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, Mapping):
            raise InvalidChange(f"{what} is {_shown(value)}: expected an object")
        self._value = value
        self._what = what

    def only(self, names: set[str]) -> None:
        unknown = sorted(str(name) for name in self._value if name not in names)
        if unknown:
            raise InvalidChange(f"{self._what} has {_shown(unknown[0])}: expected only {', '.join(sorted(names))}")

    def get(self, name: str) -> Any:
        """Any: as it came; absent is None."""
        return self._value.get(name)

    def text(self, name: str) -> str:
        value = self._value.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= _TEXT_MAX or not value.isprintable():
            raise InvalidChange(f"{name} is {_shown(value)}: expected a text of 1 to {_TEXT_MAX} characters")
        return value

    def integer(self, name: str, least: int, most: int) -> int:
        value = self._value.get(name)
        if type(value) is not int or not least <= value <= most:
            raise InvalidChange(f"{name} is {_shown(value)}: expected {least} to {most}")
        return value

    def boolean(self, name: str) -> bool:
        value = self._value.get(name)
        if type(value) is not bool:
            raise InvalidChange(f"{name} is {_shown(value)}: expected true or false")
        return value

    def list_of(self, name: str, most: int) -> list[Any]:
        value = self._value.get(name)
        if not isinstance(value, list) or not 0 < len(value) <= most:
            raise InvalidChange(f"{name} is {_shown(value)}: expected a list of 1 to {most}")
        return value


def _shown(value: object) -> str:
    return repr(value)[:60]
