"""peers/node_client.py against peers on loopback that say, byte for byte, what a test tells them to."""

import socket
import time
from contextlib import ExitStack

import pytest

from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import NodeClient, Reply, Timeouts
from objstore.peers.recently_silent import RecentlySilent
from objstore.runtime import green
from tests.support.clock import SimClock
from tests.support.raw_peers import raw_node, raw_peer

PATIENT = Timeouts(20.0, 20.0)
NO_PATIENCE = Timeouts(20.0, 0.05)
ENDLESS = (b"1ff\r\n" + b"x" * 511 + b"\r\n") * 1000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
def peers():
    """Starts peers (tests.support.raw_peers.raw_peer): peer(*pieces) -> (node, what it heard)."""
    with ExitStack() as stack:
        yield lambda *pieces: stack.enter_context(raw_peer(pieces))


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        green.sleep(0.01)


def test_a_question_reaches_the_replication_address_with_what_every_request_says(peers):
    node, heard = peers(OK)
    client = NodeClient("tester", PATIENT, headers=[("X-Always", "yes")])
    answer = client.ask(node, "GET", "/7/a/c?format=json", [("X-This", "time")])
    assert answer == Reply(node, 200, {"content-length": "5"}, b"hello")
    head, *lines = bytes(heard).decode().split("\r\n")
    assert head == "GET /sdb1/7/a/c?format=json HTTP/1.1"
    assert {"X-Always: yes", "X-This: time", f"Host: 127.0.0.1:{node.replication_address[1]}"} <= set(lines)
    assert any(line.startswith("User-Agent: tester ") for line in lines)


def test_every_node_answers_for_itself_in_the_order_asked(peers):
    first, _ = peers(OK)
    broken, _ = peers(None)
    refused, _ = peers(b"HTTP/1.1 507 No\r\nContent-Length: 0\r\n\r\n")
    answers = NodeClient("tester", PATIENT).ask_all([first, broken, refused], "GET", "/7/a/c")
    assert [getattr(answer, "status", None) for answer in answers] == [200, None, 507]
    assert isinstance(answers[1], NodeFailure) and "closed" in answers[1].reason


@pytest.mark.parametrize(
    ("pieces", "problem"),
    [
        ((b"SSH-2.0-OpenSSH\r\n\r\n",), "127.0.0.1"),
        ((b"HTTP/1.1 2000 OK\r\n\r\n",), "127.0.0.1"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",), "127.0.0.1"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", None), "127.0.0.1"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001,), "over 1000 bytes"),
        (
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1ff\r\n" + b"x" * 511 + b"\r\n", ENDLESS),
            "over",
        ),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",), "127.0.0.1"),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000_000 + b"\r\n\r\n",), "127.0.0.1"),
    ],
    ids=["no HTTP", "no status", "two lengths", "cut short", "too long", "chunks past the limit", "no chunk", "head"],
)
def test_an_answer_that_is_none_is_a_failure_that_names_the_node(peers, pieces, problem):
    node, _ = peers(*pieces)
    answer = NodeClient("tester", PATIENT).ask(node, "GET", "/7", answer_bytes_max=1000)
    assert isinstance(answer, NodeFailure)
    assert "/sdb1" in answer.reason and problem in answer.reason


def test_who_says_nothing_costs_one_deadline_and_not_one_for_each(peers):
    silent = [peers()[0] for _ in range(3)]
    good, _ = peers(OK)
    answers = NodeClient("tester", NO_PATIENCE).ask_all([*silent, good], "GET", "/7")
    assert [isinstance(answer, NodeFailure) and answer.is_silence for answer in answers[:3]] == [True] * 3


def test_a_body_that_drips_ends_at_its_deadline(peers):
    """Each byte comes in time, the whole never does."""
    node, _ = peers(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", *[b"x"] * 1_000_000)
    answer = NodeClient("tester", Timeouts(20.0, 0.05)).ask(node, "GET", "/7")
    assert isinstance(answer, NodeFailure) and answer.is_silence


def test_a_node_that_let_a_deadline_pass_is_left_alone_for_a_while(peers):
    node, heard = peers()
    clock = SimClock()
    client = NodeClient("tester", NO_PATIENCE, silence=RecentlySilent(clock.monotonic))
    assert isinstance(client.ask(node, "GET", "/7/first"), NodeFailure)
    again = client.ask(node, "GET", "/7/second")
    assert isinstance(again, NodeFailure) and "a moment ago" in again.reason
    clock.advance(11)
    client.ask(node, "GET", "/7/third")
    until(lambda: b"/7/third" in heard)
    assert b"/7/first" in heard and b"/7/second" not in heard


def test_a_refused_connection_is_no_silence():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        node = raw_node(closed.getsockname()[1])
    client = NodeClient("tester", PATIENT, silence=RecentlySilent(SimClock().monotonic))
    for _ in range(2):
        answer = client.ask(node, "GET", "/7")
        assert isinstance(answer, NodeFailure) and not answer.is_silence


def test_interim_answers_without_end_are_no_answer(peers):
    node, _ = peers(*[b"HTTP/1.1 100 Continue\r\n\r\n" * 1000] * 1000)
    answer = NodeClient("tester", PATIENT).ask(node, "GET", "/7")
    assert isinstance(answer, NodeFailure) and "interim" in answer.reason
