"""catch_errors: the outermost filter. Every request gets a transaction id, every answer shows it, and whatever fails
below ends as a 500 that says nothing of the inside.

Id: `tx`, 21 hex digits, `-`, the time in seconds as 10 hex digits, the cluster's suffix, and `-` and what the client
sent as X-Trans-Id-Extra (its first 32 characters, percent-encoded). Source: feature A5.22.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, reads, setting, text
from objstore.core.errors import BadRequest, BodyTooLarge, ClientDisconnected, ClientTooSlow
from objstore.http.environ import TRANSACTION_ID, Environ, StartResponse, WSGIApp
from objstore.http.errors import status_of
from objstore.http.response import Response, page, plain
from objstore.http.status import HTTPStatus

_EXTRA_LENGTH = 32
_CLIENTS_FAULT = (BadRequest, BodyTooLarge, ClientDisconnected, ClientTooSlow)


@dataclass(frozen=True)
class CatchErrorsSettings(Settings):
    trans_id_suffix: str = setting("", text, "Suffix of every transaction id, by which clusters can be told apart.")


class CatchErrors:
    def __init__(
        self,
        app: WSGIApp,
        settings: CatchErrorsSettings,
        *,
        logger: logging.Logger | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._suffix = quote(settings.trans_id_suffix)
        self._logger = logger or logging.getLogger("objstore.proxy")
        self._now = now

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        transaction = self.transaction_id(environ.get("HTTP_X_TRANS_ID_EXTRA"))
        environ[TRANSACTION_ID] = transaction
        ids = [("X-Trans-Id", transaction), ("X-Openstack-Request-Id", transaction)]

        def start_with_ids(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, headers + ids, *exc_info)

        try:
            body: Iterable[bytes] = self._app(environ, start_with_ids)
            return body
        except Exception as error:  # The request boundary of the pipeline: this filter is for that.
            response = self._answer(error, environ)
            # exc_info lets the server drop a head that was announced before the failure.
            return response(environ, lambda status, headers: start_with_ids(status, headers, sys.exc_info()))

    def transaction_id(self, extra: str | None = None) -> str:
        text = f"tx{os.urandom(11).hex()[:21]}-{int(self._now()):010x}{self._suffix}"
        if extra:
            text += "-" + quote(extra[:_EXTRA_LENGTH], encoding="latin-1")
        return text

    def _answer(self, error: Exception, environ: Environ) -> Response:
        if isinstance(error, _CLIENTS_FAULT):
            return page(status_of(error) or HTTPStatus.BAD_REQUEST, str(error))
        self._logger.exception(
            "method=%s path=%r txn=%s: unexpected error",
            environ.get("REQUEST_METHOD"),
            environ.get("PATH_INFO"),
            environ[TRANSACTION_ID],
        )
        return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "An error occurred")


@reads(CatchErrorsSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], CatchErrors]:
    settings = settings_for(CatchErrorsSettings, global_conf, local_conf)
    return lambda app: CatchErrors(app, settings)
