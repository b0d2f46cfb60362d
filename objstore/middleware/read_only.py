"""read_only: a cluster, an account or a container that can only be read. Feature A5.12.

    X-Account-Sysmeta-Read-Only, X-Container-Sysmeta-Read-Only      true or false, set by operators' tools

The container's word counts, else the account's, else the cluster's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, boolean, reads, setting
from objstore.core.headers import is_true
from objstore.core.names import ClientPath, text_of
from objstore.http import capabilities
from objstore.http.environ import INFO, Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.response import page
from objstore.http.status import HTTPStatus

_WRITES = frozenset({"PUT", "POST", "DELETE", "COPY"})
_KEY = "read-only"
_ALLOWED = "GET, HEAD, OPTIONS"


@dataclass(frozen=True)
class ReadOnlySettings(Settings):
    read_only: bool = setting("no", boolean, "Refuse writes wherever an account or container does not say otherwise.")
    allow_deletes: bool = setting("no", boolean, "Allow DELETE even where writes are refused.")


class ReadOnly:
    def __init__(self, app: WSGIApp, settings: ReadOnlySettings) -> None:
        self._app = app
        self._is_read_only = settings.read_only
        self._writes = _WRITES - {"DELETE"} if settings.allow_deletes else _WRITES

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in self._writes:
            for account, container in _written(environ):
                if self._refuses(environ, account, container):
                    why = "Writes are disabled for this account or container."
                    return page(HTTPStatus.METHOD_NOT_ALLOWED, why, {"allow": _ALLOWED})(environ, start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _refuses(self, environ: Environ, account: str, container: str | None) -> bool:
        infos = environ[INFO]
        said = infos.container(environ, account, container).sysmeta.get(_KEY) if container is not None else None
        said = said or infos.account(environ, account).sysmeta.get(_KEY)
        return is_true(said) if said else self._is_read_only


def _written(environ: Environ) -> Iterator[tuple[str, str | None]]:
    """(account, container) of what a request writes; nothing for other paths."""
    path = client_path_of(environ)
    if path is None or path.account is None:
        return
    if environ["REQUEST_METHOD"] != "COPY":
        yield path.account, path.container
        return
    account = text_of(unquote(environ.get("HTTP_DESTINATION_ACCOUNT", ""), encoding="latin-1")) or path.account
    destination = text_of(unquote(environ.get("HTTP_DESTINATION", ""), encoding="latin-1"))
    yield account, _container_of(destination, path)


def _container_of(destination: str, path: ClientPath) -> str | None:
    return destination.lstrip("/").partition("/")[0] or path.container


@reads(ReadOnlySettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], ReadOnly]:
    settings = settings_for(ReadOnlySettings, global_conf, local_conf)
    capabilities.register("read_only")
    return lambda app: ReadOnly(app, settings)
