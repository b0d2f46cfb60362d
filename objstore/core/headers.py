"""Header names and values as the whole project holds them.

A mapping of headers inside objstore is a plain dict with lower-case names; values are WSGI strings (bytes as code
points 0 to 255). On the wire and on disk names are in title case, but for the few that have a spelling of their own.
"""

from __future__ import annotations

from functools import lru_cache

_SPELLED = {"etag": "Etag", "www-authenticate": "Www-Authenticate"}
_TRUE = frozenset({"true", "1", "yes", "on", "t", "y"})


@lru_cache(maxsize=4096)
def title(name: str) -> str:
    """x-object-meta-color -> X-Object-Meta-Color."""
    return _SPELLED.get(name.lower()) or "-".join(_text(_bytes(part).capitalize()) for part in name.split("-"))


@lru_cache(maxsize=4096)
def environ_key(name: str) -> str:
    """The WSGI environ key of a header name in any case."""
    key = _text(_bytes(name).upper()).replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


@lru_cache(maxsize=4096)
def header_name(key: str) -> str:
    """The lower-case header name of a WSGI environ key: HTTP_X_AUTH_TOKEN -> x-auth-token."""
    return _text(_bytes(key.removeprefix("HTTP_").replace("_", "-")).lower())


def lowered(name: str) -> str:
    """A header name in lower case."""
    if name.isascii():
        return name.lower()
    return "".join([letter.lower() if letter.isascii() else letter for letter in name])


# Case is folded in bytes: in a WSGI string the letters from 0x80 are parts of UTF-8 characters, and str.upper() would
# break those (and turn some into code points that are no bytes at all).


def _bytes(name: str) -> bytes:
    return name.encode("latin-1")


def _text(name: bytes) -> str:
    return name.decode("latin-1")


def is_true(value: str | None) -> bool:
    """Whether a header or query value says yes; everything else, None included, says no."""
    return value is not None and value.strip().lower() in _TRUE
