"""What counts as a difference between a recorded and a real answer."""

import hashlib

import pytest

from tests.replay.cases import parse_case
from tests.replay.client import Answer
from tests.replay.compare import differences
from tests.replay.placeholders import Values

TXID = "tx0123456789abcdef01234-0123456789"
ALWAYS = [("Date", "Sat, 21 Nov 2026 05:19:26 GMT"), ("X-Trans-Id", TXID), ("X-Openstack-Request-Id", TXID)]
VALUES = Values({"account": "AUTH_test"}, token=str, fresh=str, now=0)


def expected(**response):
    case = {"id": "x", "row": "A1.1", "steps": [{"request": {"method": "GET", "target": "/"}, "response": response}]}
    return parse_case(case, "area").steps[0].expected


def answer(status=200, headers=(), body=b"", **rest):
    return Answer(status=status, headers=[*ALWAYS, *headers], body=body, **rest)


def compare(wanted, got, **options):
    return differences(wanted, got, VALUES, **options)


def test_the_recorded_answer_has_no_differences():
    wanted = expected(status=200, headers={"ETag": "abc", "X-Account": "{account}"}, body="hi")
    assert compare(wanted, answer(headers=[("x-account", "AUTH_test"), ("Etag", "abc")], body=b"hi")) == []


@pytest.mark.parametrize(
    ("got", "says"),
    [
        (answer(status=404, headers=[("A", "1")]), "status: expected 200, got 404"),
        (answer(headers=[]), "header a: expected ['1'], got none"),
        (answer(headers=[("A", "2")]), "header a: expected ['1'], got ['2']"),
        (answer(headers=[("A", "1"), ("B", "1")]), "header b: expected none"),
        (answer(headers=[("A", "1"), ("A", "1")]), "header a: expected ['1'], got ['1', '1']"),
        (answer(headers=[("A", "1")], body=b"more"), "body: expected ''"),
        (answer(headers=[("A", "1")], interim=[100]), "interim"),
        (answer(headers=[("A", "1")], is_truncated=True), "cut short"),
        (Answer(status=200, headers=[("A", "1")]), "header date: expected once"),
        (Answer(), "got no answer"),
    ],
)
def test_each_kind_of_difference_is_told(got, says):
    assert any(says in text for text in compare(expected(status=200, headers={"A": "1"}), got))


def test_of_a_setup_step_only_the_status_counts():
    case = {"id": "x", "row": "r", "steps": [{"request": {"method": "GET", "target": "/"}, "setup": True,
                                              "response": {"status": 201}}]}  # fmt: skip
    wanted = parse_case(case, "area").steps[0].expected
    assert compare(wanted, Answer(status=201, body=b"x")) == []
    assert compare(wanted, Answer(status=202))


def test_absent_names_headers_that_need_not_be_there():
    wanted = expected(status=414, absent=["date", "x-trans-id", "x-openstack-request-id"])
    assert compare(wanted, Answer(status=414)) == []


def test_json_is_compared_parsed_and_its_length_may_differ():
    wanted = expected(
        status=200,
        headers={"Content-Type": "application/json; charset=utf-8", "Content-Length": "40"},
        body='[{"name": "o", "last_modified": "<isodate>", "bytes": 1}]',
    )
    head = [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", "9")]
    right = b'[{"bytes":1,"last_modified":"2026-11-21T05:19:26.000000","name":"o"}]'
    assert compare(wanted, answer(headers=head, body=right)) == []
    assert compare(wanted, answer(headers=head, body=right.replace(b":1,", b":2,"))) == [
        "body[0].bytes: expected 1, got 2"
    ]
    assert compare(wanted, answer(headers=head, body=b"[]"))
    assert compare(wanted, answer(headers=head, body=b"{"))


def test_xml_is_compared_parsed():
    text = '<?xml version="1.0" encoding="UTF-8"?>\n<c name="c"><o><hash>1</hash><m><isodate></m></o></c>'
    wanted = expected(status=200, headers={"Content-Type": "application/xml", "Content-Length": "9"}, body=text)
    head = [("Content-Type", "application/xml"), ("Content-Length", "70")]
    right = b"<c name='c'>\n<o><hash>1</hash><m>2026-11-21T05:19:26.000000</m></o></c>"
    assert compare(wanted, answer(headers=head, body=right)) == []
    assert compare(wanted, answer(headers=head, body=right.replace(b"<hash>1", b"<hash>2")))


def test_a_text_that_was_not_kept_must_still_be_there():
    wanted = expected(status=404, headers={"Content-Length": "<length>"}, body={"dropped": True})
    assert compare(wanted, answer(status=404, headers=[("Content-Length", "3")], body=b"No!")) == []
    assert compare(wanted, answer(status=404, headers=[("Content-Length", "0")]))


SHA256 = hashlib.sha256(b"abab").hexdigest()


@pytest.mark.parametrize(
    "body", [{"repeat": "ab", "count": 2}, {"base64": "YWJhYg=="}, "abab", {"sha256": SHA256, "length": 4}]
)
def test_bodies_in_every_notation(body):
    assert compare(expected(status=200, body=body), answer(body=b"abab")) == []
    assert compare(expected(status=200, body=body), answer(body=b"abaX"))
