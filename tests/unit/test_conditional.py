"""core/conditional.py: tables after vectors/http/conditionals.jsonl and RFC 9110, section 13."""

import pytest

from objstore.core.conditional import Conditions, Verdict, entity_tags, parse_http_date, range_applies

ETAG = "5d41402abc4b2a76b9719d911017c592"
MODIFIED = 1_700_000_000
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
PAST, FUTURE = "Mon, 01 Jan 1990 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
OK, SAME, NO = Verdict.PROCEED, Verdict.NOT_MODIFIED, Verdict.FAILED


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({"if-match": ETAG}, OK),
        ({"if-match": f'"{ETAG}"'}, OK),
        ({"if-match": "*"}, OK),
        ({"if-match": '"*"'}, OK),
        ({"if-match": f'"a", "{ETAG}"'}, OK),
        ({"if-match": '"a", "b"'}, NO),
        ({"if-match": ""}, NO),
        ({"if-match": f'W/"{ETAG}"'}, NO),
        ({"if-none-match": ETAG}, SAME),
        ({"if-none-match": "*"}, SAME),
        ({"if-none-match": f"a,{ETAG}"}, SAME),
        ({"if-none-match": f'W/"{ETAG}"'}, OK),
        ({"if-none-match": ""}, OK),
        ({"if-modified-since": FUTURE}, SAME),
        ({"if-modified-since": DATE}, SAME),
        ({"if-modified-since": PAST}, OK),
        ({"if-modified-since": "yesterday"}, OK),
        ({"if-modified-since": "1500000000"}, OK),
        ({"if-modified-since": "Monday, 01-Jan-90 00:00:00 GMT"}, OK),
        ({"if-modified-since": "Mon, 01 Jan 0000 00:00:00 GMT"}, OK),
        ({"if-unmodified-since": PAST}, NO),
        ({"if-unmodified-since": DATE}, OK),
        ({"if-unmodified-since": FUTURE}, OK),
        ({"if-unmodified-since": "tomorrow"}, OK),
        ({"if-match": ETAG, "if-unmodified-since": PAST}, NO),
        ({"if-match": "x", "if-unmodified-since": FUTURE}, NO),
        ({"if-match": ETAG, "if-none-match": ETAG}, SAME),
        ({"if-none-match": ETAG, "if-modified-since": PAST}, SAME),
    ],
)
def test_verdicts(headers, verdict):
    assert Conditions.of(headers.get).verdict(ETAG, MODIFIED) is verdict


def test_if_modified_since_is_ignored_beside_if_none_match():
    """Unlike the recorded quirk: RFC 9110, section 13.1.3."""
    assert Conditions.of({"if-none-match": "x", "if-modified-since": FUTURE}.get).verdict(ETAG, MODIFIED) is OK


def test_if_unmodified_since_comes_before_if_modified_since():
    """Unlike the recorded quirk: RFC 9110, section 13.2.2."""
    headers = {"if-modified-since": FUTURE, "if-unmodified-since": PAST}
    assert Conditions.of(headers.get).verdict(ETAG, MODIFIED) is NO


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [({"if-match": "*"}, NO), ({"if-none-match": "*"}, OK), ({"if-unmodified-since": PAST}, OK)],
)
def test_nothing_stored(headers, verdict):
    assert Conditions.of(headers.get).verdict(None, None) is verdict


def test_no_conditions_cost_nothing():
    assert Conditions.of({"range": "bytes=0-1"}.get) is None


@pytest.mark.parametrize(
    ("value", "applies"),
    [
        (None, True),
        (f'"{ETAG}"', True),
        (ETAG, True),
        ('"zzz"', False),
        (f'W/"{ETAG}"', False),
        (DATE, True),
        (PAST, False),
        (FUTURE, False),
    ],
)
def test_if_range(value, applies):
    assert range_applies(value, ETAG, MODIFIED) is applies


def test_tags_of_a_list():
    assert entity_tags('"a", b,,"c"') == ("a", "b", "c")
    assert entity_tags('W/"a"') == ('W/"a"',)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (DATE, MODIFIED),
        ("Tuesday, 14-Nov-23 22:13:20 GMT", MODIFIED),
        ("Tue Nov 14 22:13:20 2023", MODIFIED),
        ("", None),
        ("never", None),
        ("Tue, 99 Nov 99999999999 22:13:20 GMT", None),
    ],
)
def test_http_dates(text, seconds):
    assert parse_http_date(text) == seconds
