"""What travels between a command and the agent of the holder: changes, plans and refusals as JSON. Pure.

client.py asks, agent.py answers; neither believes the other.
"""

from __future__ import annotations

import json
import math
from typing import Any

from objstore.cluster.change_plan import ChangePlan, InvalidPlan, Usage, plan_from_json
from objstore.cluster.changes import Change, InvalidChange, from_json, to_json
from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.holder import ForeignRing, VersionConflict
from objstore.cluster.strict_json import BadFields, Fields
from objstore.core.errors import DomainError

_ENTRIES_MAX = 100_000
_REASONS_MAX = 1000


class HolderRefused(DomainError):
    """The holder answered no, in words for a human."""


def asked(change: Change, usage: Usage | None, expected_version: int | None = None) -> bytes:
    """The body that asks for a plan, or with a version for its execution."""
    message: dict[str, Any] = {"change": to_json(change), "usage": usage_to_json(usage or Usage())}
    if expected_version is not None:
        message["version"] = expected_version
    return json.dumps(message).encode()


def usage_to_json(usage: Usage) -> dict[str, Any]:
    """Any: what JSON has."""
    return {
        "partition_bytes": dict(usage.partition_bytes),
        "room": [[*place, room] for place, room in usage.room.items()],
    }


def usage_of(fields: Fields) -> Usage:
    """Raises BadFields."""
    sizes = fields.object("partition_bytes")
    partition_bytes = {name: sizes.number(name) for name in sizes.names(_ENTRIES_MAX)}
    room = fields.plain().get("room")
    if not isinstance(room, list) or len(room) > _ENTRIES_MAX:
        raise BadFields(f"usage: room: expected a list of at most {_ENTRIES_MAX} entries")
    return Usage(partition_bytes, dict(map(_room, room)))


def change_of(fields: Fields) -> tuple[Change, Usage]:
    """Raises BadFields."""
    try:
        return from_json(fields.plain().get("change")), usage_of(fields.object("usage"))
    except InvalidChange as error:
        raise BadFields(str(error)) from None


def plan_of(body: bytes) -> ChangePlan:
    """Raises BadFields."""
    try:
        return plan_from_json(Fields.parse(body, "plan").plain())
    except InvalidPlan as error:
        raise BadFields(str(error)) from None


def refusal(error: DomainError | ChangeRefused) -> bytes:
    """An error of the holder as a body."""
    message: dict[str, Any] = {"error": str(error)}
    if isinstance(error, VersionConflict):
        message |= {"expected": error.expected, "found": error.found}
    elif isinstance(error, ChangeRefused | ForeignRing):
        message |= {"kind": type(error).__name__, "reasons": list(error.reasons)}
    return json.dumps(message).encode()


def refused(body: bytes) -> Exception:
    """The inverse, to be raised: VersionConflict, ChangeRefused, ForeignRing or HolderRefused."""
    try:
        fields = Fields.parse(body, "answer")
        if "expected" in fields:
            return VersionConflict(fields.number("expected"), fields.number("found"))
        reasons = fields.plain().get("reasons")
        if isinstance(reasons, list) and len(reasons) <= _REASONS_MAX:
            texts = [reason for reason in reasons if isinstance(reason, str) and reason.isprintable()]
            return ForeignRing(texts) if fields.text("kind") == ForeignRing.__name__ else ChangeRefused(*texts)
        return HolderRefused(fields.text("error", 4096))
    except BadFields:
        return HolderRefused("the holder refused, and its reason cannot be read")


def _room(entry: object) -> tuple[tuple[str, int, str], int]:
    match entry:
        case [str() as ip, int() as port, str() as device, int() | float() as room] if math.isfinite(room):
            return (ip, port, device), int(room)
    raise BadFields("usage: room: expected entries of ip, port, device and bytes")
