"""Shard ranges: which part of a container's names lives in which shard, and how two reports of one range merge.

A range covers lower < name <= upper; '' is unbounded on either side. `timestamp` guards lower, upper and deleted;
`meta_timestamp` the counts; `state_timestamp` state and epoch, and of equal ones the higher state wins. A container's
own range is the one named like itself. Source: formats 5.8.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple
from urllib.parse import unquote

from objstore.core.errors import BadRequest
from objstore.core.timestamp import Timestamp
from objstore.db import metadata as meta
from objstore.db.schema_container import SHARD_COLUMNS


class State(IntEnum):
    FOUND = 10
    CREATED = 20
    CLEAVED = 30
    ACTIVE = 40
    SHRINKING = 50
    SHARDING = 60
    SHARDED = 70
    SHRUNK = 80


UPDATING = frozenset({State.CREATED, State.CLEAVED, State.ACTIVE, State.SHARDING})
LISTING = frozenset({State.CLEAVED, State.ACTIVE, State.SHRINKING, State.SHARDING})
AUDITING = UPDATING | {State.SHARDED, State.SHRINKING, State.SHRUNK}
STATS = frozenset({State.ACTIVE, State.SHARDING, State.SHRINKING})

_ROOT_NAMES = ("X-Container-Sysmeta-Shard-Quoted-Root", "X-Container-Sysmeta-Shard-Root")
_SELECT = f"SELECT {', '.join(SHARD_COLUMNS)} FROM shard_range"
_INSERT = f"INSERT INTO shard_range ({', '.join(SHARD_COLUMNS)}) VALUES ({', '.join('?' * len(SHARD_COLUMNS))})"
_OWN_NAME = "(SELECT account || '/' || container FROM container_info)"
_IS_RECLAIMABLE = f"deleted = 1 AND timestamp < ? AND name != {_OWN_NAME}"
_INTEGERS = ("object_count", "bytes_used", "deleted", "state", "reported", "tombstones")


class ShardRange(NamedTuple):
    """A row of shard_range, without ROWID. Timestamps in normal form."""

    name: str
    timestamp: str
    lower: str
    upper: str
    object_count: int
    bytes_used: int
    meta_timestamp: str
    deleted: int
    state: int
    state_timestamp: str
    epoch: str | None
    reported: int
    tombstones: int

    def covers(self, name: str) -> bool:
        return self.lower < name and (not self.upper or name <= self.upper)

    def overlaps(self, after: str, before: str) -> bool:
        """Whether any name after `after` and before `before` ('': unbounded) could be in it."""
        return (not self.upper or self.upper > after) and (not before or self.lower < before)

    @property
    def order(self) -> tuple[bool, str, int, str, str]:
        """Sort key: by upper bound, the unbounded last."""
        return (not self.upper, self.upper, self.state, self.lower, self.name)


def shard_range_of(item: Any) -> ShardRange:
    """Of a JSON object between servers; what older senders leave out gets its default. Raises BadRequest."""
    if not isinstance(item, Mapping):
        raise BadRequest("Invalid shard range: not an object")
    try:
        times = {key: Timestamp.parse(item[key]).normal for key in ("timestamp", "meta_timestamp", "state_timestamp")}
        epoch = item.get("epoch")
        numbers = {key: int(item.get(key, -1 if key == "tombstones" else 0)) for key in _INTEGERS}
        texts = {key: str(item[key]) for key in ("name", "lower", "upper")}
        for text in texts.values():
            text.encode()
        State(numbers["state"])
        fields: dict[str, Any] = {**times, **numbers, **texts}
        return ShardRange(**fields, epoch=None if epoch is None else Timestamp.parse(epoch).normal)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadRequest(f"Invalid shard range: {error!r}") from None


def merge_shard(stored: ShardRange | None, incoming: ShardRange) -> ShardRange:
    """The range two reports of one name make together."""
    if stored is None or incoming.timestamp > stored.timestamp:
        return incoming
    if incoming.timestamp < stored.timestamp:
        return stored
    counts = incoming if incoming.meta_timestamp > stored.meta_timestamp else stored
    state = incoming if _state_key(incoming) > _state_key(stored) else stored
    result = stored._replace(
        deleted=max(stored.deleted, incoming.deleted),
        object_count=counts.object_count,
        bytes_used=counts.bytes_used,
        tombstones=counts.tombstones,
        meta_timestamp=counts.meta_timestamp,
        state=state.state,
        state_timestamp=state.state_timestamp,
        epoch=state.epoch,
    )
    # "Told the root" stays true only for exactly what was told.
    told = [side.reported for side in (stored, incoming) if _reportable(side) == _reportable(result)]
    return result._replace(reported=max(told, default=0))


def states_of(parameter: str) -> tuple[frozenset[int], bool, bool]:
    """(states, whether the own range belongs to them, whether gaps are filled with it) of a `states` parameter.

    An empty one means any state. Raises BadRequest for a name that is not a state.
    """
    chosen: set[int] = set()
    with_own = fill = False
    for name in parameter.split(",") if parameter else ():
        match name.strip().lower():
            case "listing":
                chosen, fill = chosen | LISTING, True
            case "updating":
                chosen, fill = chosen | UPDATING, True
            case "auditing":
                chosen, with_own = chosen | AUDITING, True
            case single if single.upper() in State.__members__:
                chosen.add(State[single.upper()])
            case other:
                raise BadRequest(f"Bad state {other!r}")
    return frozenset(chosen), with_own, fill


def filled(ranges: Sequence[ShardRange], own: ShardRange | None, after: str, before: str) -> list[ShardRange]:
    """Ranges in order, and where they end short of what was asked for, the container's own range for the rest."""
    if own is None:
        return list(ranges)
    last = ranges[-1].upper if ranges else max(own.lower, after)
    if ranges and not last:
        return list(ranges)
    wanted = min(filter(None, (own.upper, before)), default="")
    if wanted and wanted <= last:
        return list(ranges)
    return [*ranges, own._replace(lower=last)]


