"""middleware/staticweb*.py: feature A5.4."""

import json

import pytest

from objstore.core.info import ContainerInfo
from objstore.http.environ import INFO, REMOTE_USER, SOURCE, TEMP_URL_PREFIX
from objstore.http.response import Response
from objstore.middleware.staticweb import Staticweb, StaticwebSettings
from objstore.middleware.staticweb_page import Directory, Web, human_size, render
from tests.support.infos import FixedInfos
from tests.support.pipeline import send

OBJECTS = {
    "index.html": b"home",
    "404error.html": b"lost",
    "401error.html": b"who",
    "about/index.html": b"about",
    "docs/a": b"a",
    "docs/b <&": b"b",
    "docs/sub/c": b"c",
    "mark": b"",
    "mark/x": b"x",
    "plain": b"plain",
}
TYPES = {"mark": "application/directory"}


class Site:
    """A container: objects, and listings with prefix, delimiter and limit."""

    def __init__(self, status=None):
        self.status = status or {}
        self.seen = []

    def __call__(self, environ, start_response):
        self.seen.append(environ)
        name = environ["PATH_INFO"].removeprefix("/v1/a/c").removeprefix("/")
        if name in self.status:
            return Response(self.status[name], {"www-authenticate": "x"}, b"no")(environ, start_response)
        if not name:
            return self._listing(environ)(environ, start_response)
        body = OBJECTS.get(name)
        if body is None:
            return Response(404, {}, b"gone")(environ, start_response)
        headers = {"content-type": TYPES.get(name, "text/html"), "content-length": str(len(body))}
        body = b"" if environ["REQUEST_METHOD"] == "HEAD" else body
        return Response(200, headers, body)(environ, start_response)

    def _listing(self, environ):
        query = dict(part.split("=", 1) for part in environ["QUERY_STRING"].replace("%2F", "/").split("&") if part)
        assert query.get("format") == "json" and query["delimiter"] == "/"
        rows, prefix = {}, query["prefix"]
        for name in sorted(OBJECTS):
            if name.startswith(prefix):
                head, slash, _ = name[len(prefix) :].partition("/")
                full = prefix + head + slash
                rows[full] = (
                    {"subdir": full}
                    if slash
                    else {
                        "name": full,
                        "bytes": len(OBJECTS[name]),
                        "last_modified": "2026-01-02T03:04:05.678900",
                    }
                )
        found = list(rows.values())[: int(query.get("limit", 10000))]
        return Response(200, {"content-type": "application/json"}, json.dumps(found).encode())


ALL = {"web-index": "index.html", "web-error": "error.html", "web-listings": "true"}


def visit(path, meta=None, method="GET", site=None, url_base="", **options):
    settings, problems = StaticwebSettings.from_pairs({"url_base": url_base})
    assert not problems
    infos = FixedInfos({}, {("a", "c"): ContainerInfo(204, meta=ALL if meta is None else meta)})
    return send(Staticweb(site or Site(), settings), method, path, **{INFO: infos}, **options)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/a/c/", b"home"),
        ("/v1/a/c/plain", b"plain"),
        ("/v1/a/c/about/", b"about"),
        ("/v1/a/c/index.html", b"home"),
    ],
)
def test_pages(path, body):
    reply = visit(path)
    assert reply.status == 200 and reply.body == body


@pytest.mark.parametrize("path", ["/v1/a/c", "/v1/a/c/about", "/v1/a/c/docs", "/v1/a/c/mark"])
def test_a_directory_without_a_slash_redirects_to_one_with(path):
    reply = visit(path, query="x=1")
    assert reply.status == 301 and reply.headers["location"] == f"http://127.0.0.1:8080{path}/"


def test_a_signed_link_stays_signed_when_it_is_redirected():
    raw = "/v1/a/c/docs?temp_url_sig=s"
    reply = visit("/v1/a/c/docs", **{TEMP_URL_PREFIX: "docs/", "objstore.raw_target": raw})
    assert reply.headers["location"] == "http://127.0.0.1:8080/v1/a/c/docs/?temp_url_sig=s"


@pytest.mark.parametrize(
    ("base", "location"),
    [
        ("https:", "https://127.0.0.1:8080/v1/a/c/"),
        ("https://web.example", "https://web.example/v1/a/c/"),
        ("http://x/", "http://x/v1/a/c/"),
    ],
)
def test_redirects_lead_where_the_operator_says(base, location):
    assert visit("/v1/a/c", url_base=base).headers["location"] == location


@pytest.mark.parametrize("base", ["ftp://x", "example.com", "https://", "javascript:"])
def test_a_url_base_that_is_none(base):
    assert StaticwebSettings.from_pairs({"url_base": base})[1]


