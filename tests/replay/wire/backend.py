"""Plays the recorded callers against our account, container and object servers, in time order, and compares.

What our servers send on to each other goes to a sink that answers as the recorded peer did; it is compared with the
recorded server-to-server requests of the same operation, and those are then played against our servers in their turn.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from tests.replay.client import Answer, Outgoing, exchange, head_bytes
from tests.replay.placeholders import to_bytes
from tests.replay.wire.compare import heard_differences, response_differences
from tests.replay.wire.lines import Line
from tests.replay.wire.sink import Heard, Sink
from tests.replay.wire.tolerances import GAPS, INSTEAD, PEERS_DOWN

TXID = "tx0123456789abcdef01234-0123456789"
SERVERS = ("object-server", "container-server")
POLICIES = ("gold", "ec21", "silver")
DEVICES = ("sdb1", "sdb2", "sdb3", "sdb4")
HEARD_WAIT_S = 5.0
NOBODY = "127.0.0.1:1"
_PLACE = re.compile(r"127\.0\.0\.1:<(?:account|container|object)\d(?:-repl)?>")


class Backends(Protocol):
    """Running servers: where each listens, and a way to take one device away for a while."""

    addresses: Mapping[str, tuple[str, int]]

    def without_device(self, device: str) -> AbstractContextManager[None]: ...


@dataclass(slots=True)
class LineResult:
    line: Line
    answer: Answer
    differences: list[str] = field(default_factory=list)

    def report(self) -> str:
        request = self.line.request
        head = f"{self.line.id}: {request.method} {request.path} ({self.line.sender} to {self.line.receiver})"
        return "\n".join([head, *("    " + text for text in self.differences)])


def operations(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """Lines grouped by operation, in order of appearance."""
    grouped: dict[str, list[Line]] = {}
    for line in lines:
        grouped.setdefault(line.operation, []).append(line)
    return list(grouped.items())


def play(operation: Sequence[Line], backends: Backends, sink: Sink) -> list[LineResult]:
    """Send every request of one operation that goes to a server; the results in order.

    The sink's requests are compared at the first line of the operation that a proxy or harness sent.
    """
    recorded = [line for line in operation if line.sender in SERVERS]
    sink.answer = lambda heard: _recorded_status(heard, recorded)
    results = [_play(line, backends, sink) for line in operation if not line.service.startswith("proxy")]
    heard = sink.take(len(recorded), timeout_s=HEARD_WAIT_S if recorded else 0.05)
    if results:
        results[0].differences += heard_differences(recorded, heard)
    return results


def _recorded_status(heard: Heard, recorded: Sequence[Line]) -> int:
    """What the recorded peer said; a batch (UPDATE) is not known to it, as to a peer that has none."""
    for line in recorded:
        if line.request.method == heard.method and _below_device(line.request.path) == _below_device(heard.path):
            return line.response.status
    return 405 if heard.method == "UPDATE" else 201


def _below_device(path: str) -> str:
    return "/".join(path.split("/")[3:])


def _play(line: Line, backends: Backends, sink: Sink) -> LineResult:
    address = backends.addresses[line.service]
    if reason := _gap(line):
        _bring_to_recorded_state(line, address)
    request = outgoing(line, NOBODY if line.operation in PEERS_DOWN else sink.host)
    if line.response.status == 507 and line.device in DEVICES:
        with backends.without_device(line.device):
            answer = exchange(address, request)
    else:
        answer = exchange(address, request)
    instead = INSTEAD.get(line.id)
    if instead is not None:
        found = [] if answer.status == instead[0] else [f"status: expected {instead[0]}, got {answer.status}"]
        return LineResult(line, answer, found)
    return LineResult(line, answer, response_differences(line, answer, has_gap=bool(reason)))


def _gap(line: Line) -> str:
    """Why counts and rows of what this line asks about were not recorded, or ''."""
    name = "/".join(line.request.path.partition("?")[0].split("/")[3:])
    if name not in ("AUTH_wire", "AUTH_wire/c1"):
        return ""
    return GAPS.get(line.operation) or GAPS.get(line.operation.partition(".")[0], "")


def outgoing(line: Line, sink_host: str) -> Outgoing:
    """The recorded request in bytes, its peers' addresses replaced by the sink's."""
    request = line.request
    headers = [(to_bytes(name), to_bytes(_filled(value, sink_host))) for name, value in request.headers]
    # A request of which the peer did not wait for the body is recorded without it: send what its length announces.
    body = request.body_bytes()
    if request.is_incomplete and not body:
        body = b"x" * int(request.header("content-length", "0") or 0)
    if request.chunks:
        body = _in_chunks(body, request.chunks[0])
    return Outgoing(
        head=head_bytes(to_bytes(request.method), to_bytes(request.path), b"HTTP/1.1", headers),
        body=body,
        waits=bool(request.header("expect")),
        is_head=request.method == "HEAD",
    )


def _filled(value: str, sink_host: str) -> str:
    value = _PLACE.sub(sink_host, value)
    return (
        value.replace("<proxy>", "8080")
        .replace("<proxy-enc>", "8080")
        .replace("<port>", "6000")
        .replace("<txid>", TXID)
        .replace("<pid>", "1")
        .replace("<token>", "AUTH_tk0")
    )


def _in_chunks(body: bytes, sizes: Sequence[int]) -> bytes:
    pieces, position = [], 0
    for size in sizes:
        data = body[position : position + size]
        position += size
        pieces.append(b"%x\r\n%s\r\n" % (size, data))
    return b"".join(pieces)


def _bring_to_recorded_state(line: Line, address: tuple[str, int]) -> None:
    """Before a listing that stands on things that were not recorded: put (and delete) rows until it can match."""
    body = line.response.body
    if not isinstance(body, str) or not body.startswith("[{") or line.request.method != "GET":
        return
    path, _, query = line.request.path.partition("?")
    rows = {row["name"]: row for row in json.loads(body) if "name" in row}
    if line.service == "account":
        for name, row in rows.items():
            _send("PUT", f"{path}/{urllib.parse.quote(name)}", address, _container_row(row))
        return
    policy = line.response.header("x-backend-record-storage-policy-index", "0")
    for device in DEVICES:
        place = path.replace(f"/{line.device}/", f"/{device}/", 1)
        for name, row in rows.items():
            _send("PUT", f"{place}/{urllib.parse.quote(name)}", address, _object_row(row, policy))
        asked = urllib.parse.parse_qs(query)
        if not asked.keys() & {"prefix", "path", "delimiter", "marker"} and not asked.get("limit", [""])[0].isdigit():
            _delete_others(place, rows.keys(), policy, address)


def _delete_others(path: str, names: Collection[str], policy: str, address: tuple[str, int]) -> None:
    listing = _send("GET", path + "?format=json", address, {})
    listed = json.loads(listing.body) if listing.status == 200 else []
    for name in {row["name"] for row in listed} - set(names):
        headers = {"X-Timestamp": f"{datetime.now(UTC).timestamp():.5f}", "X-Backend-Storage-Policy-Index": policy}
        _send("DELETE", f"{path}/{urllib.parse.quote(name)}", address, headers)


def _stamp(row: Mapping[str, Any]) -> str:
    return f"{datetime.fromisoformat(row['last_modified']).replace(tzinfo=UTC).timestamp():.5f}"


def _object_row(row: Mapping[str, Any], policy: str) -> dict[str, str]:
    return {
        "X-Timestamp": _stamp(row),
        "X-Size": str(row["bytes"]),
        "X-Content-Type": row["content_type"],
        "X-Etag": row["hash"],
        "X-Backend-Storage-Policy-Index": policy,
    }


def _container_row(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "X-Put-Timestamp": _stamp(row),
        "X-Delete-Timestamp": "0",
        "X-Object-Count": str(row["count"]),
        "X-Bytes-Used": str(row["bytes"]),
        "X-Backend-Storage-Policy-Index": str(POLICIES.index(row["storage_policy"])),
    }


def _send(method: str, path: str, address: tuple[str, int], headers: Mapping[str, str]) -> Answer:
    pairs = [(b"Host", b"127.0.0.1"), (b"Content-Length", b"0")]
    pairs += [(to_bytes(name), to_bytes(value)) for name, value in headers.items()]
    return exchange(address, Outgoing(head_bytes(to_bytes(method), to_bytes(path), b"HTTP/1.1", pairs)))
