"""A device as an operator describes it: the text form of the ring builder, and what makes a device acceptable. Pure.

    [r<region>]z<zone>-<ip>:<port>[R<replication ip>:<replication port>]/<device>[_<meta>]

IPv6 addresses stand in brackets; a host may be a name. Source: formats 2.3, features B1.2.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import quote

from objstore.ring.device_fields import DEFAULT_REGION
from objstore.ring.model import Device

DEVICE_FORM = "[r<region>]z<zone>-<ip>:<port>[R<replication ip>:<replication port>]/<device>[_<meta>]"
INFO_FORM = "<ip>:<port>R<replication ip>:<replication port>/<device>_<meta>"
_HOST = r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:/R\s_]+)"
_TEXT = re.compile(rf"(?:r(\d+))?z(\d+)-{_HOST}:(\d+)(?:R{_HOST}:(\d+))?/([^/_]+)(?:_(.*))?\Z", re.ASCII | re.DOTALL)
_INFO = re.compile(rf"(?:{_HOST})?(?::(\d+))?(?:R{_HOST}?(?::(\d+))?)?(?:/([^/_]+))?(?:_(.*))?\Z", re.ASCII | re.DOTALL)
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\Z")
_PORT_MAX = 65535
_NUMBER_MAX = (1 << 31) - 1
_ID_MAX = 1 << 20  # A ring lists every id up to the highest; this bounds the holes.


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device to be added. id: None for the first free one. region: None when the operator named none (1 is used).

    Without replication_ip and replication_port the daemons use ip and port.
    """

    zone: int
    ip: str
    port: int
    device: str
    weight: float
    region: int | None = None
    replication_ip: str | None = None
    replication_port: int | None = None
    meta: str = ""
    id: int | None = None

    def with_id(self, device_id: int) -> Device:
        ip = normal_host(self.ip)
        return Device(
            device_id,
            DEFAULT_REGION if self.region is None else self.region,
            self.zone,
            ip,
            self.port,
            ip if self.replication_ip is None else normal_host(self.replication_ip),
            self.port if self.replication_port is None else self.replication_port,
            self.device,
            float(self.weight),
            self.meta,
        )


def parsed_device(text: str, weight: float) -> NewDevice:
    """Raises ValueError with the form that is expected."""
    match = _TEXT.match(text)
    if match is None:
        raise ValueError(f"{text!r} describes no device: expected {DEVICE_FORM}")
    region, zone, ip, port, replication_ip, replication_port, device, meta = match.groups()
    return NewDevice(
        int(zone),
        ip,
        int(port),
        device,
        weight,
        None if region is None else int(region),
        replication_ip,
        None if replication_port is None else int(replication_port),
        meta or "",
    )


def parsed_info(text: str) -> dict[str, str | int]:
    """Fields of a Device that <ip>:<port>[R<ip>:<port>][/<device>][_<meta>] changes. Raises ValueError.

    Every part is optional, one is needed.
    """
    match = _INFO.match(text)
    names = ("ip", "port", "replication_ip", "replication_port", "device", "meta")
    parts = (
        {} if match is None else {n: part for n, part in zip(names, match.groups(), strict=True) if part is not None}
    )
    if not parts:
        raise ValueError(f"expected at least one part of {INFO_FORM}")
    return {name: int(part) if name.endswith("port") else part for name, part in parts.items()}


def normal_host(host: str) -> str:
    """An address as rings store it: IPv6 in its normal form and without brackets; names in lower case."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, bare))
    except OSError:
        return bare.lower()


def check_device(device: Device) -> None:
    """Raises ValueError naming the field that no server could work with."""
    for name, value, most in (
        ("id", device.id, _ID_MAX),
        ("region", device.region, _NUMBER_MAX),
        ("zone", device.zone, _NUMBER_MAX),
    ):
        if not 0 <= value <= most:
            raise ValueError(f"{name} is {value}: expected 0 to {most}")
    for name, value in (("port", device.port), ("replication port", device.replication_port)):
        if not 1 <= value <= _PORT_MAX:
            raise ValueError(f"{name} is {value}: expected 1 to {_PORT_MAX}")
    for name, host in (("ip", device.ip), ("replication ip", device.replication_ip)):
        if not _is_host(host):
            raise ValueError(f"{name} is {host!r}: expected an IPv4 or IPv6 address or a host name")
    # The name is the first segment of every backend path, as it is.
    if not device.device or device.device in (".", "..") or quote(device.device, safe="") != device.device:
        raise ValueError(f"device name is {device.device!r}: expected letters, digits and any of _.-~")
    if not 0 <= device.weight < float("inf"):
        raise ValueError(f"weight is {device.weight:g}: expected 0 or more")


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # A name whose last label is a number would be taken for a mistyped address.
        return bool(_HOST_NAME.match(host)) and not host.rpartition(".")[2].isdigit()
    return True
