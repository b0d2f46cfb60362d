"""Forms of listings: negotiation, limits, text and XML."""

import xml.etree.ElementTree as ElementTree

import pytest

from objstore.core.errors import BadRequest
from objstore.core.listing import (
    JSON,
    TEXT,
    TEXT_XML,
    XML,
    OverLimit,
    after_prefix,
    listing_type,
    page_limit,
    to_text,
    to_xml_account,
    to_xml_container,
)

OBJECT = {"bytes": 8, "hash": "ab", "name": "a", "content_type": "t/p", "last_modified": "2026-11-21T05:20:10.215530"}
CONTAINER = {"name": "c", "count": 1, "bytes": 2, "last_modified": "2026-11-21T05:20:10.215530", "storage_policy": "g"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("application/*", JSON),
        ("application/json; charset=utf-8", JSON),
        ("text/xml", TEXT_XML),
        ("application/xml", XML),
        ("image/png", None),
        ("text/html", None),
        ("text/plain, application/json;q=0.5", TEXT),
        ("application/json;q=0.1, text/xml;q=0.9", TEXT_XML),
        ("application/json, */*;q=0.1", JSON),
        ("application/json;q=0", None),
    ],
)
def test_accept_picks_the_form(accept, expected):
    assert listing_type(None, accept) == expected


def test_format_parameter_beats_accept():
    assert listing_type("xml", "application/json") == XML
    assert listing_type("junk", "application/json") == JSON


@pytest.mark.parametrize("accept", ["garbage", "a b/c", "text/plain;q=x", "/"])
def test_accept_that_is_none_is_refused(accept):
    with pytest.raises(BadRequest):
        listing_type(None, accept)


def test_subdir_of_an_account_has_its_name_once():
    assert b'<subdir name="a-" />' in to_xml_account("x", [{"subdir": "a-"}])


def test_cve_2026_71190_long_accept_is_cheap():
    assert listing_type(None, ",".join(["a/b;" + " " * 1000] * 5000)) is None


@pytest.mark.parametrize(
    ("text", "expected"), [(None, 10), ("", 10), ("3", 3), ("0", 0), ("10", 10), ("+2", 10), (" 2", 10), ("-1", 10)]
)
def test_limit_counts_only_when_decimal(text, expected):
    assert page_limit(text, 10) == expected


@pytest.mark.parametrize("text", ["11", "9" * 5000])
def test_limit_above_the_most_is_refused(text):
    with pytest.raises(OverLimit):
        page_limit(text, 10)


def test_text_has_a_line_for_each_item():
    assert to_text([OBJECT, {"subdir": "ü/"}]) == "a\nü/\n".encode()


def test_xml_of_a_container():
    assert to_xml_container("c", [OBJECT, {"subdir": 'a"/'}]).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<container name="c"><object><name>a</name><hash>ab</hash>'
        "<bytes>8</bytes><content_type>t/p</content_type><last_modified>2026-11-21T05:20:10.215530</last_modified>"
        "</object><subdir name='a\"/'><name>a\"/</name></subdir></container>"
    )


def test_xml_of_an_account():
    assert to_xml_account("A", [CONTAINER]).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<account name="A">\n<container><name>c</name><count>1</count>'
        "<bytes>2</bytes><last_modified>2026-11-21T05:20:10.215530</last_modified>"
        "<storage_policy>g</storage_policy></container>\n</account>"
    )


def test_xml_of_nothing():
    assert to_xml_container("c", []).endswith(b'\n<container name="c" />')
    assert to_xml_account("A", []).endswith(b'\n<account name="A">\n</account>')


@pytest.mark.parametrize("name", ['"><x/>', "a&b<c>\"d'e", "]]>", "tab\tline\nreturn\r", "\x00\x01\x0b", "\U0001f600"])
def test_cve_2013_2161_names_never_break_the_xml(name):
    for page in (to_xml_account(name, [{**CONTAINER, "name": name}]), to_xml_container(name, [{"subdir": name}])):
        root = ElementTree.fromstring(page)
        assert len(root) == 1 and len(root.findall(".//x")) == 0


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("a", "b"), ("a/", "a0"), ("a\U0010ffff", "b"), ("\U0010ffff", None), ("", None), ("\ud7ff", "\ue000")],
)
def test_after_prefix_is_the_next_text_beyond_a_prefix(prefix, expected):
    assert after_prefix(prefix) == expected
