"""middleware/tempurl.py: features A5.1 and A5.2."""

import hmac

import pytest

from objstore.core.info import AccountInfo, ContainerInfo
from objstore.http import environ as keys
from objstore.http.environ import INFO
from objstore.http.request import Request
from objstore.http.response import Response
from objstore.http.subrequest import child_environ
from objstore.middleware.tempurl import Tempurl, TempurlSettings
from objstore.middleware.tempurl_link import parse_expiry
from tests.support.infos import FixedInfos
from tests.support.pipeline import RecordingApp, send

NOW = 1_800_000_000
EXPIRES = NOW + 1000
PATH = "/v1/a/c/o"


def settings(**pairs):
    found, problems = TempurlSettings.from_pairs(pairs)
    assert not problems
    return found


def sign(method="GET", path=PATH, key="key", expires=EXPIRES, algorithm="sha256", before=""):
    message = f"{before}{method}\n{expires}\n{path}"
    return hmac.digest(key.encode(), message.encode("latin-1"), algorithm).hex()


@pytest.fixture
def infos():
    return FixedInfos(
        {"a": AccountInfo(204, meta={"temp-url-key": "key", "temp-url-key-2": "key2"}), "b": AccountInfo(204)},
        {
            ("a", "c"): ContainerInfo(204, meta={"temp-url-key": "ckey"}),
            ("b", "c"): ContainerInfo(204, meta={"temp-url-key": "ckey"}),
        },
    )


@pytest.fixture
def go(infos):
    inner = RecordingApp()

    def go(method="GET", path=PATH, query="", signature=None, conf=None, **options):
        signature = sign(method, path) if signature is None else signature
        if query is not None:
            query = f"temp_url_sig={signature}&temp_url_expires={EXPIRES}" + query
        app = Tempurl(inner, settings(**(conf or {})), now=lambda: NOW)
        return send(app, method, path, query=query or "", **{INFO: infos}, **options)

    go.inner = inner
    return go


def let_in(reply):
    return reply.status == 200 and reply.environ.get(keys.AUTHORIZE_OVERRIDE) is True


def refused(reply):
    return reply.status == 401 and reply.headers["www-authenticate"] == 'Swift realm="unknown"'


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_a_link_does_what_it_was_signed_for(go, method):
    assert let_in(go(method))


@pytest.mark.parametrize("signed", ["GET", "HEAD", "PUT", "POST"])
def test_head_goes_with_other_methods(go, signed):
    assert let_in(go("HEAD", signature=sign(signed)))


@pytest.mark.parametrize(
    ("method", "signed"), [("GET", "PUT"), ("PUT", "GET"), ("DELETE", "PUT"), ("HEAD", "DELETE"), ("POST", "PUT")]
)
def test_another_method_is_refused(go, method, signed):
    assert refused(go(method, signature=sign(signed)))
    assert not go.inner.seen


@pytest.mark.parametrize("key", ["key", "key2", "ckey"])
def test_keys_of_the_account_and_of_the_container_count(go, key):
    assert let_in(go(signature=sign(key=key)))


def test_a_key_of_another_container_does_not_count(go):
    assert refused(go(path="/v1/a/d/o", signature=sign(path="/v1/a/d/o", key="ckey")))


@pytest.mark.parametrize("path", ["/v1/a", "/v1/a/c", "/v2/a/c/o", "/info", "/v1/a/c//"])
def test_links_are_for_objects(go, path):
    assert refused(go(path=path)) == (path != "/v1/a/c//")


def test_the_path_is_signed_decoded(go):
    path = "/v1/a/c/ \xc3\xa9 100%"
    assert let_in(go(path=path, signature=sign(path=path)))


