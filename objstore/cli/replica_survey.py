"""What every replica of an account, container or object says of it: for tools that compare them.

Listings are read page by page from all replicas at once and merged by name, so that a container of any size needs the
memory of one page each. A replica that does not answer, or breaks off, is left out from there on and named: that it
lacks a row would prove nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from objstore.config.cluster import Cluster
from objstore.core.names import quoted
from objstore.core.policy import policy_directory
from objstore.http.status import HTTPStatus, is_success
from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import AS_DIRECT_CLIENT, NodeClient, Reply, Timeouts
from objstore.ring.fileformat import load
from objstore.ring.model import Node, Ring

PAGE_ROWS = 250
"""As many as NodeClient takes in one answer however long the names are."""
CONNECT_TIMEOUT_S = 5.0
POLICY_INDEX = "X-Backend-Storage-Policy-Index"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of one replica's listing. etag: of an object, as listed; "" for a container."""

    name: str
    etag: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node said. status: 0 when it said nothing that could be read in time; problem: then why."""

    node: Node
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: str = ""

    @property
    def is_success(self) -> bool:
        return is_success(self.status)


@dataclass(slots=True)
class Problem:
    """where: node and device, "" for all of them."""

    path: str
    where: str
    text: str


@dataclass(slots=True)
class Survey:
    """Asks; problems: everything found so far. A server that did not answer, nor when asked `retries` times more, is
    not asked again: each question to it would cost that time. retried: how often one was asked once more."""

    cluster: Cluster
    client: NodeClient
    page_rows: int = PAGE_ROWS
    retries: int = 0
    retried: int = 0
    problems: list[Problem] = field(default_factory=list)
    _rings: dict[str, Ring] = field(default_factory=dict)
    _silent: set[tuple[str, int]] = field(default_factory=set)

    def ring(self, name: str) -> Ring:
        """account, container, object, object-1 … Raises RingFileError."""
        if name not in self._rings:
            self._rings[name] = load(self.cluster.swift_dir / f"{name}.ring.gz")
        return self._rings[name]

    def ask(
        self, names: tuple[str, ...], method: str, query: str = "", *, policy_index: int = 0, only: Sequence[Node] = ()
    ) -> list[Answer]:
        """Of every primary of the partition (or `only` those). Raises RingFileError."""
        kind = ("account", "container", "object")[len(names) - 1]
        ring = self.ring(policy_directory(kind, policy_index) if kind == "object" else kind)
        partition = ring.partition(self.cluster.secrets.digest(*names))
        headers = [("X-Backend-Replication", "true")]
        if kind == "object":
            headers.append((POLICY_INDEX, str(policy_index)))
        path = quoted(f"/{partition}/{'/'.join(names)}") + query
        asked = only or ring.primaries(partition)
        heard = [node for node in asked if node.replication_address not in self._silent]
        answers = self._asked(heard, method, path, headers)
        for _ in range(self.retries):
            again = [node for node, answer in answers.items() if not answer.status]
            self.retried += len(again)
            answers |= self._asked(again, method, path, headers)
        self._silent |= {node.replication_address for node, answer in answers.items() if not answer.status}
        return [answers.get(node) or Answer(node, problem="it did not answer before") for node in asked]

    def _asked(
        self, nodes: Sequence[Node], method: str, path: str, headers: Sequence[tuple[str, str]]
    ) -> dict[Node, Answer]:
        replies = self.client.ask_all(nodes, method, path, headers)
        return {node: _answer(node, reply) for node, reply in zip(nodes, replies, strict=True)}

    def found(self, names: tuple[str, ...], replies: Sequence[Answer]) -> list[Answer]:
        """The replies of replicas that are there; of the others a problem is noted."""
        there = []
        for reply in replies:
            if reply.is_success:
                there.append(reply)
            else:
                self.note(names, reply.node, reply.problem or _said(reply.status))
        return there

    def note(self, names: tuple[str, ...], node: Node | None, text: str) -> None:
        self.problems.append(Problem("/".join(names), where(node) if node is not None else "", text))

    def rows(self, names: tuple[str, ...]) -> Iterator[tuple[str, Mapping[Node, Row], list[Node]]]:
        """(name, who lists it, whom to compare with: those that still answer) in the order of names."""
        listings = {
            reply.node: _Listing(self, names, reply.node) for reply in self.found(names, self.ask(names, "HEAD"))
        }
        while True:
            for node in [node for node, listing in listings.items() if listing.is_broken]:
                del listings[node]
            heads = {node: row for node, listing in listings.items() if (row := listing.peek()) is not None}
            broken = [node for node, listing in listings.items() if listing.is_broken]
            if broken:
                continue  # Whom a page broke off for is not compared any more, not even for this name.
            if not heads:
                return
            name = min(row.name for row in heads.values())
            mine = {node: row for node, row in heads.items() if row.name == name}
            for node in mine:
                listings[node].take()
            yield name, mine, list(listings)


class _Listing:
    """One replica's rows, a page at a time."""

    def __init__(self, survey: Survey, names: tuple[str, ...], node: Node) -> None:
        self._survey = survey
        self._names = names
        self._node = node
        self._page: list[Row] = []
        self._next = 0
        self._marker = ""
        self._is_over = False
        self.is_broken = False

    def peek(self) -> Row | None:
        """The next row; None at the end, or when it breaks off."""
        if self._next == len(self._page) and not self._is_over:
            self._read_page()
        return self._page[self._next] if self._next < len(self._page) else None

    def take(self) -> None:
        self._next += 1

    def _read_page(self) -> None:
        marker = quote(self._marker, safe="", errors="surrogateescape")
        query = f"?format=json&limit={self._survey.page_rows}&marker={marker}"
        (reply,) = self._survey.ask(self._names, "GET", query, only=[self._node])
        self._page, self._next = [], 0
        if reply.status == HTTPStatus.NO_CONTENT:
            self._is_over = True
            return
        rows = _rows(reply.body) if reply.is_success else None
        if rows is None or any(row.name <= self._marker for row in rows):
            self._broken(reply.problem or (_said(reply.status) if not reply.is_success else "a listing out of order"))
            return
        self._page = rows
        self._is_over = not rows
        if rows:
            self._marker = rows[-1].name

    def _broken(self, why: str) -> None:
        self.is_broken = self._is_over = True
        self._survey.note(self._names, self._node, f"its listing after {self._marker!r}: {why}")


def tool_client(agent: str, answer_timeout_s: float) -> NodeClient:
    """The client by which tools ask storage servers directly. One per process."""
    return NodeClient(agent, Timeouts(CONNECT_TIMEOUT_S, answer_timeout_s), headers=AS_DIRECT_CLIENT)


def _answer(node: Node, reply: Reply | NodeFailure) -> Answer:
    if isinstance(reply, NodeFailure):
        return Answer(node, problem=reply.reason)
    return Answer(node, reply.status, reply.headers, reply.body)


def where(node: Node) -> str:
    ip, port = node.replication_address
    return f"{f'[{ip}]' if ':' in ip else ip}:{port}/{node.name}"


def _rows(body: bytes) -> list[Row] | None:
    """None for what is not a listing: it is a peer's text."""
    try:
        items = json.loads(body)
        return [Row(str(item["name"]), str(item.get("hash", ""))) for item in items]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _said(status: int) -> str:
    return {404: "missing", 507: "its disk is not mounted"}.get(status, f"it answers {status}")
