"""Finding devices of a ring by what an operator knows about them. Pure.

    [d<id>][r<region>][z<zone>][-][<ip>][:<port>][R[<replication ip>][:<replication port>]][/<device>][_<meta>]

Every part is optional, one is needed; a device must match them all. meta matches as a part of the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from objstore.ring.model import Device
from objstore.ring.new_device import normal_host

SEARCH_FORM = "[d<id>][r<region>][z<zone>][-<ip>][:<port>][R<replication ip>:<replication port>][/<device>][_<meta>]"
_HOST = r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:/_R\s]+)"
_SEARCH = re.compile(
    rf"(?:d(\d+))?(?:r(\d+))?(?:z(\d+))?-?{_HOST}?(?::(\d+))?(?:R{_HOST}?(?::(\d+))?)?(?:/([^/_]+))?(?:_(.+))?\Z",
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class DeviceSearch:
    """What devices must have to be found; a field that is None matches any device."""

    id: int | None = None
    region: int | None = None
    zone: int | None = None
    ip: str | None = None
    port: int | None = None
    replication_ip: str | None = None
    replication_port: int | None = None
    device: str | None = None
    meta: str | None = None
    weight: float | None = None

    def is_empty(self) -> bool:
        return all(getattr(self, part.name) is None for part in fields(self))

    def matches(self, device: Device) -> bool:
        for part in fields(self):
            wanted, value = getattr(self, part.name), getattr(device, part.name)
            if wanted is None:
                continue
            if part.name == "meta":
                if wanted not in value:
                    return False
            elif part.name in ("ip", "replication_ip"):
                if normal_host(wanted) != value:
                    return False
            elif wanted != value:
                return False
        return True


def parsed_search(text: str) -> DeviceSearch:
    """Raises ValueError with the form that is expected."""
    match = _SEARCH.match(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} describes no device: expected at least one part of {SEARCH_FORM}")
    device_id, region, zone, ip, port, replication_ip, replication_port, device, meta = match.groups()
    numbers = [None if part is None else int(part) for part in (device_id, region, zone, port, replication_port)]
    return DeviceSearch(numbers[0], numbers[1], numbers[2], ip, numbers[3], replication_ip, numbers[4], device, meta)


def found(devices: Iterable[Device], searches: Iterable[DeviceSearch]) -> Iterator[Device]:
    """The devices that any of the searches matches, in order of id."""
    wanted = list(searches)
    return (device for device in devices if any(search.matches(device) for search in wanted))
