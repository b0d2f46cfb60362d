"""Plays the recorded clients against our proxy, and compares what it sends to its backends with what was recorded."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.replay.client import Answer, Outgoing, exchange, head_bytes
from tests.replay.placeholders import to_bytes
from tests.replay.wire.backend import outgoing
from tests.replay.wire.compare import heard_differences, missing
from tests.replay.wire.lines import Line
from tests.replay.wire.sink import Heard
from tests.replay.wire.tap import Tap, gather
from tests.replay.wire.tolerances import (
    ASKS_MORE,
    LATER_REQUEST_HEADERS,
    OPTIONAL_BY_METHOD,
    OPTIONAL_BY_OPERATION,
)

READS = ("GET", "HEAD")
GATHER_S = 5.0


@dataclass(slots=True)
class OperationResult:
    operation: str
    answer: Answer
    differences: list[str] = field(default_factory=list)

    def report(self) -> str:
        return "\n".join([self.operation, *("    " + text for text in self.differences)])


def play(lines: Sequence[Line], proxy: tuple[str, int], token: str, taps: Mapping[str, Tap]) -> OperationResult:
    """Send the client's request of an operation; compare its status and everything that passed the taps."""
    client = lines[0]
    assert client.sender == "client", client.id
    recorded = [_without_later(line, client) for line in lines[1:] if not _is_lookup(client, _heard(line))]
    gather(taps, lambda _: True, timeout_s=0.2)
    answer = exchange(proxy, _with_token(outgoing(client, "127.0.0.1:1"), client, proxy, token))

    def is_enough(heard: Sequence[Heard]) -> bool:
        counted = [each for each in heard if not _is_lookup(client, each)]
        return _are_all(counted, recorded, answer.status)

    passed = gather(taps, is_enough, timeout_s=GATHER_S)
    heard = [_without_later_heard(each, client) for _, each in passed if not _is_lookup(client, each)]
    result = OperationResult(client.operation, answer)
    if answer.status != client.response.status:
        result.differences.append(
            f"client: expected {client.response.status}, got {answer.status} {answer.body[:200]!r}"
        )
    reads = [line for line in recorded if line.request.method in READS]
    writes = [line for line in recorded if line.request.method not in READS]
    changes = [each for each in heard if each.method not in READS]
    if client.operation in ASKS_MORE:
        result.differences += more_differences(writes, changes)
    else:
        result.differences += heard_differences(writes, changes)
    asked = [each for each in heard if each.method in READS]
    if asked or answer.status != 404:
        # What is known to be absent is not asked for again.
        result.differences += read_differences(reads, asked)
    if any(each.method == "UPDATE" for each in heard):
        # Rows that were made at the same time went together.
        rows = {missing(line) for line in recorded if line.sender == "object-server"}
        result.differences = [text for text in result.differences if text not in rows]
    return result


def _are_all(heard: Sequence[Heard], recorded: Sequence[Line], status: int) -> bool:
    """Whether nothing is missing any more: every change, and a read where there was one (nobody is asked again for what
    is known to be absent)."""
    asked = sum(each.method in READS for each in heard)
    reads = sum(line.request.method in READS for line in recorded)
    return len(heard) - asked >= len(recorded) - reads and (bool(asked) or not reads or status == 404)


def more_differences(recorded: Sequence[Line], heard: Sequence[Heard]) -> list[str]:
    """As many nodes as the reference asked, or more of them, all the same."""
    if len(heard) < len(recorded):
        return [f"sends on: expected {len(recorded)} requests, heard {len(heard)}"]
    return read_differences(recorded, heard)


def read_differences(recorded: Sequence[Line], heard: Sequence[Heard]) -> list[str]:
    """Reads may ask more or fewer nodes than the reference did, but must ask them the same."""
    if not recorded:
        return [f"sends on: {each.method} {each.path} was not recorded" for each in heard]
    if not heard:
        return [f"sends on: expected {recorded[0].request.method} {recorded[0].request.path}, heard no read"]
    found = []
    for each in heard:
        tries = [heard_differences([line], [each]) for line in recorded]
        found += min(tries, key=len)
    return found


def _is_lookup(client: Line, heard: Heard) -> bool:
    """A question for account or container info (which is cached otherwise here and there), or for version names."""
    if _is_count_report(client, heard) or ("%00versions" in heard.path and heard.method in READS):
        return True
    path = heard.path.partition("?")[0].split("/")
    if heard.method != "HEAD" or len(path) > 5:
        return False
    asked = client.request.path.partition("?")[0].split("/")[2:]
    return client.request.method != "HEAD" or [urllib.parse.unquote(part) for part in path[3:]] != [
        urllib.parse.unquote(part) for part in asked
    ]


def _is_count_report(client: Line, heard: Heard) -> bool:
    """A container's counts on their way to its account: sent soon after a change here, by a daemon there."""
    is_changed = client.request.method in ("PUT", "DELETE") and client.response.status < 400
    is_of_a_container = client.request.path.count("/") == 3
    is_told = is_of_a_container and is_changed and heard.path.endswith(client.request.path[3:])
    is_made = is_of_a_container and client.request.method == "POST" and "%00versions" in heard.path
    return bool(heard.header("x-put-timestamp")) and not (is_told or is_made)


def _heard(line: Line) -> Heard:
    headers = tuple((name.lower(), value) for name, value in line.request.headers)
    return Heard(line.request.method, line.request.path, headers, b"")


def _without_later(line: Line, client: Line) -> Line:
    method = line.request.method
    headers = tuple(pair for pair in line.request.headers if not _is_optional(client, method, pair[0].lower()))
    return replace(line, request=replace(line.request, headers=headers))


def _without_later_heard(heard: Heard, client: Line) -> Heard:
    heard = _without_footers(heard)
    headers = tuple(pair for pair in heard.headers if not _is_optional(client, heard.method, pair[0]))
    return replace(heard, headers=headers)


def _is_optional(client: Line, method: str, name: str) -> bool:
    here = OPTIONAL_BY_OPERATION.get(client.operation, {})
    return name in LATER_REQUEST_HEADERS or (method, name) in OPTIONAL_BY_METHOD or name in here


def _without_footers(heard: Heard) -> Heard:
    """An upload whose hash travels behind it (formats.md 6.6) as the plain one that it stands for.

    The reference does so for other reasons only; every server of its kind takes it.
    """
    boundary = heard.header("x-backend-obj-multipart-mime-boundary")
    if not boundary:
        return heard
    parts = heard.body.split(b"\r\n\r\n", 1)
    body = parts[1].split(b"\r\n--" + boundary.encode(), 1)[0] if len(parts) == 2 else b""
    headers = tuple(
        pair for pair in heard.headers if not pair[0].startswith("x-backend-obj-") and pair[0] != "transfer-encoding"
    )
    return replace(heard, headers=headers, body=body)


def _with_token(request: Outgoing, client: Line, proxy: tuple[str, int], token: str) -> Outgoing:
    headers = [
        (to_bytes(name), to_bytes({"x-auth-token": token, "host": f"{proxy[0]}:{proxy[1]}"}.get(name.lower(), value)))
        for name, value in client.request.headers
    ]
    head = head_bytes(to_bytes(client.request.method), to_bytes(client.request.path), b"HTTP/1.1", headers)
    return replace(request, head=head)
