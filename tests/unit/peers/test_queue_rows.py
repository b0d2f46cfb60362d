"""peers/queue_rows.py: when rows count as removed, by the answers of their container's primaries."""

from contextlib import ExitStack

import pytest

from objstore.peers.node_client import NodeClient, Timeouts
from objstore.peers.queue_rows import QueueRows, Removal
from tests.support.backends import SECRETS
from tests.support.objects import ts
from tests.support.raw_peers import raw_peer
from tests.support.rings import ring_of

TAKEN, REFUSED, UNKNOWN = "202 Accepted", "507 Insufficient Storage", "405 Method Not Allowed"


@pytest.mark.parametrize(
    ("answers", "by_one", "by_quorum"),
    [
        ([TAKEN], True, True),
        ([REFUSED], False, False),
        ([TAKEN, REFUSED], True, True),
        ([TAKEN, REFUSED, REFUSED], True, False),
        ([TAKEN, TAKEN, REFUSED], True, True),
        ([UNKNOWN, UNKNOWN, REFUSED], False, False),
    ],
)
def test_rows_are_removed_when_enough_primaries_have_taken_them(answers, by_one, by_quorum):
    with ExitStack() as stack:
        said = [f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode() for status in answers]
        ring = ring_of([stack.enter_context(raw_peer([piece]))[0] for piece in said])
        rows = QueueRows(NodeClient("tester", Timeouts(20.0, 20.0)), lambda: ring, SECRETS)
        removals = [Removal("one", ts(5)), Removal("two", ts(5))]
        assert rows.remove("a", "c", removals) is by_one
        assert rows.remove("a", "c", removals, by_quorum=True) is by_quorum


@pytest.mark.parametrize(
    ("answers", "is_taken"),
    [
        ([TAKEN], True),
        ([REFUSED], False),
        ([TAKEN, REFUSED], False),
        ([TAKEN, TAKEN, REFUSED], True),
        ([TAKEN, REFUSED, REFUSED], False),
    ],
)
def test_rows_are_added_when_most_primaries_have_taken_them(answers, is_taken):
    with ExitStack() as stack:
        said = [f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode() for status in answers]
        ring = ring_of([stack.enter_context(raw_peer([piece]))[0] for piece in said])
        rows = QueueRows(NodeClient("tester", Timeouts(20.0, 20.0)), lambda: ring, SECRETS)
        assert rows.add_many("a", "c", ["one", "two"], ts(5), "text/plain", "e") is is_taken
