"""Heads of HTTP/1.1 messages: bytes → value, strictly, without I/O (RFC 9112 sections 2 to 6).

The server and the client collect bytes with a HeadScanner and parse each whole head once. Everything that two readers
could read in two ways is refused: obs-fold, bare CR or LF, control characters, white space before the colon, names with
an underscore that shadow one with a dash (others with one are dropped), repeated or listed Content-Length,
Transfer-Encoding beside Content-Length or on HTTP/1.0, two Hosts or none. Bytes from 0x80 are admitted in names, values
and targets: Swift's clients send them raw. Text is latin-1 throughout: code points are the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from objstore.http.status import HTTPStatus

__all__ = [
    "HeadError",
    "HeadLimits",
    "HeadScanner",
    "RequestHead",
    "ResponseHead",
    "head_bytes",
    "parse_request",
    "parse_response",
]

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_REQUEST_LINE = re.compile(rf"({_TOKEN}{{1,32}}) ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])")
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: (.*))?")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z\x80-\xff]+")
_LENGTH = re.compile(r"[0-9]{1,18}")
_SHADOW = "_ "
"""Before the key of a name with an underscore, until it is dropped; no name has a blank."""
_FRAMING_KEYS = frozenset({"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_HOST", "HTTP_EXPECT", "HTTP_CONNECTION"})
_HOST = re.compile(r"[0-9A-Za-z\-._~!$&'()*+;=%:\[\]]*")
_ABSOLUTE = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]+)(.*)")

_TEXT = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""Every byte that may stand in a line."""

_NAMES_REMEMBERED = 4096
_environ_keys: dict[str, str] = {}
_lower_names: dict[str, str] = {}


class HeadError(Exception):
    """A head that is refused. `status` is the answer a server gives; a client counts it as a broken peer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Bounds of one head. A longer first line is 414, a longer line 400, more or larger headers 431."""

    first_line_bytes: int = 8192
    line_bytes: int = 8192
    header_count: int = 160
    total_bytes: int = 65536


BACKEND_LIMITS = HeadLimits(first_line_bytes=16384, line_bytes=16384, header_count=320, total_bytes=131072)
"""What the proxy may send to a backend: a client's largest head, its URL again in Referer, the proxy's own headers."""

RESPONSE_LIMITS = HeadLimits(first_line_bytes=4096, line_bytes=65536, header_count=512, total_bytes=262144)
"""What a peer may send: an object's stored metadata with what the servers add to it."""


@dataclass(slots=True)
class RequestHead:
    """fields: values by WSGI environ key, repeated ones joined by a comma.

    path: percent-decoded. content_length: None when the body is chunked; 0 when there is none.
    """

    method: str
    target: str
    path: str
    query: str
    is_http11: bool
    fields: dict[str, str]
    content_length: int | None
    keeps_alive: bool
    expects_continue: bool


@dataclass(slots=True)
class ResponseHead:
    """headers: by lower-case name, repeated ones joined by a comma.

    length: bytes of body that follow this head; None when chunked or until the peer closes. A HEAD, 204 or 304 has 0
    here whatever its Content-Length header says.
    """

    status: int
    reason: str
    headers: dict[str, str]
    length: int | None
    is_chunked: bool
    keeps_alive: bool


