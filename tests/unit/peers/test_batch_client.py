"""peers/batch_client.py against peers on loopback that say, byte for byte, what a test tells them to."""

import re
from contextlib import ExitStack

import pytest

from objstore.peers.batch_client import RETRY_BATCH_S, BatchClient, Question
from objstore.peers.batched import REQUESTS_AT_MOST, Answered, answer
from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import NodeClient, Timeouts
from tests.support.clock import SimClock
from tests.support.raw_peers import raw_peer


def said(status, body=b""):
    return b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def three(first=200):
    return said(200, answer([Answered(first, {"x-a": "1"}), Answered(404, {}), Answered(204, {})]))


@pytest.fixture
def peers():
    """Starts peers: peer(*pieces) -> (node, what it heard)."""
    with ExitStack() as stack:
        numbers = iter(range(1, 99))
        yield lambda *pieces: stack.enter_context(raw_peer(pieces, next(numbers)))


@pytest.fixture
def clock():
    return SimClock(1000.0)


@pytest.fixture
def client(clock):
    return BatchClient(NodeClient("tester", Timeouts(20.0, 20.0)), clock.monotonic)


def questions(*nodes, count=3, method="HEAD"):
    return [
        Question(node, method, f"/7/a/c/o{number}", [("X-Number", str(number))])
        for number in range(count)
        for node in nodes
    ]


def methods(heard):
    return re.findall(rb"([A-Z]+) /sdb1/7\S* HTTP/1.1\r\n", bytes(heard))


def test_the_questions_to_a_node_go_in_one_request_and_come_back_in_order(peers, client):
    (first, heard), (second, other) = peers(three()), peers(three(503))
    answers = client.ask(questions(first, second))
    assert [(each.node.id, each.status) for each in answers] == [
        (first.id, 200), (second.id, 503), (first.id, 404), (second.id, 404), (first.id, 204), (second.id, 204),
    ]  # fmt: skip
    assert answers[0].headers == {"x-a": "1"}
    assert methods(heard) == methods(other) == [b"BATCH"]
    assert b"BATCH /sdb1/7 HTTP/1.1" in heard
    assert b'["HEAD","/sdb1/7/a/c/o1",{"x-number":"1"}]' in heard


def test_a_single_question_is_asked_as_it_is(peers, client):
    node, heard = peers(said(204))
    assert [each.status for each in client.ask(questions(node, count=1, method="DELETE"))] == [204]
    assert methods(heard) == [b"DELETE"]


def test_more_than_one_request_takes_are_several(peers, client):
    node, heard = peers(said(503))
    assert {each.status for each in client.ask(questions(node, count=REQUESTS_AT_MOST + 2))} == {503}
    assert methods(heard) == [b"BATCH"] * 2


@pytest.mark.parametrize("status", [405, 501])
def test_a_server_that_does_not_know_it_is_asked_one_by_one_and_for_a_while_not_asked_again(
    peers, client, clock, status
):
    node, heard = peers(said(status))
    assert {each.status for each in client.ask(questions(node, count=12))} == {status}
    assert sorted(methods(heard)) == [b"BATCH"] + [b"HEAD"] * 12
    client.ask(questions(node, count=2))
    assert methods(heard).count(b"BATCH") == 1
    clock.advance(RETRY_BATCH_S + 1)
    client.ask(questions(node, count=2))
    assert methods(heard).count(b"BATCH") == 2


def test_what_a_node_says_of_all_is_the_answer_to_each(peers, client):
    node, heard = peers(said(503, b"busy"))
    assert [(each.status, each.body) for each in client.ask(questions(node))] == [(503, b"busy")] * 3
    assert methods(heard) == [b"BATCH"]


@pytest.mark.parametrize(
    "piece", [None, said(200, b"[]"), said(200, b"[[200, {}]]"), said(200, b"what?"), b"no HTTP\r\n\r\n"]
)
def test_a_node_that_breaks_off_or_lies_has_answered_nothing(peers, client, piece):
    (broken, _), (fine, _) = peers(piece), peers(three())
    answers = client.ask(questions(broken, fine))
    assert all(isinstance(each, NodeFailure) for each in answers[::2])
    assert [each.status for each in answers[1::2]] == [200, 404, 204]


def test_nothing_is_asked_for_no_questions(client):
    assert client.ask([]) == []
