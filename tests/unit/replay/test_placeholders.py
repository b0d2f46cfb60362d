"""Placeholders of recorded cases: what is expanded, what matches."""

import hashlib
import hmac

import pytest

from tests.replay.placeholders import UnknownPlaceholder, Values, matches, pattern, to_bytes


@pytest.fixture
def values():
    return Values(
        {"account": "AUTH_test", "account2": "AUTH_two", "host": "127.0.0.1:8080"},
        token=lambda user: f"AUTH_tk-{user}",
        fresh=lambda number: f"AUTH_fresh{number}",
        now=1_700_000_000,
    )


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("/v1/{account}/c", "/v1/AUTH_test/c"),
        ("{account2}", "AUTH_two"),
        ("http://{host}/", "http://127.0.0.1:8080/"),
        ("{token:tester3}", "AUTH_tk-tester3"),
        ("{now+1000} {now-1} {now}", "1700001000 1699999999 1700000000"),
        ("{repeat:n:4}", "nnnn"),
        ("{repeat:::2}", "::"),
        ("{fresh2}", "AUTH_fresh2"),
        ('{"admin": ["a"]} {} {nothing}', '{"admin": ["a"]} {} {nothing}'),
    ],
)
def test_expands(values, text, expanded):
    assert values.expand(text) == expanded


def test_a_raw_byte_stays_one_byte(values):
    assert to_bytes(values.expand("é{byte:ff}{byte:41}")) == b"\xc3\xa9\xffA"


def test_captured_values_and_signatures_are_known_once_set(values):
    values.captured["v"] = "12"
    values.sign("s", "sha256", "key", "GET\n/v1/{account}")
    digest = hmac.new(b"key", b"GET\n/v1/AUTH_test", hashlib.sha256).hexdigest()
    assert values.expand("{var:v} {hmac:s}") == f"12 {digest}"


def test_a_base64_signature_names_its_algorithm(values):
    values.sign("s", "sha256:base64", "k", "m")
    assert values.expand("{hmac:s}").startswith("sha256:")


def test_a_variable_that_was_not_captured_is_an_error(values):
    with pytest.raises(UnknownPlaceholder):
        values.expand("{var:missing}")


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        ("<date>", "Sat, 21 Nov 2026 05:19:26 GMT", True),
        ("<date>", "Sat, 21 Nov 2026 05:19:26", False),
        ("<timestamp>", "1795238365.67153", True),
        ("<timestamp>", "1795238365.6715", False),
        ("<isodate>", "2026-11-21T05:19:26.123456", True),
        ("<isodate>", "2026-11-21T05:19:26", False),
        ("<txid>-tag", "tx0123456789abcdef01234-0123456789-tag", True),
        ("AUTH_tk", "AUTH_tk", True),
        ("<token>", "AUTH_tk" + "0" * 32, True),
        ("<token>", "AUTH_zftkgAAAAABn-_=", True),
        ("<token>", "nonsense", False),
        ("a<hash>b", "a<hash>b", True),
        ("a.c", "abc", False),
    ],
)
def test_volatile_text_matches_its_shape(expected, got, same):
    assert matches(expected, got) is same


def test_every_boundary_of_a_text_is_the_same():
    text = pattern("--<boundary>\r\nx\r\n--<boundary>--")
    one, other = "a" * 64, "b" * 64
    assert text.fullmatch(f"--{one}\r\nx\r\n--{one}--")
    assert not text.fullmatch(f"--{one}\r\nx\r\n--{other}--")
