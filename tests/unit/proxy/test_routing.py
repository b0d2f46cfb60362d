import pytest

from objstore.core.limits import Limits
from objstore.proxy.routing import Refusal, route
from tests.support.pipeline import make_environ


def routed(path, **extra):
    return route(make_environ("GET", path, **extra), Limits())


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("//", 404),
        ("/v1//c", 404),
        ("/v1", 412),
        ("/v1/", 412),
        ("/favicon.ico", 412),
        ("/info/", 412),
        ("/info/x", 400),
        ("/v3/x", 400),
        ("/recon/version", 400),
        ("/v1/a/\xff", 412),
        ("/v1/a/\0c", 412),
        ("/v1/a/c/o\0o", 412),
        ("/v1/" + "a" * 257, 400),
    ],
)
def test_paths_that_lead_nowhere(path, status):
    found = routed(path)
    assert isinstance(found, Refusal)
    assert found.response.status == status


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/v1/a", ("a", None, None)),
        ("/v1.0/a/c/", ("a", "c", None)),
        ("/v1/a/c//o/", ("a", "c", "/o/")),
        ("/v1/a/\xe2\x98\x83", ("a", "\u2603", None)),
    ],
)
def test_names_are_parsed(path, names):
    found = routed(path)
    assert (found.account, found.container, found.obj) == names


@pytest.mark.parametrize(("path", "is_allowed"), [("/v1/a/\0c", True), ("/v1/a/\0c/\0o", True), ("/v1/a/\0c/o", False)])
def test_reserved_names_are_for_filters(path, is_allowed):
    found = routed(path, HTTP_X_BACKEND_ALLOW_RESERVED_NAMES="true")
    assert isinstance(found, Refusal) != is_allowed
