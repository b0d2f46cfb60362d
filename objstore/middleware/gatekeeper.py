"""gatekeeper: the cluster's own headers and names stop here, in both directions.

A client may neither set nor see system metadata and what servers tell each other: a forged X-Container-Host would make
an object server send its rows wherever the client likes (CVE-2026-50221). The list is that of formats 6.1. A client's
X-Timestamp is moved aside, to where container sync looks for it. Names that hold NUL are the system's (A5.14). An
encrypted object that nobody inside has decrypted is refused, not shown as it is stored.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, boolean, reads, setting
from objstore.core.headers import is_true
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.response import page
from objstore.http.status import HTTPStatus

_PRIVATE = re.compile(
    r"x-(?:account|container|object)-sysmeta-"
    r"|x-object-transient-sysmeta-"
    r"|x-backend"
    r"|x-account-(?:host|device|partition)\Z"
    r"|x-container-(?:host|device|partition|root-db-state)\Z"
    r"|x-delete-at-(?:host|device|partition|container)\Z"
)
_SEALED = frozenset({"X-Object-Sysmeta-Crypto-Body-Meta", "X-Object-Transient-Sysmeta-Crypto-Meta"})
"""Headers of encrypted objects, as the proxy writes them. The filter that decrypts leaves none of them."""
_NO_DECRYPTION = "This object is encrypted, and this proxy has no filter that decrypts it."
_log = logging.getLogger("objstore.gatekeeper")
_ALLOW_RESERVED = "HTTP_X_ALLOW_RESERVED_NAMES"
_BACKEND_ALLOW_RESERVED = "HTTP_X_BACKEND_ALLOW_RESERVED_NAMES"


@dataclass(frozen=True)
class GatekeeperSettings(Settings):
    shunt_inbound_x_timestamp: bool = setting(
        "true", boolean, "Move a client's X-Timestamp aside, so that it cannot date its own writes."
    )
    allow_reserved_names_header: bool = setting(
        "false",
        boolean,
        "Let clients reach reserved names with X-Allow-Reserved-Names: only for operators' own tools.",
        advanced=True,
    )


@lru_cache(maxsize=4096)
def is_private(name: str) -> bool:
    """Whether a header, in any case, is the cluster's own."""
    return _PRIVATE.match(name.lower()) is not None


@lru_cache(maxsize=4096)
def _is_private_key(key: str) -> bool:
    return key.startswith("HTTP_X_") and is_private(key[5:].replace("_", "-"))


class Gatekeeper:
    def __init__(self, app: WSGIApp, settings: GatekeeperSettings) -> None:
        self._app = app
        self._shunts = settings.shunt_inbound_x_timestamp
        self._may_allow_reserved = settings.allow_reserved_names_header

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        for key in [key for key in environ if _is_private_key(key)]:
            del environ[key]
        if self._shunts and "HTTP_X_TIMESTAMP" in environ:
            environ["HTTP_X_BACKEND_INBOUND_X_TIMESTAMP"] = environ.pop("HTTP_X_TIMESTAMP")
        if self._may_allow_reserved and is_true(environ.pop(_ALLOW_RESERVED, None)):
            environ[_BACKEND_ALLOW_RESERVED] = "true"
        elif "\0" in environ["PATH_INFO"]:
            refusal = page(HTTPStatus.PRECONDITION_FAILED, "Invalid UTF8 or contains NULL")
            return refusal(environ, start_response)

        refused: list[bytes] = []

        def start_clean(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            for name, _ in headers:
                if name in _SEALED:
                    refused.extend(page(HTTPStatus.NOT_IMPLEMENTED, _NO_DECRYPTION)(environ, start_response))
                    return None
            return start_response(status, [pair for pair in headers if not is_private(pair[0])], *exc_info)

        body: Iterable[bytes] = self._app(environ, start_clean)
        if not refused:
            return body
        close = getattr(body, "close", None)
        if close is not None:
            close()
        _log.error("path=%r: encrypted, and the pipeline has no filter `encryption`", environ["PATH_INFO"])
        return () if environ["REQUEST_METHOD"] == "HEAD" else refused


@reads(GatekeeperSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Gatekeeper]:
    settings = settings_for(GatekeeperSettings, global_conf, local_conf)
    return lambda app: Gatekeeper(app, settings)