class HeadScanner:
    """Collects bytes until a head is whole. One per connection; feed() again for the next head."""

    __slots__ = ("_limits", "_held", "_first_line_is_whole", "_passed_empty_line")

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        # A buffer is made for a head that comes in pieces: most come whole, and thousands may wait.
        self._held: bytearray | None = None
        self._first_line_is_whole = False
        self._passed_empty_line = False

    @property
    def is_empty(self) -> bool:
        return self._held is None

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """(head with its empty line, bytes after it), or None: more is needed. Raises HeadError as early as it can."""
        if self._held is not None:
            return self._feed_slowly(data)
        end = data.find(b"\r\n\r\n")
        if end < 0 or data.startswith(b"\r\n"):
            return self._feed_slowly(data)
        end += 4
        if end > self._limits.first_line_bytes:
            self._check(data[:end])
        return (data, b"") if end == len(data) else (data[:end], data[end:])

    def _feed_slowly(self, data: bytes) -> tuple[bytes, bytes] | None:
        if self._held is None:
            self._held = bytearray()
        held = self._held
        scan_from = max(0, len(held) - 3)
        held += data
        if held.startswith(b"\r\n"):
            # RFC 9112 2.2: one empty line before a request line is passed over.
            if self._passed_empty_line:
                raise HeadError(HTTPStatus.BAD_REQUEST, "empty lines before the request line")
            self._passed_empty_line = True
            rest = bytes(held[2:])
            self._held = None
            return self._feed_slowly(rest) if rest else None
        end = held.find(b"\r\n\r\n", scan_from)
        if end >= 0:
            head, rest = bytes(held[: end + 4]), bytes(held[end + 4 :])
            self._check(head)
            self.reset()
            return head, rest
        self._check(held)
        _refuse_bare_newlines(held, max(0, scan_from - 1))
        return None

    def reset(self) -> None:
        self._held = None
        self._first_line_is_whole = False
        self._passed_empty_line = False

    def _check(self, held: bytes | bytearray) -> None:
        limits = self._limits
        if not self._first_line_is_whole:
            end = held.find(b"\r\n")
            if end > limits.first_line_bytes or (end < 0 and len(held) > limits.first_line_bytes + 1):
                raise HeadError(HTTPStatus.REQUEST_URI_TOO_LONG, f"first line over {limits.first_line_bytes} bytes")
            self._first_line_is_whole = end >= 0
        if len(held) > limits.total_bytes:
            raise HeadError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"headers over {limits.total_bytes} bytes in all"
            )


def _refuse_bare_newlines(held: bytearray, start: int) -> None:
    """A head that will never end because its lines end in a bare LF is refused at once, not at its deadline."""
    found = held.find(b"\n", start)
    while found >= 0:
        if found == 0 or held[found - 1] != 0x0D:
            raise HeadError(HTTPStatus.BAD_REQUEST, "a line ends in a bare LF")
        found = held.find(b"\n", found + 1)


