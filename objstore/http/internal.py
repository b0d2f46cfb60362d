"""A client of a pipeline in this process: what daemons use that act as a client would, but without anybody's account.

The pipeline has no gatekeeper and no auth filter (cli/assembly.py sees to that), so X-Timestamp and X-Backend-* headers
reach the proxy; requests go over the replication network. Where a filter of the pipeline itself needs to ask something,
it uses http/subrequest.py.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from objstore.core.errors import BodyTooLarge
from objstore.core.headers import environ_key
from objstore.core.names import quoted, wsgi_of
from objstore.http import environ as keys
from objstore.http.environ import Environ, WSGIApp
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import BytesInput, IteratorInput, SubResponse, call

LISTING_BYTES_MAX = 64 << 20
PAGES_AT_MOST = 1000
_UNSHARDED = ("", "unsharded")


class ListingFailed(Exception):
    """A listing could not be had, or the answer was not one. path: of the account or container."""

    def __init__(self, path: str, status: int) -> None:
        super().__init__(f"GET {path!r} was answered with {status}")
        self.path = path
        self.status = status


@dataclass(frozen=True, slots=True)
class Page:
    """rows: as in the JSON listing. is_sharded: its container is, or is becoming so."""

    rows: list[dict[str, Any]]
    is_sharded: bool = False


class InternalClient:
    """agent: who asks, as text for logs and peers. One per process; fine for many green threads."""

    def __init__(self, app: WSGIApp, agent: str, now: Callable[[], float] = time.time) -> None:
        """now: wall seconds, for transaction ids."""
        self._app = app
        self._agent = agent
        self._now = now

    def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: Iterable[bytes] | None = None,
        length_bytes: int = 0,
    ) -> SubResponse:
        """The answer; close or read it. path: text, as /v1/account/container/object, not quoted. headers: WSGI strings.

        body: pieces of length_bytes in all; what it raises comes out of here."""
        environ = self._environ(method, path, query)
        if body is not None:
            environ["wsgi.input"] = IteratorInput(body, length_bytes)
            environ["CONTENT_LENGTH"] = str(length_bytes)
        for name, value in (headers or {}).items():
            environ[environ_key(name)] = value
        return call(self._app, environ)

    def pages(self, path: str, end_marker: str = "", *, marker: str = "", prefix: str = "") -> Iterator[Page]:
        """The listing of an account or container, from behind marker up to end_marker; nothing when there is none. At
        most PAGES_AT_MOST. Raises ListingFailed."""
        for _ in range(PAGES_AT_MOST):
            pairs = {"format": "json", "marker": marker, "end_marker": end_marker, "prefix": prefix}
            response = self.request("GET", path, query=urlencode(pairs, errors="surrogateescape"))
            if response.status == HTTPStatus.NOT_FOUND:
                response.discard()
                return
            rows = _rows(response, path)
            if not rows:
                return
            yield Page(rows, response.headers.get("x-backend-sharding-state", "") not in _UNSHARDED)
            last = str(rows[-1].get("name", ""))
            if last <= marker:
                # Whoever pages in circles is not a listing.
                raise ListingFailed(path, response.status)
            marker = last

    def _environ(self, method: str, path: str, query: str) -> Environ:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": wsgi_of(path),
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_PORT": "0",
            "CONTENT_LENGTH": "0",
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesInput(),
            keys.RAW_TARGET: quoted(path) + (f"?{query}" if query else ""),
            keys.TRANSACTION_ID: f"tx{os.urandom(11).hex()[:21]}-{int(self._now()):010x}",
            keys.SOURCE: self._agent,
            "HTTP_HOST": "localhost",
            "HTTP_USER_AGENT": self._agent,
            "HTTP_X_BACKEND_ALLOW_RESERVED_NAMES": "true",
            "HTTP_X_BACKEND_USE_REPLICATION_NETWORK": "true",
        }
        return environ


def _rows(response: SubResponse, path: str) -> list[dict[str, Any]]:
    """Raises ListingFailed."""
    try:
        body = response.read(LISTING_BYTES_MAX)
        found = json.loads(body or b"[]") if response.is_success else None
    except (ValueError, RecursionError, BodyTooLarge):
        found = None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ListingFailed(path, response.status)
    return found
