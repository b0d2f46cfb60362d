"""Sites and browsers: static web (A5.4) and CORS (A2.8)."""

import hmac
import time

import pytest

pytestmark = pytest.mark.cluster
PAGE = "http://page.example"


@pytest.fixture
def site(owner):
    name = owner.new_container(
        {
            "X-Container-Read": ".r:*,.rlistings",
            "X-Container-Meta-Web-Index": "index.html",
            "X-Container-Meta-Web-Listings": "true",
            "X-Container-Meta-Web-Error": "error.html",
        }
    )
    for path, body in {
        "index.html": b"home",
        "a/index.html": b"a",
        "b/one": b"1",
        "b/<two>": b"22",
        "404error.html": b"lost",
    }.items():
        owner.upload(name, path, body)
    yield name
    owner.tidy(name)


def visit(swift, site, *path, method="GET", **options):
    return swift.anonymous.request(method, site, *path, **options)


def test_pages_and_directories(swift, site):
    slashed = swift.owner.path(site) + "/"
    assert swift.anonymous.raw("GET", slashed).body == b"home"
    assert visit(swift, site, "a/").body == b"a" and visit(swift, site, "b/one").body == b"1"
    answer = visit(swift, site)
    assert answer.status == 301 and answer.headers["location"].endswith(slashed)
    assert visit(swift, site, "a").status == 301


def test_listings(swift, site):
    answer = visit(swift, site, "b/")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/html")
    assert 'href="./one"' in answer.text and 'href="./%3Ctwo%3E">&lt;two&gt;<' in answer.text
    assert visit(swift, site, "b/", method="HEAD").headers["content-length"] == answer.headers["content-length"]


def test_what_is_missing_has_the_sites_page(swift, site):
    answer = visit(swift, site, "nothing")
    assert answer.status == 404 and answer.body == b"lost"


def test_a_site_without_listings(swift, owner, site):
    owner.post(site, headers={"X-Remove-Container-Meta-Web-Listings": "x"})
    assert visit(swift, site, "b/").status == 404
    owner.post(site, headers={"X-Container-Meta-Web-Listings": "true", "X-Container-Read": ".r:*"})
    assert visit(swift, site, "b/").status == 401
    assert visit(swift, site, "b/one").status == 200


def test_with_a_token_it_is_a_container(owner, site):
    assert owner.get(site).text.splitlines() == ["404error.html", "a/index.html", "b/<two>", "b/one", "index.html"]
    assert owner.get(site, "b/").status == 404
    assert owner.get(site, "b/", headers={"X-Web-Mode": "true"}).status == 200


def test_a_signed_prefix_shows_its_listing(swift, owner, site):
    owner.post(site, headers={"X-Container-Read": "", "X-Container-Meta-Temp-URL-Key": "k"})
    expires = int(time.time()) + 60
    message = f"GET\n{expires}\nprefix:/v1/{owner.account}/{site}/b/"
    signature = hmac.digest(b"k", message.encode(), "sha256").hex()
    query = f"temp_url_sig={signature}&temp_url_expires={expires}&temp_url_prefix=b/"
    answer = visit(swift, site, "b/", query=query)
    assert answer.status == 200 and "temp_url_sig=" in answer.text and "../" not in answer.text
    assert visit(swift, site, "b/one", query=query).body == b"1"
    assert visit(swift, site, "a/", query=query).status == 401 and visit(swift, site, "b/").status == 401


# CORS


@pytest.fixture
def shared(owner):
    name = owner.new_container(
        {
            "X-Container-Meta-Access-Control-Allow-Origin": PAGE,
            "X-Container-Meta-Access-Control-Max-Age": "30",
            "X-Container-Meta-Access-Control-Expose-Headers": "x-mine",
            "X-Container-Read": ".r:*",
        }
    )
    owner.upload(name, "o", headers={"X-Object-Meta-Color": "red"})
    yield name
    owner.tidy(name)


def preflight(swift, *path, origin=PAGE, method="PUT", wanted=""):
    headers = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": wanted}
    return swift.anonymous.request("OPTIONS", *path, headers=headers)


def test_a_preflight(swift, shared):
    answer = preflight(swift, shared, "o", wanted="x-auth-token, x-object-meta-a")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "PUT" in answer.headers["access-control-allow-methods"] and answer.headers["access-control-max-age"] == "30"
    assert answer.headers["access-control-allow-headers"] == "x-auth-token, x-object-meta-a"


@pytest.mark.parametrize(
    ("origin", "method", "status"),
    [
        ("http://other", "PUT", 401),
        (PAGE, "BREW", 401),
        (PAGE, "COPY", 200),
        (PAGE, "DELETE", 200),
    ],
)
def test_which_preflights_pass(swift, shared, origin, method, status):
    assert preflight(swift, shared, "o", origin=origin, method=method).status == status


def test_an_account_has_no_rules(swift):
    assert preflight(swift).status == 401


def test_a_scripts_answer(swift, owner, shared):
    answer = swift.anonymous.get(shared, "o", headers={"Origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == PAGE and "origin" in answer.headers["vary"].lower()
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"etag", "x-trans-id", "x-object-meta-color", "x-mine"} <= set(exposed)
    other = swift.anonymous.get(shared, "o", headers={"Origin": "http://other"})
    assert other.status == 200 and "access-control-allow-origin" not in other.headers


def test_options_without_an_origin(swift, owner, shared):
    answer = swift.anonymous.request("OPTIONS", shared)
    assert answer.status == 200 and "GET" in answer.headers["allow"]
