"""The WSGI boundary of a backend server: method → handler, errors → responses, one broad except, one OPTIONS.

Account, container and object apps are a table of handlers given to BackendApp. Source: formats 6.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from objstore import __version__
from objstore.http.environ import Environ, StartResponse
from objstore.http.errors import error_response
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus

Handler = Callable[[Request], Response]


class BackendApp:
    """handlers: by method. replication_handlers: REPLICATE and its like.

    replication_server: True serves only replication_handlers (and OPTIONS), False hides them, None serves all.
    """

    def __init__(
        self,
        server_type: str,
        handlers: Mapping[str, Handler],
        replication_handlers: Mapping[str, Handler],
        *,
        own_handlers: Mapping[str, Handler] | None = None,
        replication_server: bool | None = None,
        logger: logging.Logger,
    ) -> None:
        """own_handlers: of methods that servers of ours alone know; the Allow header does not name them."""
        self._handlers: dict[str, Handler] = {}
        if replication_server is not True:
            self._handlers.update(handlers)
        if replication_server is not False:
            self._handlers.update(replication_handlers)
        self._handlers["OPTIONS"] = self._options
        self._allow = ", ".join(sorted(self._handlers))
        if own_handlers and replication_server is not True:
            self._handlers.update(own_handlers)
        self._server = f"{server_type}-server/{__version__}"
        self._logger = logger

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        return self.respond(request)(environ, start_response)

    def respond(self, request: Request) -> Response:
        handler = self._handlers.get(request.method)
        if handler is None:
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": self._allow})
        try:
            return handler(request)
        except Exception as error:  # The request boundary.
            response = error_response(error)
            if response is not None:
                return response
            self._logger.exception("method=%s path=%r: unexpected error", request.method, request.path)
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error; the server's log says more")

    def _options(self, request: Request) -> Response:
        return plain(HTTPStatus.OK, headers={"allow": self._allow, "server": self._server})
