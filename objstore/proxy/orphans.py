"""Orphans: update targets of servers that fell away in the middle of an upload, and who tells them instead. Pure.

The targets are dealt with the head of the request (targets.py), before anybody can know who will live to the end of the
body. A target that only a lost server was to tell would miss its row until replication brings it. So those of our own
object servers that offer X-Objstore-Targets in their 100 Continue are told of more targets in the footers:

    X-Objstore-Container-Partition, -Host, -Device      as X-Container-… of the head: Host and Device are lists
    X-Objstore-Delete-At-Partition, -Host, -Device      as X-Delete-At-…

A server that falls away after the footers leaves its targets when the others have the object already. One of those is
asked by the PUT of telling_again(): it has the object with this timestamp, tells the targets, and answers 409.

Other servers are sent nothing of it. Source: doc/decisions/0005-proxy-data-path.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import cycle

from objstore.peers.exchange import BackendRequest

_KINDS = ("Container", "Delete-At")
_PARTS = ("Partition", "Host", "Device")

_Target = tuple[str, str, str]
"""partition, host:port, device."""


def adopted(
    requests: Sequence[BackendRequest], live: Collection[int], heirs: Sequence[int]
) -> dict[int, dict[str, str]]:
    """Footers by slot, for slots that get any.

    requests: one per slot, as they were sent. live: slots whose server is still there. heirs: those of them that take
    more targets, in order.
    """
    if not heirs or len(live) == len(requests):
        return {}
    found: dict[int, dict[str, str]] = {}
    for kind in _KINDS:
        told = {target for slot in live for target in _targets(requests[slot], kind)}
        lost = [
            target for slot, request in enumerate(requests) if slot not in live for target in _targets(request, kind)
        ]
        orphans = [target for target in dict.fromkeys(lost) if target not in told]
        shares: dict[int, list[_Target]] = {}
        for slot, target in zip(cycle(heirs), orphans, strict=False):
            shares.setdefault(slot, []).append(target)
        for slot, share in shares.items():
            found.setdefault(slot, {}).update(_footers(kind, share))
    return found


def telling_again(request: BackendRequest, footers: dict[str, str], etag: str) -> BackendRequest:
    """A PUT (or DELETE) that makes a server which has stored `request` tell the targets of `footers`. One that has the
    object no more must not take the empty body for it: the ETag forbids that. etag: "" for a DELETE."""
    kept = [item for item in request.headers if not item[0].startswith(_OF_THE_BODY) and item[0] not in _NOT_AGAIN]
    targets = [(name.replace("X-Objstore-", "X-", 1), value) for name, value in footers.items()]
    if etag:
        targets.append(("Etag", etag))
    return BackendRequest(request.method, request.path, [*kept, *targets, ("Content-Length", "0")])


_OF_THE_BODY = ("X-Backend-Obj-", "X-Backend-Objstore-", *(f"X-{kind}-{part}" for kind in _KINDS for part in _PARTS))
_NOT_AGAIN = frozenset({"Transfer-Encoding", "Expect", "Etag", "If-None-Match", "Content-Length"})


def _targets(request: BackendRequest, kind: str) -> list[_Target]:
    fields = {name: value for name, value in request.headers if name.startswith(f"X-{kind}-")}
    hosts, devices = fields.get(f"X-{kind}-Host", ""), fields.get(f"X-{kind}-Device", "")
    if not hosts:
        return []
    partition = fields[f"X-{kind}-Partition"]
    return [(partition, host, device) for host, device in zip(hosts.split(","), devices.split(","), strict=True)]


def _footers(kind: str, share: Sequence[_Target]) -> dict[str, str]:
    partition = share[0][0]
    return {
        f"X-Objstore-{kind}-Partition": partition,
        f"X-Objstore-{kind}-Host": ",".join(host for _, host, _ in share),
        f"X-Objstore-{kind}-Device": ",".join(device for _, _, device in share),
    }
