"""The sending side of in-band replication: one SSYNC conversation with one node about some objects of a partition.

What the peer says is checked before it is acted upon: it can only want what it was offered, once, and what it does not
understand or let pass in time ends the conversation as a failure. Bodies are checked against their CRC32C on their way
out, so that a damaged copy is never spread. Source: formats 6.9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from objstore.core.headers import title
from objstore.core.names import quoted
from objstore.http.client import BadResponse, PeerError
from objstore.peers.dialogue import Dialogue, open_dialogue
from objstore.peers.exchange import Caller
from objstore.peers.failure import NodeFailure
from objstore.replication.offers import BadLine, Offer, Wanted, encode_offer, parse_wanted
from objstore.ring.model import Node
from objstore.runtime.checksum import EMPTY, crc32c, parse_crc
from objstore.storage.engine import CONTENT_LENGTH, CRC_HEADER, ETAG
from objstore.storage.replica import OpenReplica, Replica

BLOCK_BYTES = 1 << 20
_SPELLED = {ETAG: "ETag"}


class Source(Protocol):
    """The files of the partition that is being sent."""

    def open(self, hash_hex: str) -> OpenReplica | None:
        """None when the object has gone, or was found damaged and set aside. Waits green."""

    def read(self, opened: OpenReplica, count: int, offset: int) -> bytes | memoryview:
        """Of the body, at most BLOCK_BYTES; good until the next read. Waits green. Raises OSError."""

    def damaged(self, opened: OpenReplica) -> None:
        """The body is not what was written: set the object aside. Waits green."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The partition that a conversation is about."""

    policy_index: int
    partition: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """in_sync: hashes of offers that the peer did not want: it has them, or newer. sent: how many were sent to it.
    failure: why the conversation did not come to its end; then what was sent may or may not be there."""

    in_sync: frozenset[str] = frozenset()
    sent: int = 0
    sent_bytes: int = 0
    failure: NodeFailure | None = None


class DamagedOnTheWay(Exception):
    """The body is not what its metadata says."""


@dataclass(frozen=True, slots=True)
class InBandSender:
    """timeout_s: for every wait for the peer; confirm_timeout_s: where it opens and syncs files before it answers."""

    caller: Caller
    timeout_s: float
    confirm_timeout_s: float

    def synchronise(
        self,
        node: Node,
        subject: Subject,
        replicas: Sequence[Replica],
        source: Source,
        *,
        is_confirming: bool = False,
        sends: bool = True,
    ) -> Outcome:
        """Offer objects and send what is wanted of them; with sends=False only ask. is_confirming: ours will be removed
        because of the answer (object/handlers/ssync.py). Never raises for what the peer does."""
        headers = [("X-Backend-Storage-Policy-Index", str(subject.policy_index))]
        if is_confirming:
            headers.append(("X-Backend-Objstore-Confirm", "yes"))
        try:
            timeout_s = self.confirm_timeout_s if is_confirming else self.timeout_s
            found = open_dialogue(self.caller, node, "SSYNC", f"/{subject.partition}", headers, timeout_s)
        except PeerError as error:
            return Outcome(failure=NodeFailure.of_error(node, error))
        if isinstance(found, NodeFailure):
            return Outcome(failure=found)
        try:
            return _converse(node, found, replicas, source if sends else None)
        finally:
            found.close()


def _converse(node: Node, dialogue: Dialogue, replicas: Sequence[Replica], source: Source | None) -> Outcome:
    in_sync: frozenset[str] = frozenset()
    sent = 0
    try:
        wanted = _ask(dialogue, replicas)
        in_sync = frozenset(replica.hash_hex for replica in replicas if replica.hash_hex not in wanted)
        dialogue.send(b":UPDATES: START\r\n")
        for each in wanted.values() if source is not None else ():
            assert source is not None
            sent += _send(dialogue, each, source)
        dialogue.send(b":UPDATES: END\r\n")
        _expect(dialogue, ":UPDATES: START")
        _expect(dialogue, ":UPDATES: END")
        dialogue.end()
    except BadLine as error:
        return Outcome(failure=NodeFailure.of_lie(node, str(error)))
    except (PeerError, OSError, DamagedOnTheWay) as error:
        return Outcome(in_sync, sent, dialogue.sent, NodeFailure.of_error(node, error))
    return Outcome(in_sync, sent, dialogue.sent)


