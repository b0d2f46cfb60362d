"""The requests inside an SSYNC conversation: read from its body, run by the handlers of the ordinary verbs.

    PUT /a/c/o                      percent-encoded
    Header: value                   raw bytes; Content-Length says how much body follows, for PUT alone
    <empty line>
    body

Whatever stands there was sent by a peer and may be wrong or hostile: lines, headers and their number are bounded, the
name must belong into the partition of the conversation, and a PUT must say the MD5 of its body, which is checked
before the file gets its name. Source: formats 6.9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from objstore.core.errors import BadRequest, ClientDisconnected
from objstore.core.headers import environ_key
from objstore.http.body import RequestBody
from objstore.http.request import Request

LINE_BYTES = 65536
HEADER_COUNT = 1000
HEADERS_BYTES = 1 << 20
"""As much as the metadata of one object may have (storage/metadata.py)."""
DISCARD_BYTES = 1 << 18

_METHODS = ("PUT", "POST", "DELETE")
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z\x80-\xff]+):[ \t]*([^\0\r\n]*?)[ \t]*")
_PATH = re.compile(r"/[\x21-\x7e\x80-\xff]+")
_ETAG = re.compile(r"\"?[0-9a-fA-F]{32}\"?")
_ORDERS = ("x-backend-", "x-container-", "x-account-", "x-delete-at-", "x-if-", "if-")
"""Beginnings of headers that tell a server what to do, whom to call among it. No object is stored with them."""
_NOT_METADATA = frozenset(
    {"content-length", "content-type", "content-type-timestamp", "etag", "x-timestamp", "x-backend-no-commit"}
)


class BadConversation(Exception):
    """What the peer sends is no conversation any more: nothing that follows can be understood."""


@dataclass(frozen=True, slots=True)
class Subrequest:
    """method: PUT, POST or DELETE. path: /account/container/object, decoded, a WSGI string. headers: lower-case names.
    length: bytes of body."""

    method: str
    path: str
    headers: Mapping[str, str]
    length: int


class LimitedBody:
    """The next `length` bytes of another body, as a body of their own."""

    def __init__(self, source: RequestBody, length: int) -> None:
        self._source = source
        self.left = length

    def readinto(self, buffer: memoryview) -> int:
        if not self.left:
            return 0
        count = self._source.readinto(buffer[: self.left])
        if not count:
            raise ClientDisconnected(f"the conversation ends {self.left} bytes before the end of a body")
        self.left -= count
        return count

    def discard(self) -> None:
        """Pass over what nobody read."""
        buffer = memoryview(bytearray(min(self.left, DISCARD_BYTES)))
        while self.left:
            self.readinto(buffer)

    def read(self, size: int = -1) -> bytes:
        buffer = bytearray(min(self.left, size) if size >= 0 else self.left)
        view = memoryview(buffer)
        filled = 0
        while filled < len(buffer):
            filled += self.readinto(view[filled:])
        return bytes(buffer)

    def read_some(self, size: int) -> bytes:
        buffer = bytearray(min(self.left, size))
        return bytes(buffer[: self.readinto(memoryview(buffer))])

    def readline(self, limit: int = -1) -> bytes:
        raise AssertionError("objects have no lines")

    def continue_with(self, headers: list[tuple[str, str]]) -> None:
        raise BadRequest("footers have no place in a conversation")

    def begin_next_sequence(self, headers: list[tuple[str, str]]) -> None:
        raise BadRequest("footers have no place in a conversation")


def read_line(body: RequestBody) -> str:
    """One line without its CRLF. Raises BadConversation."""
    line = body.readline(LINE_BYTES)
    if not line.endswith(b"\n"):
        raise BadConversation("a line without an end" if line else "the conversation ends too early")
    return line.decode("latin-1").rstrip("\r\n")


def read_subrequest(first_line: str, body: RequestBody) -> Subrequest:
    """The head of a request; its body is still to be read. Raises BadConversation."""
    method, _, quoted_path = first_line.partition(" ")
    if method not in _METHODS:
        raise BadConversation(f"not a method of replication: {method[:40]!r}")
    if not _PATH.fullmatch(quoted_path):
        raise BadConversation(f"not a path: {quoted_path[:80]!r}")
    headers = dict(_headers(body))
    length = headers.get("content-length", "")
    if method == "PUT" and not (length.isascii() and length.isdigit() and len(length) < 19):
        raise BadConversation("a PUT without Content-Length")
    if method != "PUT" and length not in ("", "0"):
        raise BadConversation(f"a {method} with a body")
    return Subrequest(method, unquote_to_bytes(quoted_path).decode("latin-1"), headers, int(length or 0))


def request_of(sub: Subrequest, device: str, partition: str, policy_index: int, body: LimitedBody) -> Request:
    """As the handlers of the ordinary verbs take it. Raises BadRequest."""
    if sub.method == "PUT" and not _ETAG.fullmatch(sub.headers.get("etag", "")):
        raise BadRequest("the ETag of the body is missing")
    metadata = [name for name in sub.headers if name not in _NOT_METADATA and not name.startswith(_ORDERS)]
    if any(" " in name for name in metadata):
        raise BadRequest("a header name with a space")
    environ: dict[str, object] = {
        environ_key(name): sub.headers[name]
        for name in (*metadata, "x-timestamp", "content-type", "content-type-timestamp", "etag")
        if name in sub.headers
    }
    environ |= {
        "REQUEST_METHOD": sub.method,
        "PATH_INFO": f"/{device}/{partition}{sub.path}",
        "CONTENT_LENGTH": str(sub.length),
        "HTTP_X_BACKEND_REPLICATION": "True",
        "HTTP_X_BACKEND_REPLICATION_HEADERS": " ".join(metadata),
        "HTTP_X_BACKEND_STORAGE_POLICY_INDEX": str(policy_index),
        "wsgi.input": body,
    }
    return Request(environ)


def _headers(body: RequestBody) -> Iterator[tuple[str, str]]:
    total = 0
    for _ in range(HEADER_COUNT + 1):
        line = read_line(body)
        if not line:
            return
        total += len(line)
        if total > HEADERS_BYTES:
            break
        matched = _HEADER.fullmatch(line)
        if matched is None:
            raise BadConversation(f"not a header: {line[:80]!r}")
        name = matched[1]
        yield (name.lower() if name.isascii() else name.encode("latin-1").lower().decode("latin-1")), matched[2]
    raise BadConversation("too many headers")
