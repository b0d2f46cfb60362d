"""Devices as dicts: how rings (JSON) and builders (pickle) write them. Source: formats 2.3."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from objstore.ring.model import Device, InvalidRing

DEFAULT_REGION = 1  # Of devices written before there were regions.


def device_of(fields: object, device_id: int) -> Device:
    """The Device of one dict at position device_id. Raises InvalidRing naming the field that is wrong.

    Absent replication_ip and replication_port mean ip and port; absent region and meta, 1 and nothing. Unknown fields
    are ignored.
    """
    if not isinstance(fields, Mapping):
        raise InvalidRing(f"device {device_id} is {_shown(fields)}: expected an object or null")
    ip = _text(fields, device_id, "ip")
    port = _integer(fields, device_id, "port")
    if _integer(fields, device_id, "id") != device_id:
        raise InvalidRing(f"device {device_id} says its id is {fields['id']}: expected its position in the list")
    return Device(
        device_id,
        _integer(fields, device_id, "region", DEFAULT_REGION),
        _integer(fields, device_id, "zone"),
        ip,
        port,
        _text(fields, device_id, "replication_ip", ip),
        _integer(fields, device_id, "replication_port", port),
        _text(fields, device_id, "device"),
        _weight(fields, device_id),
        _text(fields, device_id, "meta", ""),
    )


def fields_of(device: Device) -> dict[str, Any]:
    """The dict of a Device, every field present: what rings store. Any: values are int, float or str."""
    return {
        "id": device.id,
        "region": device.region,
        "zone": device.zone,
        "ip": device.ip,
        "port": device.port,
        "replication_ip": device.replication_ip,
        "replication_port": device.replication_port,
        "device": device.device,
        "weight": device.weight,
        "meta": device.meta,
    }


def _integer(fields: Mapping[Any, Any], device_id: int, name: str, default: int | None = None) -> int:
    value = fields.get(name, default)
    # Old tools wrote null for what they did not know.
    value = default if value is None else value
    if type(value) is not int or value < 0:
        raise InvalidRing(f"device {device_id} has {name} {_shown(value)}: expected a whole number")
    return value


def _text(fields: Mapping[Any, Any], device_id: int, name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    value = default if value is None else value
    if type(value) is not str:
        raise InvalidRing(f"device {device_id} has {name} {_shown(value)}: expected a text")
    return value


def _weight(fields: Mapping[Any, Any], device_id: int) -> float:
    value: Any = fields.get("weight")
    if type(value) not in (int, float) or not 0 <= value <= sys.float_info.max:  # Neither infinite nor not a number.
        raise InvalidRing(f"device {device_id} has weight {_shown(value)}: expected a number, 0 or more")
    return float(value)


def _shown(value: object) -> str:
    return repr(value)[:60]
