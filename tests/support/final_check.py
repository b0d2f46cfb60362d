"""Is a cluster whole? What every scenario and the soak end with; all counts zero, or the list of what is wrong.

    check = FinalCheck(disks, ask_proxy, ask_place)
    assert check.problems(expected) == []

Of each object: three good copies on its primaries, nothing on handoffs; what is there is allowed by what clients were
told, read through the proxy with the right bytes, and listed by every replica of its container. Of databases: on their
primaries and only there, counts equal to rows, account totals equal to sums. No row waits any more.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from objstore.ring.model import Ring
from tests.support.lying_there import Body, Copies, Disks, Place

ABSENT = ""
"""In place of an ETag: no object."""
Names = Mapping[str, frozenset[str]]
Expected = Mapping[str, Names]
"""container → object → ETags of the contents it may have now, ABSENT among them when it may be gone. All that there may
be: what is found besides came back from somewhere."""

Answer = tuple[int, Mapping[str, str], bytes]
AskProxy = Callable[[str, str], Answer]
"""(method, percent-encoded path below the account, with query) → status, lower-case headers, body."""
AskPlace = Callable[[Place, str, str], Answer]
"""(place, method, path with query) → what the server there says."""


@dataclass(frozen=True, slots=True)
class Problem:
    """kind: copies, handoff, bytes, lost, unexpected, listing, totals, database, pending, read."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass(slots=True)
class _Found:
    """What lies in the account: container → object → good copy; policy of each container."""

    objects: dict[str, dict[str, tuple[int, Body]]] = field(default_factory=lambda: defaultdict(dict))
    containers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FinalCheck:
    """account: the one whose contents are expected; of others only the placement is checked. joined: ETag that clients
    are told of a large object → MD5 of what it reads as."""

    disks: Disks
    ask_proxy: AskProxy
    ask_place: AskPlace
    account: str = "AUTH_admin"
    joined: Mapping[str, str] = field(default_factory=dict)

    def problems(self, expected: Expected) -> list[Problem]:
        return list(self._all(expected))

    def _all(self, expected: Expected) -> Iterator[Problem]:
        found = _Found()
        for copies in self.disks.objects():
            yield from _of_copies(copies)
            self._note(copies, found)
        for kind in ("container", "account"):
            for database in self.disks.databases(kind):
                places = set(database.places)
                if away := places - set(database.homes):
                    yield Problem("handoff", f"{database} lies on {' '.join(map(str, sorted(away)))}")
                if missing := set(database.homes) - places:
                    yield Problem("database", f"{database} is missing on {' '.join(map(str, sorted(missing)))}")
                if kind == "container" and database.names[:1] == (self.account,):
                    yield from self._container(database.names[1], found)
        yield from self._account(found)
        yield from _unlike(expected, found)
        yield from (Problem("pending", text) for text in self.disks.pending())
        yield from self._reads(expected, found)

    def _note(self, copies: Copies, found: _Found) -> None:
        body = copies.body
        if body is not None and not body.problem:
            account, container, name = body.name.split("/", 3)[1:]
            if account == self.account:
                found.objects[container][name] = copies.policy_index, body

    # Databases, by the word of every replica

    def _container(self, container: str, found: _Found) -> Iterator[Problem]:
        replies = self._replies(self.disks.rings["container"], self.account, container)
        statuses = {place: status for place, (status, _, _) in replies.items()}
        if all(status == 404 for status in statuses.values()):
            return
        for place, (status, headers, body) in replies.items():
            if status not in (200, 204):
                yield Problem("database", f"{container} on {place} answers {status}, others {set(statuses.values())}")
                continue
            index = int(headers["x-backend-storage-policy-index"])
            if found.containers.setdefault(container, index) != index:
                yield Problem("database", f"{container} has policy {index} on {place}, elsewhere another")
            there = {name: body for name, (_, body) in found.objects[container].items()}
            rows = {row["name"]: (row["bytes"], row["hash"]) for row in json.loads(body or b"[]")}
            yield from _differences(
                f"{container} on {place}", rows, {name: body.listed for name, body in there.items()}
            )
            totals = headers["x-container-object-count"], headers["x-container-bytes-used"]
            sums = str(len(there)), str(sum(each.size for each in there.values()))
            if totals != sums:
                yield Problem("totals", f"{container} on {place} counts {totals}, its objects are {sums}")
        for name, (policy_index, _) in found.objects[container].items():
            if policy_index != found.containers.get(container):
                yield Problem("unexpected", f"{container}/{name} lies in policy {policy_index}, not its container's")

    def _account(self, found: _Found) -> Iterator[Problem]:
        sums = {
            name: (len(found.objects[name]), sum(body.size for _, body in found.objects[name].values()))
            for name in found.containers
        }
        replies = self._replies(self.disks.rings["account"], self.account)
        if not sums and all(status == 404 for status, _, _ in replies.values()):
            return
        total = (
            str(len(sums)),
            str(sum(count for count, _ in sums.values())),
            str(sum(size for _, size in sums.values())),
        )
        for place, (status, headers, body) in replies.items():
            if status not in (200, 204):
                yield Problem("database", f"account on {place} answers {status}")
                continue
            rows = {row["name"]: (row["count"], row["bytes"]) for row in json.loads(body or b"[]")}
            yield from _differences(f"account on {place}", rows, sums)
            names = ("container-count", "object-count", "bytes-used")
            stated = tuple(headers[f"x-account-{name}"] for name in names)
            if stated != total:
                yield Problem("totals", f"account on {place} says {stated}, the sums are {total}")

    def _replies(self, ring: Ring, *names: str) -> dict[Place, Answer]:
        partition = ring.partition(self.disks.cluster.secrets.digest(*names))
        path = quote("/".join(("", "{}", str(partition), *names)), safe="/{}")
        return {
            place: self.ask_place(place, "GET", f"{path.format(place.device)}?format=json")
            for place in self.disks.homes(ring, partition)
        }

    # What clients see

    def _reads(self, expected: Expected, found: _Found) -> Iterator[Problem]:
        for container, names in expected.items():
            for name in names:
                try:
                    status, headers, body = self.ask_proxy("GET", quote(f"/{container}/{name}"))
                except OSError as error:
                    yield Problem("read", str(error))
                    continue
                _, there = found.objects[container].get(name, (0, None))
                if there is None:
                    if status != 404:
                        yield Problem("read", f"{container}/{name} answers {status}, but lies nowhere")
                    continue
                etag = there.shown_etag
                seen = status, headers.get("etag", "").strip('"'), hashlib.md5(body).hexdigest()
                if seen != (200, etag, self.joined.get(etag, etag)):
                    yield Problem("read", f"{container}/{name} answers {status} with {len(body)} bytes of ETag {etag}")
            status, _, body = self.ask_proxy("GET", quote(f"/{container}") + "?format=json")
            listed = [row["name"] for row in json.loads(body)] if status == 200 else []
            if listed != sorted(found.objects[container], key=str.encode):
                yield Problem("listing", f"{container} answers {status} with {listed[:20]} through the proxy")