def _ask(dialogue: Dialogue, replicas: Sequence[Replica]) -> Mapping[str, Wanted]:
    """Offer these objects; by hash, what the peer wants of them. Raises BadLine, PeerError."""
    offered = {replica.hash_hex for replica in replicas}
    dialogue.send(b":MISSING_CHECK: START\r\n")
    for replica in replicas:
        dialogue.send(f"{encode_offer(Offer(replica.hash_hex, replica.times))}\r\n".encode("ascii"))
    dialogue.send(b":MISSING_CHECK: END\r\n")
    _expect(dialogue, ":MISSING_CHECK: START")
    wanted: dict[str, Wanted] = {}
    empty_lines = 0
    while (line := dialogue.read_line()) != ":MISSING_CHECK: END":
        if not line and empty_lines == 0:
            empty_lines = 1  # What some say when nothing is wanted.
            continue
        _check_error(line)
        each = parse_wanted(line)
        if each.hash_hex not in offered or each.hash_hex in wanted:
            raise BadLine(f"wants {each.hash_hex}, which was not offered, or wants it twice")
        wanted[each.hash_hex] = each
    return wanted


def _send(dialogue: Dialogue, wanted: Wanted, source: Source) -> int:
    """One object, as it is now; 1, or 0 when there is nothing to send any more."""
    opened = source.open(wanted.hash_hex)
    if opened is None:
        return 0
    try:
        path = quoted(opened.name)
        if opened.data is None:
            _send_head(dialogue, "DELETE", path, {"x-timestamp": opened.times.data.internal})
            return 1
        if wanted.data:
            headers = {**opened.data, "x-timestamp": opened.times.data.internal, CONTENT_LENGTH: str(opened.size)}
            _send_head(dialogue, "PUT", path, headers)
            _send_body(dialogue, opened, source)
        if wanted.meta and opened.meta is not None and opened.times.meta is not None:
            _send_head(dialogue, "POST", path, {**opened.meta, "x-timestamp": opened.times.meta.internal})
        return 1
    finally:
        opened.close()


def _send_head(dialogue: Dialogue, method: str, path: str, headers: Mapping[str, str]) -> None:
    named = sorted((_SPELLED.get(name) or title(name), value) for name, value in headers.items())
    lines = [f"{method} {path}", *(f"{name}: {value}" for name, value in named)]
    if any("\n" in line or "\r" in line for line in lines):
        raise DamagedOnTheWay(f"{path}: a line break in its metadata")
    dialogue.send(_wire("\r\n".join([*lines, "", ""])))


def _wire(text: str) -> bytes:
    """Header values are code points that stand for bytes; what another release wrote as real text goes as UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def _send_body(dialogue: Dialogue, opened: OpenReplica, source: Source) -> None:
    assert opened.data is not None, "there is a body"
    stated, crc = parse_crc(opened.data.get(CRC_HEADER)), EMPTY
    offset = 0
    while offset < opened.size:
        data = source.read(opened, min(BLOCK_BYTES, opened.size - offset), offset)
        if not data:
            source.damaged(opened)
            raise DamagedOnTheWay(f"{opened.name!r}: its body ends {opened.size - offset} bytes early")
        offset += len(data)
        crc = crc32c(data, crc)
        if offset == opened.size and stated is not None and crc != stated:
            source.damaged(opened)  # The last block is withheld, so the peer keeps nothing of it.
            raise DamagedOnTheWay(f"{opened.name!r}: CRC32C of the body is {crc:08x}, its metadata says {stated:08x}")
        dialogue.send(data)


def _expect(dialogue: Dialogue, expected: str) -> None:
    line = dialogue.read_line()
    if not line:  # The answer begins with an empty line.
        line = dialogue.read_line()
    if line != expected:
        _check_error(line)
        raise BadLine(f"expected {expected}, got {line[:80]!r}")


def _check_error(line: str) -> None:
    if line.startswith(":ERROR:"):
        raise BadResponse(f"it says {line[:200]!r}")