@pytest.mark.parametrize(
    ("text", "works"),
    [
        (str(EXPIRES), True),
        ("2027-01-15T08:16:40Z", True),
        ("2027-01-15T08:16:40", True),
        ("2027-01-15", False),
        (str(NOW - 1), False),
        ("0", False),
        ("-1", False),
        ("", False),
        ("tomorrow", False),
        ("9" * 400, False),
        ("\xb2", False),
    ],
)
def test_expiry_is_a_number_or_a_date(go, text, works):
    expires = EXPIRES if works else text
    query = f"temp_url_sig={sign(expires=expires)}&temp_url_expires={text}"
    reply = _with_query(go, query)
    assert let_in(reply) if works else refused(reply)


def _with_query(go, query):
    app = Tempurl(go.inner, settings(), now=lambda: NOW)
    infos = FixedInfos({"a": AccountInfo(204, meta={"temp-url-key": "key"})})
    return send(app, "GET", PATH, query=query, **{INFO: infos})


def test_dates_are_utc():
    assert parse_expiry("2027-01-15T08:16:40Z") == EXPIRES


@pytest.mark.parametrize("query", [f"temp_url_sig={sign()}", f"temp_url_expires={EXPIRES}"])
def test_half_a_link_is_refused(go, query):
    assert refused(_with_query(go, query))


def test_without_a_link_nothing_is_asked(infos):
    inner = RecordingApp()
    reply = send(Tempurl(inner, settings()), "GET", PATH, query="temp_url_prefix=x", **{INFO: infos})
    assert reply.status == 200 and not infos.asked and keys.AUTHORIZE_OVERRIDE not in reply.environ


def test_sha1_only_where_it_is_allowed(go):
    signature = sign(algorithm="sha1")
    assert let_in(go(signature=signature))
    assert refused(go(signature=signature, conf={"allowed_digests": "sha256 sha512"}))
    assert let_in(go(signature=sign(algorithm="sha512")))


def test_a_method_that_is_not_configured(go):
    assert refused(go("DELETE", conf={"methods": "GET HEAD"}))


@pytest.mark.parametrize(
    ("prefix", "path", "works"),
    [
        ("pre/", "/v1/a/c/pre/one", True),
        ("pre/", "/v1/a/c/pre/", True),
        ("", "/v1/a/c/anything", True),
        ("pre/", "/v1/a/c/other", False),
        ("pre/", "/v1/a/d/pre/one", False),
        ("pre/", "/v1/a/c", False),
    ],
)
def test_a_link_to_a_prefix(go, prefix, path, works):
    signature = sign(path=f"prefix:/v1/a/c/{prefix}")
    reply = go(path=path, signature=signature, query=f"&temp_url_prefix={prefix}")
    assert let_in(reply) if works else refused(reply)


