"""core/accept.py: RFC 9110 section 12.5.1, and what a reference system answered (acct-accept-*, list-accept-*)."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.accept import best_match
from objstore.core.errors import BadRequest

CHOICES = ("text/plain", "application/json", "application/xml", "text/xml")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "text/plain"),
        (" , ", "text/plain"),
        ("*/*", "text/plain"),
        ("*", "text/plain"),
        ("text/*", "text/plain"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        ("APPLICATION/Json", "application/json"),
        ("text/xml", "text/xml"),
        ("application/pdf", None),
        ("text/html", None),
        ("image/png", None),
        ("application/json;q=0.1, text/xml;q=0.9", "text/xml"),
        ("text/plain, application/json;q=0.5", "text/plain"),
        ("application/json, text/plain", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ('application/json;a="x,y;q=0", text/xml;q=0.5', "application/json"),
        ('application/json;a="x\\",y"', "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/xml"),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "text/plain"),
        ("*/*, text/plain;q=0", "application/json"),
        ("text/plain;q=0", None),
    ],
)
def test_best_match(accept, chosen):
    assert best_match(accept, CHOICES) == chosen


@pytest.mark.parametrize(
    "accept", ["garbage", "a/b/c", "/", "text/", "*/json", "a b/c", "text/plain;q=x", "text/plain;q=2", "text/plain;q="]
)
def test_a_broken_header_is_a_bad_request(accept):
    with pytest.raises(BadRequest):
        best_match(accept, CHOICES)


@given(st.text(alphabet='abAZ/*;=q.,"\\ 019\t', max_size=200))
def test_any_text_is_answered_or_refused(accept):
    try:
        assert best_match(accept, CHOICES) in (*CHOICES, None)
    except BadRequest:
        pass


@pytest.mark.parametrize(
    "accept",
    ["a/" + "b;" * 4000, "," * 8000, '"' * 8000, "a/b;" + " " * 8000 + "x", "a/a;a=" + '\\"' * 4000, "*/*," * 2000],
    ids=lambda text: text[:4],
)
def test_cve_2026_71190_accept_header_redos(accept):
    started = time.process_time()
    try:
        best_match(accept, CHOICES)
    except BadRequest:
        pass
    assert time.process_time() - started < 1.0, "linear time is milliseconds here; exponential never ends"