def parse_request(data: bytes, limits: HeadLimits) -> RequestHead:
    """Parse a head that a HeadScanner found whole. Raises HeadError."""
    lines = _lines(data)
    found = _REQUEST_LINE.fullmatch(lines[0])
    if found is None:
        raise HeadError(HTTPStatus.BAD_REQUEST, "not a request line of HTTP/1.1")
    method, target, major, minor = found.groups()
    if major != "1" or minor not in "01":
        raise HeadError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"HTTP/{major}.{minor} is not spoken here")
    fields = _fields(lines, limits, _environ_keys, _environ_key, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    is_http11 = minor == "1"
    path, query = _target(method, target, fields, is_http11)
    connection = fields.get("HTTP_CONNECTION")
    return RequestHead(
        method,
        target,
        path,
        query,
        is_http11,
        fields,
        _request_length(fields, is_http11),
        is_http11 if connection is None else _keeps_alive(connection, is_http11),
        "HTTP_EXPECT" in fields and _expects_continue(fields["HTTP_EXPECT"], is_http11),
    )


def parse_response(data: bytes, request_method: str, limits: HeadLimits = RESPONSE_LIMITS) -> ResponseHead:
    """Parse a response head, final or interim. Raises HeadError."""
    lines = _lines(data)
    found = _STATUS_LINE.fullmatch(lines[0])
    if found is None:
        raise HeadError(HTTPStatus.BAD_GATEWAY, f"not a status line of HTTP/1.1: {lines[0][:80]!r}")
    minor, code, reason = found.groups()
    headers = _fields(lines, limits, _lower_names, _lower_name, HTTPStatus.BAD_GATEWAY)
    status = int(code)
    length, is_chunked = _response_length(headers, status, request_method)
    keeps_alive = _keeps_alive(headers.get("connection", ""), minor == "1")
    return ResponseHead(status, reason or "", headers, length, is_chunked, keeps_alive)


def head_bytes(first_line: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The bytes of a head. Raises ValueError for anything that would split it: no value can add a line of its own."""
    return encode_lines([first_line, *[f"{name}: {value}" for name, value in headers]])


def encode_lines(lines: list[str]) -> bytes:
    """The bytes of a head of these lines, as head_bytes()."""
    data = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if data.translate(None, _TEXT) != b"\r\n" * (len(lines) + 1):
        bad = [line[:80] for line in lines if line.encode("latin-1").translate(None, _TEXT)]
        raise ValueError(f"a control character in a head: {bad!r}")
    return data


def _lines(data: bytes) -> list[str]:
    lines = data[:-4].decode("latin-1").split("\r\n")
    # What is left without the bytes of text must be exactly the line ends: no bare CR or LF, no control character.
    if data.translate(None, _TEXT) != b"\r\n" * (len(lines) + 1):
        raise HeadError(HTTPStatus.BAD_REQUEST, "a control character, or a bare CR or LF, in the head")
    return lines


def _fields(
    lines: list[str], limits: HeadLimits, known: dict[str, str], learn: Callable[[str], str], too_many: int
) -> dict[str, str]:
    """Values by known name, of all lines but the first."""
    del lines[0]
    if len(lines) > limits.header_count:
        raise HeadError(too_many, f"more than {limits.header_count} headers")
    try:
        # The usual head in one go: names seen before, none of them twice.
        fields = {known[name]: value.strip(" \t") for name, value in [line.split(":", 1) for line in lines]}
    except (KeyError, ValueError):
        return _fields_one_by_one(lines, limits, known, learn)
    if len(fields) != len(lines) or max(map(len, lines), default=0) > limits.line_bytes:
        return _fields_one_by_one(lines, limits, known, learn)
    return fields


def _fields_one_by_one(
    lines: list[str], limits: HeadLimits, known: dict[str, str], learn: Callable[[str], str]
) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise HeadError(HTTPStatus.BAD_REQUEST, f"a header line without a colon: {line[:80]!r}")
        if len(line) > limits.line_bytes:
            raise HeadError(HTTPStatus.BAD_REQUEST, f"header {name[:80]!r} is over {limits.line_bytes} bytes")
        key = known.get(name) or learn(name)
        value = value.strip(" \t")
        fields[key] = _joined(key, fields[key], value) if key in fields else value
    _drop_shadows(fields)
    return fields


def _drop_shadows(fields: dict[str, str]) -> None:
    """Take out request headers whose names have an underscore: in WSGI they would stand for the name with a dash.

    One beside the header that it shadows, or one that would frame the message, is an attack and is refused; any
    other is somebody's odd metadata and never reaches an application.
    """
    for key in [key for key in fields if key.startswith(_SHADOW)]:
        del fields[key]
        shadowed = key.removeprefix(_SHADOW)
        if shadowed in fields or shadowed in _FRAMING_KEYS:
            raise HeadError(HTTPStatus.BAD_REQUEST, f"a header name with an underscore: {shadowed.lower()[:80]}")


def _joined(key: str, first: str, second: str) -> str:
    if key in ("CONTENT_LENGTH", "content-length", "HTTP_HOST"):
        raise HeadError(HTTPStatus.BAD_REQUEST, f"{key.removeprefix('HTTP_').lower()} is given twice")
    return f"{first}; {second}" if key == "HTTP_COOKIE" else f"{first},{second}"


def _environ_key(name: str) -> str:
    """Check a request header's name and remember its environ key. Names fold their ASCII letters only."""
    if _NAME.fullmatch(name) is None:
        raise HeadError(HTTPStatus.BAD_REQUEST, f"not a header name: {name[:80]!r}")
    key = name.replace("-", "_").encode("latin-1").upper().decode("latin-1")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    if "_" in name:
        # Not remembered, so that such a head is never taken for a usual one.
        return f"{_SHADOW}{key}"
    if len(_environ_keys) < _NAMES_REMEMBERED:
        _environ_keys[name] = key
    return key


def _lower_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise HeadError(HTTPStatus.BAD_GATEWAY, f"not a header name: {name[:80]!r}")
    lower = name.encode("latin-1").lower().decode("latin-1")
    if len(_lower_names) < _NAMES_REMEMBERED:
        _lower_names[name] = lower
    return lower


def _target(method: str, target: str, fields: dict[str, str], is_http11: bool) -> tuple[str, str]:
    """(percent-decoded path, query). Takes Host from an absolute-form target (RFC 9112 3.2.2)."""
    host = fields.get("HTTP_HOST")
    if host is None:
        if is_http11:
            raise HeadError(HTTPStatus.BAD_REQUEST, "no Host header")
    elif _HOST.fullmatch(host) is None:
        raise HeadError(HTTPStatus.BAD_REQUEST, f"not a host: {host[:80]!r}")
    if target[0] != "/":
        if target == "*" and method == "OPTIONS":
            return "*", ""
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or _HOST.fullmatch(absolute[1]) is None:
            raise HeadError(HTTPStatus.BAD_REQUEST, "the request target is neither a path nor an absolute URL")
        fields["HTTP_HOST"] = absolute[1]
        target = absolute[2] if absolute[2].startswith("/") else f"/{absolute[2]}"
    path, _, query = target.partition("?")
    if "%" in path:
        path = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
    return path, query


def _request_length(fields: dict[str, str], is_http11: bool) -> int | None:
    text = fields.get("CONTENT_LENGTH")
    coding = fields.get("HTTP_TRANSFER_ENCODING")
    if coding is not None:
        if text is not None:
            raise HeadError(HTTPStatus.BAD_REQUEST, "both Content-Length and Transfer-Encoding")
        if not is_http11:
            raise HeadError(HTTPStatus.BAD_REQUEST, "Transfer-Encoding on HTTP/1.0")
        _require_chunked(coding)
        return None
    if text is None:
        return 0
    if _LENGTH.fullmatch(text) is None:
        raise HeadError(HTTPStatus.BAD_REQUEST, f"not a Content-Length: {text[:80]!r}")
    return int(text)


def _require_chunked(coding: str) -> None:
    codings = [part.strip(" \t").lower() for part in coding.split(",")]
    if codings == ["chunked"]:
        return
    if codings[-1] == "chunked" and codings.count("chunked") == 1 and all(codings):
        raise HeadError(HTTPStatus.NOT_IMPLEMENTED, f"Transfer-Encoding {coding[:80]!r} is not implemented")
    raise HeadError(HTTPStatus.BAD_REQUEST, f"not a Transfer-Encoding: {coding[:80]!r}")


def _response_length(headers: dict[str, str], status: int, request_method: str) -> tuple[int | None, bool]:
    text = headers.get("content-length")
    coding = headers.get("transfer-encoding")
    if text is not None and _LENGTH.fullmatch(text) is None:
        raise HeadError(HTTPStatus.BAD_GATEWAY, f"not a Content-Length: {text[:80]!r}")
    if coding is not None:
        if text is not None or coding.lower() != "chunked":
            raise HeadError(HTTPStatus.BAD_GATEWAY, f"cannot frame a body of Transfer-Encoding {coding[:80]!r}")
    if request_method == "HEAD" or status < HTTPStatus.OK or status in _WITHOUT_BODY:
        return 0, False
    if coding is not None:
        return None, True
    return (None if text is None else int(text)), False


_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def _keeps_alive(connection: str, is_http11: bool) -> bool:
    options = [part.strip(" \t") for part in connection.lower().split(",")]
    return "close" not in options and (is_http11 or "keep-alive" in options)


def _expects_continue(expect: str, is_http11: bool) -> bool:
    if expect.lower() != "100-continue":
        raise HeadError(HTTPStatus.EXPECTATION_FAILED, f"cannot meet Expect: {expect[:80]!r}")
    return is_http11
