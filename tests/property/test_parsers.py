"""Every parser that a client reaches: any input is understood or refused in the one way it says; nothing takes a second
of CPU, and memory does not grow by 50 MiB (issue 4, part 2).

Heads and framing: test_http. Archives, forms, links, lists of names: test_filters. Whole requests: test_object_filters,
and tests/functional/test_fuzz.py over the real thing.
"""

import json
import time
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objstore.core import accept, acl, conditional, listing, ranges
from objstore.core.errors import BadRequest
from objstore.core.limits import Limits
from objstore.core.names import client_path, quoted, text_of, wsgi_of
from objstore.core.quota import is_settable, limit_of
from objstore.core.row_etag import joined, split
from objstore.core.signatures import Signature
from objstore.core.sync_realms import Realms, SyncAuth
from objstore.middleware.slo import wanted
from objstore.middleware.slo.manifest import BrokenManifest, Manifest
from objstore.middleware.tempauth_tokens import TokenKeys
from objstore.proxy.expiry import delete_at
from tests.support import bounds

LINE = Limits().max_header_size
fuzz = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=70)


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    with bounds.memory():
        yield


wsgi_text = st.text([chr(c) for c in range(256)], max_size=80)


def header(*words):
    """Values of a header: words of its grammar in any order, anything at all, one thing repeated to the limit."""
    pieces = st.sampled_from([*words, ",", ";", "=", '"', " ", "\t", "-", "*", "/", ":", ".", "\\", "0", "a", "\xff"])
    mixed = st.lists(pieces | wsgi_text, max_size=30).map("".join)
    repeated = st.builds(
        lambda start, unit, end: (start + unit * (LINE // len(unit)) + end)[:LINE],
        mixed,
        st.lists(pieces, min_size=1, max_size=4).map("".join),
        mixed,
    )
    return mixed.map(lambda text: text[:LINE]) | repeated


@fuzz
@given(header("bytes=", "bytes", "0-1", "-5", "5-", "99999999999999999999"), st.integers(0, 1 << 40))
def test_ranges(text, length):
    with bounds.a_second():
        specs = ranges.parse(text)
        if specs is None:
            return
        spans = ranges.resolve(specs, length)
    if spans is not None:
        assert all(0 <= span.start < span.stop <= length for span in spans)
        made = ranges.multipart(spans, length, "a/b", "boundary")
        assert made is not None


@fuzz
@given(header("a/b", "text/*", "*/*", "application/json", "q=0.5", "q=", ";q=1", "charset=utf-8", '"a,b"'))
def test_accept(text):
    with bounds.a_second():
        try:
            found = accept.best_match(text, ("text/plain", "application/json", "text/xml"))
        except BadRequest:
            return
    assert found in (None, "text/plain", "application/json", "text/xml")


@fuzz
@given(header('"etag"', "W/", "*", "Thu, 01 Jan 1970 00:00:00 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "9999"))
def test_conditions(text):
    with bounds.a_second():
        found = conditional.Conditions.of(lambda _: text)
        assert found is not None
        found.verdict("etag", 5), found.verdict(None, None)
        conditional.range_applies(text, "etag", 5)


@fuzz
@given(header(".r:", ".ref", ".rlistings", "*", "-", ".example.com", "account:user", "*:*"), st.booleans())
def test_acls_of_containers(text, for_writing):
    with bounds.a_second():
        acl.parse(text)
        acl.referrer_allowed(text, [".example.com", "-bad", text])
        try:
            cleaned = acl.clean(text, for_writing=for_writing)
        except BadRequest:
            return
        assert acl.clean(cleaned, for_writing=for_writing) == cleaned
    if for_writing:
        assert not acl.parse(cleaned).referrers


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
broken_json = st.builds(
    lambda text, unit, count: text + unit * count,
    json_values.map(json.dumps),
    st.sampled_from(["[", "{", '{"a":', "[[", '"', "\\u", "1", "-", " ", ",", "[1,", "e9", "\x00"]),
    st.integers(0, 20_000),
)


@fuzz
@given(
    broken_json | st.dictionaries(st.sampled_from(["admin", "read-write", "read-only"]), json_values).map(json.dumps)
)
def test_acls_of_accounts(text):
    with bounds.a_second():
        acl.parse_account(text)
        try:
            cleaned = acl.clean_account(text)
        except BadRequest:
            return
        assert acl.clean_account(cleaned) == cleaned


manifests = st.lists(
    st.dictionaries(
        st.sampled_from(["path", "etag", "size_bytes", "range", "data", "more"]),
        json_values | st.sampled_from(["/c/o", "YQ==", "0-1", "-5", 5]),
        max_size=5,
    )
    | json_values,
    max_size=20,
).map(json.dumps)


@fuzz
@given(manifests | broken_json | st.binary(max_size=200))
def test_manifests_of_clients(body):
    data = body if isinstance(body, bytes) else body.encode()
    with bounds.a_second():
        try:
            found = wanted.parse(data, "/c/own", 1000)
        except (wanted.NotAManifest, wanted.TooManySegments, wanted.BadEntries):
            return
    assert found and any(segment.data is None for segment in found)


@fuzz
@given(manifests | broken_json | st.binary(max_size=200))
def test_manifests_that_are_stored(body):
    with bounds.a_second():
        try:
            Manifest.load(body if isinstance(body, bytes) else body.encode())
        except BrokenManifest:
            return


@pytest.mark.parametrize("unit", [b"[", b'{"a":', b"[[", b'[{"path":', b'"', b"\\", b"[1,", b"1", b"-", b" ", b"\x00"])
def test_a_manifest_of_eight_mebibytes_is_judged_within_a_second(unit):
    """The largest body there is (formats, max_manifest_size)."""
    with bounds.a_second(), pytest.raises((wanted.NotAManifest, wanted.BadEntries)):
        wanted.parse(unit * ((8 << 20) // len(unit)), "/c/own", 1000)


@fuzz
@given(header("realm", "nonce", "0123abcd"))
def test_what_other_clusters_say_they_signed(text):
    with bounds.a_second():
        SyncAuth.parse(text)


@fuzz
@given(header("//", "http://", "realm", "cluster", "[::1]", "@", "?", "#", "%00"))
def test_where_containers_are_sent(text):
    with bounds.a_second():
        try:
            assert Realms().address(text, ["127.0.0.1"]) in ("", text.strip())
        except BadRequest:
            return


@fuzz
@given(header("AUTH_tk", "gAAAAA", "fernet", "="))
def test_tokens(text):
    with bounds.a_second():
        assert TokenKeys([b"k" * 32], 60).read(text, time.time()) is None


@fuzz
@given(st.data())
def test_tokens_that_are_changed(data):
    keys = TokenKeys([b"k" * 32], 60)
    token, _ = keys.issue("a,b," + "c" * data.draw(st.integers(0, 200)), "x", 1_000_000.0)
    position = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=255))
    changed = token[:position] + other + token[position + 1 :]
    with bounds.a_second():
        found = keys.read(changed, 1_000_000.0)
    # Base64 has spare bits at its end: another character may mean the same bytes.
    assert found is None or found == keys.read(token, 1_000_000.0)


@fuzz
@given(header("sha256:", "sha512:", "0123456789abcdef"))
def test_signatures(text):
    with bounds.a_second():
        found = Signature.parse(text)
        assert found is None or not found.is_of([b"m"], [b"k"])


@fuzz
@given(wsgi_text.map(lambda text: f"/v1/{text}"))
def test_paths(path):
    with bounds.a_second():
        try:
            found = client_path(path)
        except BadRequest:
            return
    if found is not None and found.obj is not None:
        assert wsgi_of(f"/{found.version}/{found.account}/{found.container}/{found.obj}") == path
        assert text_of(wsgi_of(found.obj)) == found.obj and quoted(found.obj).isascii()


@fuzz
@given(header("etag", "; ", "swift_bytes=", "slo_etag=x", "symlink_target=a"))
def test_etags_of_rows(text):
    with bounds.a_second():
        etag, parameters = split(text)
        assert split(joined(etag, parameters)) == (etag, parameters)


@fuzz
@given(header("1", "-1", "1.5", "1e5", "\u0663", "99999999999999999999"))
def test_numbers_that_clients_set(text):
    with bounds.a_second():
        if is_settable(text):
            limit = limit_of({"quota-bytes": text}, "quota-bytes")
            assert limit is None or limit >= 0
        for after, at in ((text, None), (None, text), (text, text)):
            try:
                moment = delete_at(at, after, 1_800_000_000)
            except BadRequest:
                continue
            assert moment is None or 1_800_000_000 <= moment <= 9_999_999_999
        listing.listing_type(text, None)


names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=40)


@fuzz
@given(names, st.lists(st.tuples(names, st.booleans()), max_size=5))
def test_listings_of_any_names_are_xml(container, rows):
    """CVE-2013-2161."""
    fields = {"hash": "h", "bytes": 1, "content_type": "a/b", "last_modified": "x"}
    items = [{"subdir": name} if is_subdir else {"name": name, **fields} for name, is_subdir in rows]
    with bounds.a_second():
        tree = ElementTree.fromstring(listing.to_xml_container(container, items))
    assert tree.get("name") == container
    assert [item.get("name") if item.tag == "subdir" else item.findtext("name") or "" for item in tree] == [
        name for name, _ in rows
    ]
