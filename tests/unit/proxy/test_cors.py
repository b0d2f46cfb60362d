"""proxy/cors.py: feature A2.8."""

import pytest

from objstore.http.request import Request
from objstore.proxy.cors import ClusterRules, Rules
from tests.support.pipeline import make_environ

METHODS = "GET, PUT, OPTIONS"
PAGE = "http://page.example"


def rules(origins="", cluster=(), strict=True, exposed="", max_age="", cluster_exposed=()):
    meta = {
        "access-control-allow-origin": origins,
        "access-control-expose-headers": exposed,
        "access-control-max-age": max_age,
    }
    return Rules.of(ClusterRules(tuple(cluster), cluster_exposed, strict), meta)


def preflight(found, origin=PAGE, method="PUT", wanted=None):
    headers = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": wanted}
    environ = make_environ("OPTIONS", headers={name: value for name, value in headers.items() if value is not None})
    return found.preflight(Request(environ), METHODS)


@pytest.mark.parametrize(
    ("origins", "cluster", "shown"),
    [
        (PAGE, (), PAGE),
        (f"http://x {PAGE}", (), PAGE),
        ("*", (), "*"),
        (f"{PAGE} *", (), "*"),
        ("", (PAGE,), PAGE),
        ("", ("*",), "*"),
        ("http://x", (), None),
        ("", (), None),
        ("http://page", (), None),
        (PAGE.upper(), (), None),
    ],
)
def test_which_origins_may(origins, cluster, shown):
    response = preflight(rules(origins, cluster))
    assert response.status == (401 if shown is None else 200)
    assert response.headers.get("access-control-allow-origin") == shown
    assert response.headers["allow"] == METHODS


def test_the_answer_to_a_preflight():
    response = preflight(rules(PAGE, max_age="60"), wanted="X-Auth-Token, x-two")
    assert response.headers == {
        "allow": METHODS,
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": METHODS,
        "access-control-max-age": "60",
        "access-control-allow-headers": "X-Auth-Token, x-two",
        "vary": "Origin, Access-Control-Request-Headers",
    }
    assert "vary" not in preflight(rules("*")).headers


@pytest.mark.parametrize(
    ("origin", "method", "status"),
    [
        (None, "PUT", 200),
        (PAGE, None, 401),
        (PAGE, "DELETE", 401),
        (PAGE, "put", 401),
        (PAGE, "OPTIONS", 200),
    ],
)
def test_what_is_a_preflight(origin, method, status):
    response = preflight(rules(PAGE), origin, method)
    assert response.status == status
    if origin is None or status == 401:
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("max_age", ["", "x", "-1", "9" * 20, "1\r\nx: y"])
def test_a_max_age_that_is_none_is_left_out(max_age):
    assert "access-control-max-age" not in preflight(rules(PAGE, max_age=max_age)).headers


@pytest.mark.parametrize("wanted", ["x\r\ny: z", "a b", "é", ",,", '"'])
def test_cve_2020_10753_nothing_but_names_comes_back(wanted):
    assert "access-control-allow-headers" not in preflight(rules(PAGE), wanted=wanted).headers


def test_what_a_script_may_read():
    headers = {"X-Object-Meta-Color": "red", "etag": "x", "vary": "Accept"}
    rules(PAGE, exposed="x-mine, X-Other", cluster_exposed=("x-all",)).decorate(PAGE, headers)
    assert headers["access-control-allow-origin"] == PAGE and headers["vary"] == "Accept, Origin"
    assert headers["access-control-expose-headers"] == (
        "cache-control, content-language, content-type, expires, last-modified, pragma, etag, x-timestamp, x-trans-id, "
        "x-openstack-request-id, x-object-meta-color, x-all, x-mine, x-other"
    )
    assert "access-control-allow-credentials" not in headers


def test_strict_says_nothing_to_other_origins():
    headers = {}
    rules("http://x").decorate(PAGE, headers)
    assert headers == {}
    rules("http://x", strict=False).decorate(PAGE, headers)
    assert headers["access-control-allow-origin"] == "*" and "vary" not in headers