def is_root(info: Any) -> bool:
    """Whether a container (its ContainerInfo) is no shard of another one."""
    if "-Shard-" not in (info.metadata or ""):
        return True
    metadata = meta.parse(info.metadata)
    for name in _ROOT_NAMES:
        value = metadata.get(name, ["", ""])[0]
        if value:
            return bool((unquote(value) if "Quoted" in name else value) == info.path)
    return True


# Tables


def read_ranges(
    connection: sqlite3.Connection, *, with_deleted: bool = False, with_own: bool = False
) -> list[ShardRange]:
    """Ranges in order. The own range only on demand."""
    conditions = [] if with_deleted else ["deleted = 0"]
    if not with_own:
        conditions.append(f"name != {_OWN_NAME}")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    found = [ShardRange._make(row) for row in connection.execute(_SELECT + where)]
    return sorted(found, key=lambda item: item.order)


def own_range(connection: sqlite3.Connection) -> ShardRange | None:
    """The container's own range, None when it was never stored."""
    row = connection.execute(f"{_SELECT} WHERE name = {_OWN_NAME}").fetchone()
    return None if row is None else ShardRange._make(row)


def range_for_update(connection: sqlite3.Connection, name: str) -> ShardRange | None:
    """The shard that takes a name's updates."""
    row = connection.execute(
        f"{_SELECT} WHERE deleted = 0 AND state IN ({','.join(str(int(state)) for state in UPDATING)}) "
        f"AND lower < ? AND (upper = '' OR upper >= ?) AND name != {_OWN_NAME} "
        "ORDER BY upper = '', upper, state, lower, name LIMIT 1",
        (name, name),
    ).fetchone()
    return None if row is None else ShardRange._make(row)


def usage(connection: sqlite3.Connection) -> tuple[int, int]:
    """(objects, bytes) in the shards, as they last reported."""
    row = connection.execute(
        f"SELECT coalesce(sum(object_count), 0), coalesce(sum(bytes_used), 0) FROM shard_range WHERE deleted = 0 "
        f"AND state IN ({','.join(str(int(state)) for state in STATS)}) AND name != {_OWN_NAME}"
    ).fetchone()
    return int(row[0]), int(row[1])


def merge_ranges(connection: sqlite3.Connection, incoming: Iterable[ShardRange]) -> None:
    """Merge reports into the table. An own range without an epoch never replaces one that has one: that would undo a
    sharding which has begun (formats 6.8)."""
    own = own_range(connection)
    for item in incoming:
        if own is not None and item.name == own.name and own.epoch and not item.epoch:
            continue
        rows = connection.execute(f"{_SELECT} WHERE name = ?", (item.name,)).fetchall()
        stored = None
        for row in rows:
            stored = merge_shard(stored, ShardRange._make(row))
        merged = merge_shard(stored, item)
        if len(rows) == 1 and merged == stored:
            continue
        connection.execute("DELETE FROM shard_range WHERE name = ?", (item.name,))
        connection.execute(_INSERT, merged)


def has_reclaimable(connection: sqlite3.Connection, cutoff: Timestamp) -> bool:
    """Whether reclaim() would find any."""
    query = f"SELECT 1 FROM shard_range WHERE {_IS_RECLAIMABLE} LIMIT 1"
    return connection.execute(query, (cutoff.internal,)).fetchone() is not None


def reclaim(connection: sqlite3.Connection, cutoff: Timestamp) -> None:
    """Forget ranges that were deleted before cutoff, but never the own one."""
    connection.execute(f"DELETE FROM shard_range WHERE {_IS_RECLAIMABLE}", (cutoff.internal,))


def _state_key(item: ShardRange) -> tuple[str, int]:
    return item.state_timestamp, item.state


def _reportable(item: ShardRange) -> tuple[object, ...]:
    return item.object_count, item.bytes_used, item.tombstones, item.state, item.epoch, item.deleted