def counted(problems: Iterable[Problem]) -> dict[str, int]:
    """How many of each kind."""
    return dict(Counter(problem.kind for problem in problems))


def _of_copies(copies: Copies) -> Iterator[Problem]:
    if set(copies.names) - set(copies.homes):
        yield Problem("handoff", str(copies))
    elif not copies.is_at_home:
        yield Problem("copies", str(copies))
    for place, body in copies.bodies.items():
        if body.problem:
            yield Problem("bytes", f"{copies} on {place}: {body.problem}")


def _unlike(expected: Expected, found: _Found) -> Iterator[Problem]:
    """What lies there against what clients were told."""
    for container in found.containers.keys() - expected.keys():
        yield Problem("unexpected", f"container {container}")
    for container in expected.keys() - found.containers.keys():
        yield Problem("lost", f"container {container}")
    for container, objects in found.objects.items():
        for name, (_, body) in objects.items():
            if body.shown_etag not in expected.get(container, {}).get(name, frozenset()):
                yield Problem("unexpected", f"{container}/{name} with ETag {body.shown_etag}")
    for container, names in expected.items():
        for name, allowed in names.items():
            if ABSENT not in allowed and name not in found.objects[container]:
                yield Problem("lost", f"{container}/{name}")


def _differences(where: str, listed: Mapping[str, object], there: Mapping[str, object]) -> Iterator[Problem]:
    for name in sorted(listed.keys() | there.keys()):
        if listed.get(name) != there.get(name):
            yield Problem("listing", f"{where}: {name!r} is listed as {listed.get(name)}, there is {there.get(name)}")