@pytest.mark.parametrize(
    ("range_", "address", "works"),
    [
        ("10.0.0.0/8", "10.9.8.7", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("::1/128", "::1", True),
        ("10.0.0.0/8", "::ffff:10.1.1.1", True),
        ("10.0.0.0/8", "", False),
        ("10.0.0.1/8", "10.0.0.1", False),
        ("x", "10.0.0.1", False),
    ],
)
def test_a_link_for_some_addresses(go, range_, address, works):
    signature = sign(before=f"ip={range_}\n")
    reply = go(signature=signature, query=f"&temp_url_ip_range={range_}", **{"REMOTE_ADDR": address})
    assert let_in(reply) if works else refused(reply)


def test_an_address_range_that_was_not_signed_is_refused(go):
    assert refused(go(query="&temp_url_ip_range=127.0.0.0/8"))


@pytest.mark.parametrize("header", ["X-Object-Manifest", "X-Symlink-Target", "X-Copy-From"])
def test_cve_2015_5223_a_link_stores_nothing_that_reads_for_others(go, header):
    reply = go("PUT", headers={header: "a/b"})
    assert reply.status == 400 and header in reply.body.decode() and not go.inner.seen


def test_a_link_stores_no_manifest(go):
    assert go("PUT", query="&multipart-manifest=put").status == 400


@pytest.mark.parametrize(
    ("key", "path", "allowed"),
    [
        ("key", "/v1/a/c/x", True),
        ("key", "/v1/a/d/x", True),
        ("key", "/v1/b/c/x", False),
        ("ckey", "/v1/a/c/x", True),
        ("ckey", "/v1/a/d/x", False),
        ("ckey", "/v1/b/c/x", False),
        ("ckey", "/v1/a", False),
    ],
)
def test_what_filters_ask_for_a_link_stays_in_its_scope(go, key, path, allowed):
    reply = go(signature=sign(key=key))
    child = child_environ(reply.environ, "GET", path, source="T")
    assert keys.AUTHORIZE_OVERRIDE not in child
    assert (child[keys.AUTHORIZE](Request(child)) is None) == allowed


def test_headers_are_filtered_both_ways(go):
    stored = {"X-Object-Meta-Secret": "1", "X-Object-Meta-Public-Name": "2", "Etag": "e"}
    go.inner.answer = Response(200, stored, b"")
    reply = go(headers={"X-Timestamp": "1", "X-Object-Meta-Mine": "2"})
    assert "HTTP_X_TIMESTAMP" not in reply.environ and "HTTP_X_OBJECT_META_MINE" in reply.environ
    assert "x-object-meta-secret" not in reply.headers and reply.headers["x-object-meta-public-name"] == "2"


@pytest.mark.parametrize(
    ("query", "stored", "expected"),
    [
        ("", None, "attachment; filename=\"o\"; filename*=UTF-8''o"),
        ("", "inline; x", "inline; x"),
        ("&filename=a%20b", None, "attachment; filename=\"a b\"; filename*=UTF-8''a%20b"),
        ("&filename=%22%0d%0ax", "inline", "attachment; filename=\"%22%0D%0Ax\"; filename*=UTF-8''%22%0D%0Ax"),
        ("&inline", None, "inline"),
        ("&inline&filename=b", None, "inline; filename=\"b\"; filename*=UTF-8''b"),
    ],
)
def test_how_a_browser_saves_it(go, query, stored, expected):
    go.inner.answer = Response(200, {"content-disposition": stored} if stored else {}, b"")
    reply = go(query=query)
    assert reply.headers["content-disposition"] == expected
    assert reply.headers["expires"] == "Fri, 15 Jan 2027 08:16:40 GMT"


def test_a_failed_read_is_no_download(go):
    go.inner.answer = Response(404, {}, b"")
    assert "content-disposition" not in go().headers


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("methods", "GET PATCH"),
        ("methods", ""),
        ("allowed_digests", "md5"),
        ("outgoing_remove_headers", "x y:z"),
    ],
)
def test_wrong_settings_are_told(key, value):
    assert [problem.key for problem in TempurlSettings.from_pairs({key: value})[1]] == [key]


def test_a_link_to_all_of_a_container_shows_no_listing_but_to_filters(go):
    signature = sign(path="prefix:/v1/a/c/")
    reply = go(path="/v1/a/c", signature=signature, query="&temp_url_prefix=")
    assert keys.AUTHORIZE_OVERRIDE not in reply.environ and reply.environ[keys.TEMP_URL_PREFIX] == ""
    assert reply.environ[keys.AUTHORIZE](Request(reply.environ)).status == 401
    child = child_environ(reply.environ, "GET", "/v1/a/c", source="SW")
    assert child[keys.AUTHORIZE](Request(child)) is None


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_link_to_all_of_a_container_changes_no_container(go, method):
    signature = sign(method, "prefix:/v1/a/c/")
    assert refused(go(method, "/v1/a/c", signature=signature, query="&temp_url_prefix="))


def test_a_link_shows_an_object_and_not_its_manifest(go):
    reply = go(query="&multipart-manifest=get&x=1")
    assert "multipart-manifest" not in reply.environ["QUERY_STRING"] and "&x=1" in reply.environ["QUERY_STRING"]
