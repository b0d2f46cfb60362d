"""encryption: objects are encrypted as they are stored, and decrypted as they are read. Source: feature B4.17.

It stands innermost, behind a keymaster, which leaves the keys in the environ: every other filter sees plain text. What
is under a key that is not there is answered with 500 and a line in the log, never with what is stored. With
disable_encryption nothing more is encrypted; what is already there can still be read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import load_cluster
from objstore.config.settings import Settings, boolean, reads, setting
from objstore.core.errors import BadRequest
from objstore.core.limits import Limits
from objstore.core.names import ClientPath
from objstore.http import capabilities
from objstore.http.environ import KEYRING, Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import SubResponse, call
from objstore.middleware.encryption.body import EncryptingBody
from objstore.middleware.encryption.conditions import is_conditional, range_tag, with_macs, without_range
from objstore.middleware.encryption.crypto_meta import Undecipherable
from objstore.middleware.encryption.decrypt import Opened, is_encrypted
from objstore.middleware.encryption.encrypt import encrypt_body, encrypted_metadata
from objstore.middleware.encryption.keyring import Keyring
from objstore.middleware.encryption.listing import MARK, RowOpener
from objstore.middleware.listing_rows import rewritten

_log = logging.getLogger("objstore.encryption")
_WHY = "This object is encrypted and cannot be read at the moment; the server's log says why."
_IN_PART = (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)


@dataclass(frozen=True)
class EncryptionSettings(Settings):
    disable_encryption: bool = setting(
        "no", boolean, "Store new objects unencrypted. Those that are encrypted already can still be read."
    )


class Encryption:
    def __init__(self, app: WSGIApp, limits: Limits, *, encrypts: bool = True) -> None:
        self._app = app
        self._limits = limits
        self._encrypts = encrypts

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        path = client_path_of(environ)
        if path is not None and path.container is not None:
            keyring = environ.get(KEYRING)
            if keyring is None:
                _log.error("path=%r: no keymaster stands before encryption in the pipeline", environ["PATH_INFO"])
                return page(HTTPStatus.INTERNAL_SERVER_ERROR, _WHY)(environ, start_response)
            if path.obj is None:
                if method == "GET":
                    return rewritten(self._app, environ, start_response, MARK, RowOpener(keyring, path))
            elif method in ("GET", "HEAD"):
                return self._read(environ, start_response, keyring, path)
            elif method in ("PUT", "POST") and self._encrypts:
                return self._write(environ, start_response, keyring, path)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    # Writing

    def _write(
        self, environ: Environ, start_response: StartResponse, keyring: Keyring, path: ClientPath
    ) -> Iterable[bytes]:
        keys = keyring.for_writing(path)
        try:
            inner = encrypted_metadata(environ, keys, self._limits)
        except BadRequest as error:
            return _refusal(error)(environ, start_response)
        body = encrypt_body(inner, keys) if environ["REQUEST_METHOD"] == "PUT" else None
        start = start_response if body is None else _with_plain_etag(start_response, body)
        answer: Iterable[bytes] = self._app(inner, start)
        if "CONTENT_TYPE" in inner:
            # As the proxy has completed it: whoever made this request may make another one of it.
            environ["CONTENT_TYPE"] = inner["CONTENT_TYPE"]
        return answer

    # Reading

    def _read(
        self, environ: Environ, start_response: StartResponse, keyring: Keyring, path: ClientPath
    ) -> Iterable[bytes]:
        asked = environ
        if is_conditional(environ):
            try:
                asked = with_macs(environ, list(keyring.object_keys(path)))
            except BadRequest as error:
                return _refusal(error)(environ, start_response)
        answer = call(self._app, asked)
        try:
            headers, body = self._opened(answer, keyring, path)
            tag = range_tag(environ)
            if tag is not None and answer.status in _IN_PART and tag != _etag_of(headers):
                # It is not the object that the client has a part of: it gets all of it.
                answer.close()
                answer = call(self._app, without_range(asked))
                headers, body = self._opened(answer, keyring, path)
        except Undecipherable as error:
            answer.close()
            _log.error("path=%r: encrypted, and cannot be read: %s", environ["PATH_INFO"], error)
            return page(HTTPStatus.INTERNAL_SERVER_ERROR, _WHY)(environ, start_response)
        except BaseException:
            answer.close()
            raise
        start_response(answer.status_line, headers)
        return body

    def _opened(
        self, answer: SubResponse, keyring: Keyring, path: ClientPath
    ) -> tuple[list[tuple[str, str]], Iterable[bytes]]:
        """(headers, body) in the clear. Raises Undecipherable."""
        if not is_encrypted(answer.header_list):
            return answer.header_list, answer.body
        opened = Opened(answer, keyring, path)
        return opened.header_list, opened.body()


def _etag_of(headers: list[tuple[str, str]]) -> str:
    return next((value for name, value in headers if name.lower() == "etag"), "").strip('"')


def _with_plain_etag(start_response: StartResponse, body: EncryptingBody) -> StartResponse:
    """The answer to a PUT, with the ETag of what the client sent."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        headers = [(name, body.etag if name.lower() == "etag" else value) for name, value in headers]
        return start_response(status, headers, *exc_info)

    return start


def _refusal(error: BadRequest) -> Response:
    return Response(HTTPStatus.BAD_REQUEST, {"content-type": "text/plain"}, error.reason.encode("utf-8", "replace"))


@reads(EncryptionSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Encryption]:
    settings = settings_for(EncryptionSettings, global_conf, local_conf)
    limits = load_cluster(swift_dir_of(global_conf)).limits
    capabilities.register_admin("encryption", enabled=not settings.disable_encryption)
    return lambda app: Encryption(app, limits, encrypts=not settings.disable_encryption)
