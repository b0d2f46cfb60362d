"""A client of a pipeline in this process: what daemons use that act as a client would, but without anybody's account.

The pipeline has no gatekeeper and no auth filter (cli/assembly.py sees to that), so X-Timestamp and X-Backend-* headers
reach the proxy; requests go over the replication network. Where a filter of the pipeline itself needs to ask something,
it uses http/subrequest.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from objstore.core.headers import environ_key
from objstore.core.names import quoted, wsgi_of
from objstore.http import environ as keys
from objstore.http.environ import Environ, WSGIApp
from objstore.http.subrequest import BytesInput, IteratorInput, SubResponse, call


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
