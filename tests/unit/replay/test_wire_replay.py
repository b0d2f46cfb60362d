"""The wire replay's own parts: times moved into the present, the sink, and what counts as a difference."""

from pathlib import Path

import pytest

from tests.replay.client import Answer, Outgoing, exchange, head_bytes
from tests.replay.wire.backend import operations, outgoing
from tests.replay.wire.compare import heard_differences, response_differences
from tests.replay.wire.lines import DAY_S, RECORDED, load, shift
from tests.replay.wire.sink import Heard, Sink
from tests.replay.wire.tolerances import GAPS, INSTEAD

VECTORS = Path(__file__).parents[2] / "vectors" / "wire"


def lines(name, days=0):
    return load(VECTORS / f"{name}.jsonl", now_s=RECORDED + days * DAY_S)


def line(name, which):
    return next(each for each in lines(name) if each.id == which)


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("1795238365.67153", "1795324765.67153"),
        ('"X-Delete-At","1795328378"', '"X-Delete-At","1795414778"'),
        ("Sat, 21 Nov 2026 05:19:26 GMT", "Sun, 22 Nov 2026 05:19:26 GMT"),
        ("2026-11-21T05:19:26.012200", "2026-11-22T05:19:26.012200"),
        ("1500000000.00000", "1500000000.00000"),
        ("0000000000.00000", "0000000000.00000"),
        ("hash 43fff3df1795238365abc", "hash 43fff3df1795238365abc"),
    ],
)
def test_times_move_by_whole_days(text, moved):
    assert shift(text, 1) == moved
    assert shift(text, 0) == text


def test_a_line_sent_to_several_nodes_is_there_for_each():
    several = [each for each in lines("account") if each.id.startswith("account.autocreate#2")]
    assert [(each.receiver, each.request.path) for each in several] == [
        ("account4", "/sdb4/114/AUTH_wire"),
        ("account3", "/sdb3/114/AUTH_wire"),
        ("account2", "/sdb2/114/AUTH_wire"),
    ]


def test_requests_are_framed_as_recorded():
    chunked = outgoing(line("object", "object.put-chunked#2"), "127.0.0.1:1")
    assert chunked.body == b"10\r\nalpha-beta-gamma\r\n0\r\n\r\n"
    assert chunked.waits
    assert b"X-Container-Host: 127.0.0.1:1\r\n" in chunked.head
    refused = outgoing(line("object", "object.put-if-none-match#2"), "127.0.0.1:1")
    assert refused.body == b"xxxx"


def test_operations_keep_their_order():
    found = operations(lines("object"))
    assert found[0][0] == "object.put-length"
    assert sum(len(each) for _, each in found) == len(lines("object"))


def answer_of(recorded):
    return Answer(status=recorded.response.status, headers=list(recorded.response.headers),
                  body=recorded.response.body_bytes(), interim=[100] * recorded.interim)  # fmt: skip


@pytest.mark.parametrize("name", ["account", "container", "object", "direct-account", "direct-object"])
def test_the_recorded_answer_has_no_differences(name):
    for recorded in lines(name):
        if recorded.service != "proxy":
            assert response_differences(recorded, answer_of(recorded)) == [], recorded.id


def test_a_wrong_answer_is_told():
    recorded = line("direct-object", "direct-object.head-offset#1")
    right = answer_of(recorded)
    without = [pair for pair in right.headers if pair[0] != "X-Backend-Timestamp"]
    assert response_differences(recorded, Answer(status=404))
    assert any("x-backend-timestamp" in text for text in response_differences(recorded, Answer(200, "", without)))
    more = [*right.headers, ("X-Surprise", "1")]
    assert any("x-surprise" in text for text in response_differences(recorded, Answer(200, "", more)))


def heard_from(recorded, **changes):
    request = recorded.request
    headers = tuple((name.lower(), value) for name, value in request.headers)
    return Heard(**{"method": request.method, "path": request.path, "headers": headers, "body": b"", **changes})


def rows():
    return [each for each in lines("object") if each.operation == "object.put-length" and each.sender != "client"][5:]


def test_what_is_sent_on_is_compared_as_a_set():
    recorded = rows()
    assert len(recorded) == 3
    heard = [heard_from(each) for each in reversed(recorded)]
    assert heard_differences(recorded, heard) == []
    assert heard_differences(recorded, heard[:2])
    assert heard_differences(recorded[:2], heard)
    other = tuple(pair for pair in heard[0].headers if pair[0] != "x-size")
    assert heard_differences(recorded, [*heard[1:], heard_from(recorded[0], headers=other)])


def test_the_sink_writes_down_and_answers():
    with Sink() as sink:
        sink.answer = lambda heard: 404 if heard.path == "/no" else 201
        host, _, port = sink.host.partition(":")
        for path in (b"/yes", b"/no"):
            head = head_bytes(b"PUT", path, b"HTTP/1.1", [(b"Content-Length", b"2"), (b"X", "é".encode())])
            status = exchange((host, int(port)), Outgoing(head, b"hi")).status
            assert status == (404 if path == b"/no" else 201)
        heard = sink.take(2, timeout_s=5)
    assert [(each.path, each.header("x"), each.body) for each in heard] == [("/yes", "é", b"hi"), ("/no", "é", b"hi")]


def test_every_tolerance_names_a_recorded_line():
    known = {each.id for path in VECTORS.glob("*.jsonl") for each in load(path)}
    assert INSTEAD.keys() <= known
    assert {each.partition(".")[0] for each in GAPS} <= {path.stem for path in VECTORS.glob("*.jsonl")}
