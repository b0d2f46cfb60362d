"""What another cluster may say over a real socket, and what container-sync makes of it: only a plain yes is one."""

import pytest

from objstore.container.passes.sync_peer import Peer, Verdict
from objstore.container.passes.sync_target import Target
from objstore.core.timestamp import ZERO, Timestamp
from objstore.http.outgoing import Outgoing
from tests.support.raw_peers import raw_peer

AT = Timestamp.parse("1700000000.00000")


def answer(status, *lines, body=b""):
    head = "\r\n".join([f"HTTP/1.1 {status} x", *(lines or (f"Content-Length: {len(body)}",))])
    return head.encode() + b"\r\n\r\n" + body


def target_at(port, key="k"):
    return Target(f"http://127.0.0.1:{port}", "/v1/a/c", None, key)


def said(method, *pieces, timeout_s=30.0):
    """What comes of a request that is answered with these pieces; None hangs up."""
    peer = Peer([Outgoing(connect_timeout_s=30.0, timeout_s=timeout_s)])
    with raw_peer(pieces) as (node, _):
        target = target_at(node.address[1])
        if method == "HEAD":
            return peer.newest(target, "o", AT)
        if method == "PUT":
            return peer.put(target, "o", AT, {"content-type": "text/x"}, iter([b"body"]), 4)
        return peer.delete(target, "o", AT)


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        ("PUT", answer(201)),
        ("PUT", answer(202)),
        ("PUT", answer(409)),
        ("PUT", answer(201, "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
        ("DELETE", answer(204)),
        ("DELETE", answer(404)),
        ("DELETE", answer(409)),
    ],
)
def test_a_plain_yes_is_one(method, reply):
    assert said(method, reply).verdict is Verdict.DONE


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (answer(200, "X-Timestamp: 1700000000.00000", "Content-Length: 5"), AT),
        (answer(404), ZERO),
        (answer(200), ZERO),
        (answer(200, "X-Timestamp: junk", "Content-Length: 0"), ZERO),
        (answer(200, "X-Timestamp: 1e999", "Content-Length: 0"), ZERO),
    ],
)
def test_what_is_there_is_known_by_its_time_alone(reply, found):
    assert said("HEAD", reply, None) == found


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 201",
        b"junk\r\n\r\n",
        b"HTTP/1.1 2o1 Created\r\n\r\n",
        answer(201, "Content-Length: 100", body=b"cut"),
        answer(201, "Content-Length: x"),
        answer(201, "Content-Length: 0", "Content-Length: 1"),
        answer(201, "Content-Length: 900000", body=b"x" * 900_000),
        answer(201, "Transfer-Encoding: chunked", body=b"zz\r\n"),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    ],
    ids=lambda reply: repr(reply[:40]),
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_half_an_answer_is_none(method, reply):
    assert said(method, reply, None).verdict is Verdict.AWAY


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (301, Verdict.FAILED),
        (400, Verdict.FAILED),
        (401, Verdict.REFUSED),
        (403, Verdict.REFUSED),
        (404, Verdict.REFUSED),
        (413, Verdict.FAILED),
        (503, Verdict.FAILED),
        (999, Verdict.FAILED),
    ],
)
def test_a_refusal_is_none_either(status, verdict):
    assert said("PUT", answer(status), None).verdict is verdict


def test_silence_and_nobody_are_away():
    assert said("DELETE", timeout_s=0.1).verdict is Verdict.AWAY
    with raw_peer([None]) as (node, _):
        gone = node.address[1]
    assert Peer([Outgoing()]).delete(target_at(gone), "o", AT).verdict is Verdict.AWAY


def test_each_request_takes_the_next_way():
    asked = []

    class Way:
        def __init__(self, name):
            self.name = name

        def open(self, method, url, headers=(), body=b"", length=None):
            asked.append((self.name, url))
            raise ValueError("enough")

    peer = Peer([Way("a"), Way("b")])
    for _ in range(3):
        peer.delete(Target("http://x", "/v1/a/c", None, "k"), "o p", AT)
    assert asked == [(name, "http://x/v1/a/c/o%20p") for name in "aba"]


def test_no_key_is_in_what_is_said():
    with raw_peer([b"junk\r\n\r\n", None]) as (node, _):
        found = Peer([Outgoing()]).delete(target_at(node.address[1], "planted-secret"), "o", AT)
    assert found.verdict is Verdict.AWAY and "planted-secret" not in found.why
