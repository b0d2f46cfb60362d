"""Members of a cluster with defaults, for tests that need some."""

from __future__ import annotations

from objstore.cluster.members import Member, Members

PORTS = {"object": 6200, "container": 6201, "account": 6202}


def make_member(number: int = 1, **fields) -> Member:
    """Node n<number> at 10.0.0.<number> in zone z<number>; fields: others than those."""
    defaults = dict(
        id=f"{number:016x}",
        name=f"n{number}",
        zone=f"z{number}",
        zone_number=number,
        ip=f"10.0.0.{number}",
        agent_port=6199,
        fingerprint=f"{number:064x}",
        ports=PORTS,
    )
    return Member(**(defaults | fields))


def make_members(count: int = 3, *, term: int = 1, version: int = 1, holder: int = 1) -> Members:
    nodes = tuple(map(make_member, range(1, count + 1)))
    return Members("ab" * 16, term, version, f"{holder:016x}", 6203, nodes)
