"""peers/batched: what BATCH asks and answers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.errors import BadRequest
from objstore.core.names import quoted
from objstore.peers.batched import (
    METHODS,
    QUESTION_BYTES,
    REQUESTS_AT_MOST,
    Answered,
    Item,
    answer,
    parse_answer,
    parse_question,
    question,
)

ROW = ["HEAD", "/sdb1/5/a/c/o", {"x-timestamp": "1"}]


@given(
    st.lists(
        st.builds(
            Item,
            st.sampled_from(METHODS),
            st.text(st.characters(codec="utf-8"), min_size=1).map(lambda name: quoted(f"/sdb1/5/a/c/{name}")),
            st.dictionaries(
                st.from_regex(r"[a-z][a-z0-9-]*", fullmatch=True),
                st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")),
            ),
        ),
        min_size=1,
        max_size=REQUESTS_AT_MOST,
    )
)
def test_a_question_is_read_as_it_was_asked(items):
    assert parse_question(question(items)) == items


def test_the_longest_names_fit():
    path = "/" + "d" * 255 + "/1234567890" + "".join("/" + "%FF" * length for length in (256, 256, 1024))
    headers = dict.fromkeys(("x-timestamp", "x-if-delete-at", "x-backend-clean-expiring-object-queue"), "1" * 40)
    assert len(question([Item("DELETE", path, headers)] * REQUESTS_AT_MOST)) < QUESTION_BYTES


@pytest.mark.parametrize(
    "rows",
    [
        [],
        {},
        3,
        [3],
        ["abc"],
        [ROW[:2]],
        [[*ROW, 1]],
        [["PUT", *ROW[1:]]],
        [["BATCH", *ROW[1:]]],
        [["head", *ROW[1:]]],
        [[None, *ROW[1:]]],
        [["HEAD", "sdb1/5/a/c/o", {}]],
        [["HEAD", "/sdb1/5/a/c/o o", {}]],
        [["HEAD", "/sdb1/5/a/c/\u00e9", {}]],
        [["HEAD", "/sdb1/5/a/c/o\r\nx: y", {}]],
        [["HEAD", 7, {}]],
        [["HEAD", ROW[1], []]],
        [["HEAD", ROW[1], {"x-a": 7}]],
        [["HEAD", ROW[1], {"X-A": "y"}]],
        [["HEAD", ROW[1], {"": "y"}]],
        [["HEAD", ROW[1], {"x a": "y"}]],
        [["HEAD", ROW[1], {"x-trans-id": "a\r\nx-b: c"}]],
        [["HEAD", ROW[1], {"x-a": "\u2603"}]],
        [ROW] * (REQUESTS_AT_MOST + 1),
    ],
)
def test_what_is_no_question_is_refused(rows):
    with pytest.raises(BadRequest):
        parse_question(json.dumps(rows).encode())


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, question([Item(*ROW)])[:-1]])
def test_what_is_no_json_is_refused(body):
    with pytest.raises(BadRequest):
        parse_question(body)


def test_an_answer_is_read_as_it_was_given():
    answers = [Answered(200, {"x-object-meta-a": "\xc3\xa9"}), Answered(404, {})]
    assert parse_answer(answer(answers), 2) == answers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"7",
        b"[7]",
        b"[" * 100_000,
        b"[[200, {}]]",
        b"[[200, {}], [200, {}], [200, {}]]",
        b"[[200, {}], [99, {}]]",
        b"[[200, {}], [true, {}]]",
        b'[[200, {}], ["200", {}]]',
        b"[[200, {}], [200, []]]",
        b'[[200, {}], [200, {"x": 1}]]',
        b"[[200, {}], [200]]",
    ],
)
def test_what_is_no_answer_is_not_believed(body):
    with pytest.raises(ValueError):
        parse_answer(body, 2)
