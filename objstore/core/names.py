"""Paths of requests, parsed once into the names everything later uses.

Names are text. On the wire a path is UTF-8, percent-encoded once; WSGI hands it over decoded, its bytes as code points
0 to 255. client_path() and backend_path() turn that into text and refuse what is not UTF-8. Names that begin with
NUL are reserved for the system; inside a cluster they travel as %00.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote

from objstore.core.errors import BadRequest, InvalidName

RESERVED = "\0"
SHARDS_PREFIX = ".shards_"
"""Shards of an account's containers lie in the account of this prefix and its name."""
_SAFE = "/~"
_needs_no_quotes = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch


class ClientPath(NamedTuple):
    """/version[/account[/container[/object]]] as a client sends it. Absent parts are None, never empty."""

    version: str
    account: str | None = None
    container: str | None = None
    obj: str | None = None


class BackendPath(NamedTuple):
    """/device/partition[/account[/container[/object]]] between servers. partition is text: it names a directory."""

    device: str
    partition: str
    account: str | None = None
    container: str | None = None
    obj: str | None = None

    @property
    def name(self) -> str:
        """/account[/container[/object]]: what the metadata key `name` holds."""
        if self.obj is not None:
            return f"/{self.account}/{self.container}/{self.obj}"
        return "".join([f"/{part}" for part in (self.account, self.container) if part is not None])


def text_of(wsgi_text: str) -> str:
    """Text of a WSGI string (bytes as code points). Raises InvalidName when the bytes are not UTF-8."""
    if wsgi_text.isascii():
        return wsgi_text
    try:
        return wsgi_text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise InvalidName("Invalid UTF8 or contains NULL") from None


def wsgi_of(text: str) -> str:
    """The WSGI string of text: the inverse of text_of."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def quoted(path: str) -> str:
    """A path of text percent-encoded once, slashes kept: what stands in a request line."""
    return path if _needs_no_quotes(path) else quote(path.encode("utf-8", "surrogateescape"), safe=_SAFE)


def client_path(wsgi_path: str) -> ClientPath | None:
    """The names of a client's path, or None when it is not /version/account…; empty inner parts make it None too.

    A trailing slash after an account or a container is dropped; an object keeps every slash it has.
    Raises InvalidName when the path is not UTF-8.
    """
    parts = text_of(wsgi_path).split("/", 4)
    if parts[0] or len(parts) < 2 or not parts[1]:
        return None
    names = parts[1:]
    while len(names) > 1 and not names[-1]:
        names.pop()
    if not all(names):
        return None
    return ClientPath(*names)


def backend_path(wsgi_path: str, least: int, most: int) -> BackendPath:
    """The names of a backend path of `least` to `most` parts (device is the first). Raises BadRequest."""
    parts = text_of(wsgi_path).split("/", 5)
    names = parts[1:]
    if len(names) > least and not names[-1]:
        names.pop()
    if parts[0] or not least <= len(names) <= most or not all(names):
        raise BadRequest(f"Invalid path: {quoted(wsgi_path)}")
    for segment in names[:2]:
        if segment in (".", ".."):
            raise BadRequest(f"Invalid device or partition: {segment}")
    if RESERVED in wsgi_path:
        _check_reserved(names[2:])
    return BackendPath(*names)


def is_reserved(name: str) -> bool:
    return name.startswith(RESERVED)


def _check_reserved(names: list[str]) -> None:
    """NUL only at the start of a name, and container and object reserved together (formats 6.1)."""
    for name in names:
        if RESERVED in name and not is_reserved(name):
            raise BadRequest("Invalid reserved-namespace name")
    if len(names) == 3:
        container, obj = names[1], names[2]
        if is_reserved(container) != is_reserved(obj):
            kinds = ("reserved", "user") if is_reserved(obj) else ("user", "reserved")
            raise BadRequest("Invalid {}-namespace object in {}-namespace container".format(*kinds))
