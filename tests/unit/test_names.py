"""core/names.py: paths parsed once."""

import pytest

from objstore.core.errors import BadRequest, InvalidName
from objstore.core.names import BackendPath, ClientPath, backend_path, client_path, quoted, text_of, wsgi_of


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/v1/a", ClientPath("v1", "a")),
        ("/v1/a/", ClientPath("v1", "a")),
        ("/v1/a/c", ClientPath("v1", "a", "c")),
        ("/v1/a/c/", ClientPath("v1", "a", "c")),
        ("/v1/a/c/o", ClientPath("v1", "a", "c", "o")),
        ("/v1/a/c/o/", ClientPath("v1", "a", "c", "o/")),
        ("/v1/a/c//o", ClientPath("v1", "a", "c", "/o")),
        ("/v1/a/c/\u00c3\u00bc", ClientPath("v1", "a", "c", "\u00fc")),
        ("/v1", ClientPath("v1")),
        ("", None),
        ("/", None),
        ("v1/a", None),
        ("//a/c", None),
        ("/v1//c/o", None),
        ("/v1/a//o", None),
    ],
)
def test_client_path(path, names):
    assert client_path(path) == names


def test_a_path_that_is_not_utf8_is_refused():
    with pytest.raises(InvalidName):
        client_path("/v1/a/c/\u00ff")


@pytest.mark.parametrize(
    ("path", "least", "most", "names"),
    [
        ("/sda/7/a", 3, 3, BackendPath("sda", "7", "a")),
        ("/sda/7/a/c/o/p", 5, 5, BackendPath("sda", "7", "a", "c", "o/p")),
        ("/sda/7/a/c", 3, 4, BackendPath("sda", "7", "a", "c")),
        ("/sda/7", 2, 3, BackendPath("sda", "7")),
        ("/sda/7/a/\0c/\0o", 5, 5, BackendPath("sda", "7", "a", "\0c", "\0o")),
    ],
)
def test_backend_path(path, least, most, names):
    assert backend_path(path, least, most) == names


@pytest.mark.parametrize(
    ("path", "least", "most"),
    [
        ("/sda", 2, 3),
        ("/sda/7/a/c", 3, 3),
        ("/sda/7/a/c/o", 3, 4),
        ("/sda//a", 3, 3),
        ("sda/7/a", 3, 3),
        ("/../7/a", 3, 3),
        ("/sda/../a", 3, 3),
        ("/sda/./a", 3, 3),
        ("/sda/7/a/c\0d", 4, 4),
        ("/sda/7/a/\0c/o", 5, 5),
        ("/sda/7/a/c/\0o", 5, 5),
    ],
)
def test_backend_path_refuses(path, least, most):
    with pytest.raises(BadRequest):
        backend_path(path, least, most)


def test_backend_name_is_what_metadata_holds():
    assert BackendPath("sda", "7", "a", "c", "o/p").name == "/a/c/o/p"
    assert BackendPath("sda", "7", "a").name == "/a"


@pytest.mark.parametrize("text", ["plain", "\u00fc", "\U0001f600", "a%b", "\0reserved"])
def test_wsgi_text_round_trip(text):
    assert text_of(wsgi_of(text)) == text


def test_quoted_encodes_once_and_keeps_slashes():
    assert quoted("/a/c/o \u00fc%?#\0") == "/a/c/o%20%C3%BC%25%3F%23%00"
