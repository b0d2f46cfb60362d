"""A client of a WSGI app in this process: one request in, status, headers and body out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from objstore.core.headers import environ_key


class MemoryBody:
    """wsgi.input over bytes, with the methods of http.body.RequestBody."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer: memoryview) -> int:
        return self._file.readinto(buffer)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes


def call(
    app: Callable[..., Iterable[bytes]],
    method: str,
    target: str,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Answer:
    """target: as in a request line, percent-encoded. Headers: WSGI strings."""
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": MemoryBody(body),
        "CONTENT_LENGTH": str(len(body)),
    }
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        environ[environ_key(name)] = value
    seen: list[Any] = []

    def start_response(status: str, response_headers: list[tuple[str, str]], exc_info: object = None) -> None:
        seen[:] = [int(status.split()[0]), {name.lower(): value for name, value in response_headers}]

    content = b"".join(app(environ, start_response))
    return Answer(seen[0], seen[1], b"" if method == "HEAD" else content)