def test_a_listing_shows_files_and_directories():
    reply = visit("/v1/a/c/docs/")
    text = reply.body.decode()
    assert reply.status == 200 and reply.headers["content-type"] == "text/html; charset=UTF-8"
    assert '<a href="../">../</a>' in text and '<a href="./a">a</a>' in text and "1 bytes" in text
    assert '<a href="./b%20%3C%26">b &lt;&amp;</a>' in text and "2026-01-02 03:04:05" in text
    assert '<a href="./sub/">sub/</a>' in text and "Listing of /v1/a/c/docs/" in text


def test_without_listings_a_directory_is_missing():
    reply = visit("/v1/a/c/docs/", {"web-index": "index.html"})
    assert reply.status == 404 and b"Not Found" in reply.body


@pytest.mark.parametrize("path", ["/v1/a/c/nothing", "/v1/a/c/nothing/"])
def test_the_site_has_its_own_page_for_what_is_missing(path):
    reply = visit(path)
    assert reply.status == 404 and reply.body == b"lost" and reply.headers["content-type"] == "text/html"


def test_the_site_has_its_own_page_for_strangers():
    reply = visit("/v1/a/c/plain", site=Site({"plain": 401}))
    assert reply.status == 401 and reply.body == b"who" and reply.headers["www-authenticate"] == "x"
    assert visit("/v1/a/c/plain", site=Site({"plain": 401, "401error.html": 401})).body == b"no"


def test_other_failures_pass_as_they_are():
    assert visit("/v1/a/c/plain", site=Site({"plain": 503})).status == 503
    assert visit("/v1/a/c/docs/", site=Site({"": 503})).status == 503


def test_head_has_no_body():
    for path in ("/v1/a/c/docs/", "/v1/a/c/", "/v1/a/c/nothing"):
        reply = visit(path, method="HEAD")
        assert reply.body == b"" and int(reply.headers["content-length"]) > 0


def test_an_index_is_read_under_the_conditions_of_its_directory():
    site = Site()
    visit("/v1/a/c/", site=site, headers={"If-None-Match": "x", "Range": "bytes=0-1"})
    assert site.seen[0]["HTTP_IF_NONE_MATCH"] == "x" and site.seen[0]["HTTP_RANGE"] == "bytes=0-1"
    assert site.seen[0][SOURCE] == "SW"


@pytest.mark.parametrize(
    ("options", "is_site"),
    [
        ({REMOTE_USER: "u"}, False),
        ({REMOTE_USER: "u", "headers": {"X-Web-Mode": "true"}}, True),
        ({"method": "PUT"}, False),
        ({REMOTE_USER: "u", TEMP_URL_PREFIX: ""}, True),
        ({"meta": {}}, False),
        ({"meta": {"web-listings": "no"}}, False),
    ],
)
def test_who_sees_the_site(options, is_site):
    site = Site({"docs/": 299})
    reply = visit("/v1/a/c/docs/", site=site, **options)
    assert reply.status == 299 and len(site.seen) == 1
    site = Site()
    reply = visit("/v1/a/c", site=site, **options) if is_site else None
    assert reply is None or reply.status == 301


def test_the_links_of_a_signed_listing_are_signed():
    reply = visit("/v1/a/c/docs/", query="temp_url_sig=s%2B&temp_url_expires=1&x=1", **{TEMP_URL_PREFIX: "docs/"})
    text = reply.body.decode()
    assert '<a href="./a?temp_url_sig=s%2B&amp;temp_url_expires=1">' in text
    assert "../" not in text, "nothing above the prefix was signed"
    reply = visit("/v1/a/c/docs/sub/", query="temp_url_sig=s", **{TEMP_URL_PREFIX: "docs/"})
    assert '<a href="../?temp_url_sig=s">' in reply.body.decode()


def test_cve_2016_9579_nothing_of_a_listing_is_markup():
    web = Web(css='"><script>', label="<script>", has_listings=True)
    rows = [{"subdir": "p/<script>/"}, {"name": 'p/"onx=', "bytes": 1}, {"name": "p/javascript:alert(1)", "bytes": 1}]
    text = render(web, Directory("<script>", "p/", 'a="b'), rows)
    assert "<script>" not in text and '"onx' not in text and 'href="javascript' not in text
    assert 'href="./javascript%3Aalert%281%29?a=&quot;b"' in text


@pytest.mark.parametrize(
    ("css", "href"),
    [
        ("style.css", "../style.css"),
        ("/v1/a/d/style.css", "/v1/a/d/style.css"),
        ("http://x/s.css", "http://x/s.css"),
    ],
)
def test_style_sheets_are_found_from_every_directory(css, href):
    assert f'href="{href}"' in render(Web(css=css), Directory("t", "docs/"), [])


def test_a_full_page_has_a_next_one():
    assert 'href="?marker=a%2Fb&amp;q=1"' in render(Web(), Directory("t", "a/", "q=1", "a/b"), [])


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KB"), (1 << 62, "4.0 EB"), (1 << 72, "4096.0 EB")],
)
def test_sizes(size, text):
    assert human_size(size) == text
