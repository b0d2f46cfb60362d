"""What recorded operations stand on and the recordings do not show: objects that were uploaded without a tap.

Everything that a server needs to have such an object is in its recorded answer to a GET. A name counts as missing when
it was read with its body and no PUT of it was recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.replay.client import Outgoing, exchange, head_bytes
from tests.replay.placeholders import to_bytes
from tests.replay.wire.lines import Line

_KEPT = ("content-type", "content-encoding", "content-disposition", "etag")
_KEPT_PREFIXES = ("x-object-meta-", "x-object-sysmeta-")


@dataclass(frozen=True, slots=True)
class Earlier:
    """An object that was there. name: /account/container/object, as in a path; places: /device/partition of every line
    about it."""

    name: str
    headers: Mapping[str, str]
    timestamp: str
    policy: str
    body: bytes
    places: tuple[str, ...]

    def put_to_server(self, address: tuple[str, int]) -> int:
        """To every place, as a proxy did; the worst status. No container hears of it."""
        own = {"X-Timestamp": self.timestamp, "X-Backend-Storage-Policy-Index": self.policy}
        return max(self._put(place + self.name, own, address) for place in self.places)

    def put_to_proxy(self, address: tuple[str, int], token: str) -> int:
        return self._put(f"/v1{self.name}", {"X-Auth-Token": token}, address)

    def _put(self, path: str, own: Mapping[str, str], address: tuple[str, int]) -> int:
        headers = {"Host": "127.0.0.1", "Content-Length": str(len(self.body)), **self.headers, **own}
        pairs = [(to_bytes(name), to_bytes(value)) for name, value in headers.items()]
        return (
            exchange(address, Outgoing(head_bytes(b"PUT", to_bytes(path), b"HTTP/1.1", pairs), self.body)).status or 0
        )


def earlier_objects(operations: Sequence[tuple[str, Sequence[Line]]]) -> Iterator[Earlier]:
    lines = [line for _, found in operations for line in found if line.service == "object"]
    stored: set[str] = set()
    for line in lines:
        name = _name(line)
        if name.count("/") < 3:
            continue
        if line.request.method == "PUT":
            stored.add(name)
        elif name not in stored and line.request.method == "GET" and line.response.status == 200:
            stored.add(name)
            yield _earlier(line, name, lines)


def _earlier(line: Line, name: str, lines: Sequence[Line]) -> Earlier:
    answer = line.response
    headers = {key: value.strip('"') for key, value in answer.headers if _is_kept(key.lower())}
    places = dict.fromkeys("/".join(each.request.path.split("/")[:3]) for each in lines if _name(each) == name)
    policy = line.request.header("x-backend-storage-policy-index", "0")
    return Earlier(name, headers, answer.header("x-backend-data-timestamp"), policy, answer.body_bytes(), tuple(places))


def _is_kept(key: str) -> bool:
    return key in _KEPT or key.startswith(_KEPT_PREFIXES)


def _name(line: Line) -> str:
    return "/" + "/".join(line.request.path.partition("?")[0].split("/")[3:])
