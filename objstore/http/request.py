"""A request as handlers see it: a view of the WSGI environ that parses nothing twice and nothing it is not asked for.

WebOb's Request costs about 50 µs to make and use; this costs one. Filters off the fast path may wrap the same environ
in WebOb where its parsers serve them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from objstore.core.errors import BadRequest, InvalidTimestamp
from objstore.core.headers import environ_key, header_name
from objstore.core.names import BackendPath, backend_path
from objstore.core.timestamp import Timestamp
from objstore.http.body import RequestBody
from objstore.http.environ import Environ


class Request:
    __slots__ = ("environ", "method", "_query")

    def __init__(self, environ: Environ) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self._query: dict[str, str] | None = None

    @property
    def path(self) -> str:
        """Percent-decoded, a WSGI string."""
        path: str = self.environ["PATH_INFO"]
        return path

    @property
    def body(self) -> RequestBody:
        body: RequestBody = self.environ["wsgi.input"]
        return body

    @property
    def query(self) -> Mapping[str, str]:
        """Parameters as text (UTF-8, bad bytes surrogate-escaped); the last of a repeated name; blank values kept."""
        if self._query is None:
            raw = self.environ.get("QUERY_STRING", "")
            self._query = dict(parse_qsl(raw, keep_blank_values=True, errors="surrogateescape")) if raw else {}
        return self._query

    def header(self, name: str, default: str | None = None) -> str | None:
        """The value of a header, name in any case."""
        return self.environ.get(environ_key(name), default)

    def headers(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """(lower-case name, value) of every header whose name starts with prefix (lower case)."""
        key_prefix = environ_key(prefix) if prefix else "HTTP_"
        for key, value in self.environ.items():
            if key.startswith(key_prefix):
                yield header_name(key), value
            elif not prefix and value and key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                yield header_name(key), value

    @property
    def content_length(self) -> int | None:
        """Bytes of body, None when chunked or not said. Raises BadRequest when it is not a number."""
        text: str | None = self.environ.get("CONTENT_LENGTH")
        if not text:
            return None
        if not (text.isascii() and text.isdigit()):
            raise BadRequest(f"Content-Length {text!r} is not a number of bytes")
        return int(text)

    @property
    def is_chunked(self) -> bool:
        return "chunked" in self.environ.get("HTTP_TRANSFER_ENCODING", "").lower()

    def timestamp(self) -> Timestamp:
        """X-Timestamp between servers. Raises BadRequest when it is missing or no timestamp (formats 3.3)."""
        text = self.header("x-timestamp")
        if text is None:
            raise BadRequest("Missing X-Timestamp header")
        try:
            return Timestamp.parse(text)
        except InvalidTimestamp as error:
            raise BadRequest(f"Invalid X-Timestamp header: {error}") from None

    def backend_path(self, least: int, most: int) -> BackendPath:
        return backend_path(self.path, least, most)
