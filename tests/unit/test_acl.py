"""core/acl.py: what features A1.6 and A2.6 say, and what a reference system answered (acl-*, acct-acl-*)."""

import pytest

from objstore.core.acl import AccountAcl, clean, clean_account, parse, parse_account, referrer_allowed
from objstore.core.errors import BadRequest


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("", ""),
        (" , ,", ""),
        ("bob", "bob"),
        (" bob , sue:jane,, ", "bob,sue:jane"),
        (".r:*", ".r:*"),
        (".r: *", ".r:*"),
        (".ref:*,.referer:a.b,.referrer:c", ".r:*,.r:a.b,.r:c"),
        (".r:*.example.com", ".r:.example.com"),
        (".r:-*.example.com", ".r:-.example.com"),
        (".r:- .bad.com", ".r:-.bad.com"),
        (".r : *, .rlistings", ".r:*,.rlistings"),
        ("test2:*,*:user,*:*,*", "test2:*,*:user,*:*,*"),
        ("TEST2", "TEST2"),
    ],
)
def test_clean_read(given, stored):
    assert clean(given, for_writing=False) == stored
    assert clean(stored, for_writing=False) == stored


@pytest.mark.parametrize(
    "text", [".r:", ".r:-", ".r:*.", ".r: ", ".x:y", ".rlistings:x", ".r:-*.", ".r:**", ".r:-**", ".r:*-x"]
)
def test_bad_syntax_is_refused(text):
    with pytest.raises(BadRequest):
        clean(text, for_writing=False)


def test_referrers_may_not_write():
    with pytest.raises(BadRequest):
        clean("bob,.r:*", for_writing=True)
    assert clean("bob, sue:jane", for_writing=True) == "bob,sue:jane"


def test_parse_splits_referrers_from_groups():
    acl = parse(".r:*,bob,.r:-.bad.com,.rlistings,a:b")
    assert acl.referrers == ("*", "-.bad.com") and acl.groups == {"bob", ".rlistings", "a:b"} and acl.allows_listing
    assert parse(None) == parse("") and not parse("").admits_referrer("http://a/")


@pytest.mark.parametrize(
    ("referrer", "rules", "allowed"),
    [
        ("http://www.example.com/x", ["www.example.com"], True),
        ("http://example.com", ["www.example.com"], False),
        ("https://www.example.com:8080/", ["www.example.com"], True),
        ("http://sub.www.example.com", ["www.example.com"], False),
        ("junk", ["www.example.com"], False),
        ("", ["www.example.com"], False),
        (None, ["*"], True),
        ("http://www.example.com/", [".example.com"], True),
        ("http://example.com/", [".example.com"], False),
        ("http://notexample.com/", [".example.com"], False),
        ("http://x.bad.com/", ["*", "-.bad.com"], False),
        ("http://good.com/", ["*", "-.bad.com"], True),
        ("http://bad.com/", ["*", "-.bad.com"], True),
        ("http://x.bad.com/", ["-.bad.com", "*"], True),
        ("http://[::1", ["*.x"], False),
        ("http://user:pw@www.example.com/", ["www.example.com"], True),
        ("http://a/", [], False),
    ],
)
def test_referrers(referrer, rules, allowed):
    assert referrer_allowed(referrer, rules) is allowed


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ('{"read-only":["test2:tester2"]}', '{"read-only":["test2:tester2"]}'),
        ('{"read-only": ["b"], "admin": ["a"]}', '{"admin":["a"],"read-only":["b"]}'),
        ('{"admin":[],"read-write":["w"]}', '{"read-write":["w"]}'),
        ("{}", ""),
        ("", ""),
        ('{"admin":["\u2603"]}', '{"admin":["\\u2603"]}'),
    ],
)
def test_clean_account(given, stored):
    assert clean_account(given) == stored


@pytest.mark.parametrize(
    "text",
    [
        "junk",
        "[]",
        '{"bogus":[]}',
        '{"admin":"x"}',
        '{"admin":[1]}',
        '"str"',
        "1",
        "null",
        "[" * 3000,
        '{"admin":null}',
    ],
    ids=lambda text: text[:12],
)
def test_bad_account_acls_are_refused(text):
    with pytest.raises(BadRequest):
        clean_account(text)
    assert parse_account(text) == AccountAcl()


def test_parse_account():
    acl = parse_account('{"admin":["a"],"read-write":["b","c"]}')
    assert acl == AccountAcl(frozenset("a"), frozenset("bc"), frozenset())
