"""Which module of which rsync daemon holds a node's devices: the template rsync_module of every replicator.

Fields: ip port replication_ip replication_port region zone device meta; addresses of IPv6 come in brackets. A template
names a daemon, HOST::MODULE or rsync://HOST[:PORT]/MODULE; what rsync would take for a local directory, or for a host
to be reached by ssh, is refused. Source: formats 6.8.
"""

from __future__ import annotations

import re
import shutil

from objstore.ring.model import Node

PROGRAM = "rsync"
_MODULE = re.compile(r"(?:rsync://[^\s/]+/[^\s]+|[^\s:/-][^\s/]*::[^\s]+|\[[0-9a-fA-F:]+\]::[^\s]+)\Z")
_FIELDS = ("ip", "port", "replication_ip", "replication_port", "region", "zone", "device", "meta")


def module_of(template: str, node: Node) -> str:
    """Where a node's devices are, without a slash at the end. Raises ValueError when that is not a module of a daemon:
    fields come from the ring, and what a ring says must not become an option or a command."""
    device = node.device
    module = template.format(
        ip=_bracketed(device.ip),
        port=device.port,
        replication_ip=_bracketed(device.replication_ip),
        replication_port=device.replication_port,
        region=device.region,
        zone=device.zone,
        device=device.device,
        meta=device.meta,
    ).rstrip("/")
    if _MODULE.match(module) is None or "/../" in f"{module}/":
        raise ValueError(f"{module!r} is not a module of an rsync daemon")
    return module


def checked_module(template: str) -> str:
    """A template of the settings. Raises ValueError."""
    try:
        sample = template.format(**dict.fromkeys(_FIELDS, "1"))
    except (KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"unknown field {error}") from None
    if _MODULE.match(sample) is None:
        raise ValueError("it is neither HOST::MODULE nor rsync://HOST:PORT/MODULE")
    return template


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip
