"""Builder files: a pickle of one dict, protocol 2, as Swift's tools write and read it.

Only plain values and array.array are admitted when reading (core.pickles); everything is checked before it is believed.
Keys that older tools did not write have defaults. Source: formats 2.4; doc/formats/rings.md.
"""

from __future__ import annotations

import uuid
from array import array
from pathlib import Path
from typing import Any

from objstore.core.errors import DomainError
from objstore.core.pickles import UnsafePickle, dumps, loads_builder
from objstore.ring.builder import RingBuilder
from objstore.ring.device_fields import device_of, fields_of
from objstore.ring.model import HASH_BITS, Device, InvalidRing, Row
from objstore.ring.table import MAX_REPLICAS, MAX_TABLE_BYTES
from objstore.runtime.fs import Fs

_FILE_MODE = 0o644
_MAX_BYTES = MAX_TABLE_BYTES + (64 << 20)
_ID_TYPECODES = ("H", "I")


class BuilderFileError(DomainError):
    """A builder file that cannot be used. One line: the path, and what is wrong."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


def load_builder(path: str | Path) -> RingBuilder:
    """Raises BuilderFileError, also when the file cannot be opened."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise InvalidRing(f"is longer than {_MAX_BYTES} bytes")
        return builder_of(loads_builder(data))
    except OSError as error:
        raise BuilderFileError(path, f"cannot be read: {error.strerror}") from error
    except (InvalidRing, UnsafePickle) as error:
        raise BuilderFileError(path, f"bad builder file: {' '.join(str(error).split())}") from None


def save_builder(builder: RingBuilder, path: str | Path, fs: Fs | None = None) -> None:
    """Write a builder so that a crash leaves the old file or the new one. Gives it an id at its first save."""
    if builder.id is None:
        builder.id = uuid.uuid4().hex
    (fs or Fs()).replace_file(str(path), dumps(state_of(builder)), _FILE_MODE)


def state_of(builder: RingBuilder) -> dict[str, Any]:
    """The dict that is pickled. Any: plain values of many kinds."""
    counts, per_weight = builder.part_counts(), builder.parts_per_weight()

    def fields(device: Device) -> dict[str, Any]:
        wanted = 0 if device.id in builder.removed else round(device.weight * per_weight) - counts[device.id]
        return fields_of(device) | {"parts": counts[device.id], "parts_wanted": wanted}

    return {
        "part_power": builder.part_power,
        "next_part_power": builder.next_part_power,
        "replicas": builder.replicas,
        "min_part_hours": builder.min_part_hours,
        "parts": builder.partition_count,
        "devs": [None if device is None else fields(device) for device in builder.devices],
        "devs_changed": builder.is_changed,
        "dev_id_bytes": builder.rows[0].itemsize if builder.rows else 2,
        "version": builder.version,
        "overload": builder.overload,
        "_replica2part2dev": builder.rows,
        "_last_part_moves_epoch": builder.last_moves_epoch_s,
        "_last_part_moves": builder.last_moves,
        "_last_part_gather_start": builder.gather_start,
        "_dispersion_graph": builder.graph,
        "dispersion": builder.dispersion,
        "_remove_devs": [fields(builder.device(device_id)) for device_id in sorted(builder.removed)],
        "id": builder.id,
    }


