"""Metadata between request headers (lower case, WSGI strings) and databases (title case, real text)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from objstore.core.errors import BadRequest, InvalidName
from objstore.core.headers import title
from objstore.core.names import text_of, wsgi_of


def stored(headers: Iterable[tuple[str, str]], prefixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(name, value) as a database keeps it, for headers of these prefixes with something after the prefix.

    Raises BadRequest when a name or value is not UTF-8.
    """
    for name, value in headers:
        if name.startswith(prefixes) and name not in prefixes:
            try:
                yield title(text_of(name)), text_of(value)
            except InvalidName:
                raise BadRequest("Metadata must be valid UTF-8") from None


def sent(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers of stored metadata."""
    return {wsgi_of(name): wsgi_of(value) for name, value in items}
