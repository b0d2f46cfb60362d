"""The etag column of a container row: an MD5, and parameters that filters leave beside it for listings.

    d41d8cd98f00b204e9800998ecf8427e; symlink_target=c/o; symlink_target_etag=5d41…; symlink_target_bytes=5

Who does not know a parameter passes it on. Source: formats 8.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def split(text: str) -> tuple[str, dict[str, str]]:
    """(the etag itself, its parameters in order)."""
    etag, *rest = text.split(";")
    pairs = (item.strip().partition("=") for item in rest)
    return etag.strip(), {name: value for name, equals, value in pairs if equals}


def joined(etag: str, parameters: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """The column's text. Values hold no semicolon: names in them are percent-encoded."""
    items = parameters.items() if isinstance(parameters, Mapping) else parameters
    return "; ".join([etag, *(f"{name}={value}" for name, value in items)])