def builder_of(state: object) -> RingBuilder:
    """The inverse of state_of. Raises InvalidRing naming the key that is wrong."""
    if not isinstance(state, dict):
        raise InvalidRing(f"holds {type(state).__name__}: expected a dict")
    fields = _Fields(state)
    part_power = fields.integer("part_power", HASH_BITS)
    devices = [None if raw is None else device_of(raw, number) for number, raw in enumerate(fields.list_of("devs"))]
    builder = RingBuilder(
        part_power,
        fields.number("replicas", MAX_REPLICAS),
        fields.integer("min_part_hours", 0xFFFF),
        devices,
        removed=_removed(fields, devices),
        overload=fields.number("overload", 1e9, 0.0),
        version=fields.integer("version", 1 << 62, 0),
        rows=_rows(fields, part_power, devices),
        last_moves=_last_moves(fields, part_power),
        last_moves_epoch_s=int(fields.number("_last_part_moves_epoch", 1e12, 0)),
        next_part_power=None if state.get("next_part_power") is None else fields.integer("next_part_power", HASH_BITS),
        is_changed=bool(state.get("devs_changed")),
        dispersion=fields.number("dispersion", 1e9, 0.0),
        id=fields.text("id"),
        gather_start=fields.integer("_last_part_gather_start", 1 << 62, 0),
    )
    if isinstance(graph := state.get("_dispersion_graph"), dict):
        builder.graph = graph
    return builder


class _Fields:
    """Typed access to the keys of the dict; absent keys and None give the default, if there is one."""

    def __init__(self, state: dict[Any, Any]) -> None:
        self._state = state

    def get(self, name: str) -> Any:
        return self._state.get(name)

    def number(self, name: str, most: float, default: float | None = None) -> float:
        value: Any = default if self._state.get(name) is None else self._state[name]
        if type(value) not in (int, float) or not 0 <= value <= most:
            raise InvalidRing(f"{name} is {_shown(value)}: expected a number from 0 to {most:g}")
        return float(value)

    def integer(self, name: str, most: int, default: int | None = None) -> int:
        value: Any = default if self._state.get(name) is None else self._state[name]
        if type(value) is not int or not 0 <= value <= most:
            raise InvalidRing(f"{name} is {_shown(value)}: expected 0 to {most}")
        return value

    def text(self, name: str) -> str | None:
        value = self._state.get(name)
        if value is not None and not isinstance(value, str):
            raise InvalidRing(f"{name} is {_shown(value)}: expected a text")
        return value

    def list_of(self, name: str) -> list[Any]:
        value = self._state.get(name)
        value = [] if value is None else value
        if not isinstance(value, list):
            raise InvalidRing(f"{name} is {_shown(value)}: expected a list")
        return value


def _removed(fields: _Fields, devices: list[Device | None]) -> set[int]:
    removed = set()
    for raw in fields.list_of("_remove_devs"):
        device_id = raw.get("id") if isinstance(raw, dict) else None
        if type(device_id) is not int or not 0 <= device_id < len(devices) or devices[device_id] is None:
            raise InvalidRing(f"_remove_devs names {_shown(raw)}, which is no device")
        removed.add(device_id)
    return removed


def _rows(fields: _Fields, part_power: int, devices: list[Device | None]) -> list[Row[int]] | None:
    if fields.get("_replica2part2dev") is None:
        return None
    rows = fields.list_of("_replica2part2dev")
    full = 1 << part_power
    for number, row in enumerate(rows):
        if not isinstance(row, array) or row.typecode not in _ID_TYPECODES:
            raise InvalidRing(f"_replica2part2dev: row {number} is not an array of device ids")
        if not 0 < len(row) <= full or (len(row) != full and (number == 0 or number < len(rows) - 1)):
            raise InvalidRing(f"_replica2part2dev: row {number} has {len(row)} partitions, expected {full}")
        nobody = (1 << 8 * row.itemsize) - 1
        for used in set(row):
            if used != nobody and (used >= len(devices) or devices[used] is None):
                raise InvalidRing(f"_replica2part2dev: row {number} uses device {used}, of which there is none")
    return rows or None


def _last_moves(fields: _Fields, part_power: int) -> array[int] | None:
    moves = fields.get("_last_part_moves")
    if moves is None:
        return None
    if not isinstance(moves, array) or moves.typecode != "B" or len(moves) != 1 << part_power:
        raise InvalidRing(f"_last_part_moves is not an array of {1 << part_power} bytes")
    return moves


def _shown(value: object) -> str:
    return repr(value)[:60]
