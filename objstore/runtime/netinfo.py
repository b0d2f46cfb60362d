"""The IP addresses of this host: how a daemon finds which ring devices are its own. The only importer of netifaces.

netifaces is optional (it has no wheels). Without it the kernel is asked: SIOCGIFADDR per interface for IPv4,
/proc/net/if_inet6 for IPv6; an interface's second IPv4 address is then not seen.
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

try:
    import netifaces
except ImportError:
    netifaces = None

_SIOCGIFADDR = 0x8915
_INET6 = Path("/proc/net/if_inet6")
_ANY = ("0.0.0.0", "::")


def local_addresses(bind_ip: str = "") -> frozenset[str]:
    """Addresses of all interfaces, IPv6 ones in short form; only bind_ip when that names one address."""
    if bind_ip and bind_ip not in _ANY:
        return frozenset({bind_ip})
    found = _from_netifaces() if netifaces is not None else _from_kernel()
    return frozenset(str(ipaddress.ip_address(address.partition("%")[0])) for address in found)


def _from_netifaces() -> list[str]:
    found = []
    for interface in netifaces.interfaces():
        for family, entries in netifaces.ifaddresses(interface).items():
            if family in (netifaces.AF_INET, netifaces.AF_INET6):
                found += [entry["addr"] for entry in entries]
    return found


def _from_kernel() -> list[str]:
    return _ipv4() + _ipv6()


def _ipv4() -> list[str]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, request)
            except OSError:
                # An interface without an IPv4 address.
                continue
            found.append(socket.inet_ntoa(answer[20:24]))
    return found


def _ipv6() -> list[str]:
    try:
        lines = _INET6.read_text().splitlines()
    except OSError:
        return []
    return [str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines]
