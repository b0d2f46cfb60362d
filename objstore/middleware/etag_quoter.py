"""etag_quoter: Etags in quotes, as RFC 9110 8.8.3 has them, for accounts and containers that want that.

    X-Account-Rfc-Compliant-Etags, X-Container-Rfc-Compliant-Etags    true, false or nothing: then what is above counts

Swift's clients know Etags without quotes, so it is off unless an owner, or the cluster, says otherwise. Feature A3.12.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, boolean, reads, setting
from objstore.core.headers import is_true
from objstore.core.names import ClientPath
from objstore.http import capabilities
from objstore.http.environ import INFO, Environ, StartResponse, WSGIApp, client_path_of

_KEY = "rfc-compliant-etags"
_KINDS = ("ACCOUNT", "CONTAINER")


@dataclass(frozen=True)
class EtagQuoterSettings(Settings):
    enable_by_default: bool = setting("no", boolean, "Quote Etags where neither account nor container says anything.")


class EtagQuoter:
    def __init__(self, app: WSGIApp, settings: EtagQuoterSettings) -> None:
        self._app = app
        self._default = settings.enable_by_default

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = client_path_of(environ)
        if path is not None and path.account is not None:
            if path.obj is None:
                _take(environ, _KINDS[path.container is not None])
                start_response = _showing(start_response, _KINDS[path.container is not None].lower())
            elif self._quotes(environ, path):
                start_response = _quoting(start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _quotes(self, environ: Environ, path: ClientPath) -> bool:
        infos = environ[INFO]
        said = infos.container(environ, path.account, path.container).sysmeta.get(_KEY)
        said = said or infos.account(environ, path.account).sysmeta.get(_KEY)
        return is_true(said) if said else self._default


def _take(environ: Environ, kind: str) -> None:
    """Move what the owner sets to where it is kept."""
    value = environ.pop(f"HTTP_X_{kind}_RFC_COMPLIANT_ETAGS", None)
    if value is not None and environ["REQUEST_METHOD"] in ("PUT", "POST"):
        environ[f"HTTP_X_{kind}_SYSMETA_RFC_COMPLIANT_ETAGS"] = str(is_true(value)) if value else ""


def _showing(start_response: StartResponse, kind: str) -> StartResponse:
    kept, shown = f"x-{kind}-sysmeta-{_KEY}", f"X-{kind.title()}-Rfc-Compliant-Etags"

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        said = [(shown, value) for name, value in headers if name.lower() == kept]
        return start_response(status, headers + said, *exc_info)

    return start


def _quoting(start_response: StartResponse) -> StartResponse:
    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        # The filter for large objects quotes their Etags by itself; that of a manifest's own text stays as it is.
        if not any(name.lower() == "x-static-large-object" for name, _ in headers):
            headers = [(name, _quoted(value) if name.lower() == "etag" else value) for name, value in headers]
        return start_response(status, headers, *exc_info)

    return start


def _quoted(etag: str) -> str:
    return etag if etag.startswith(('"', 'W/"')) else f'"{etag}"'


@reads(EtagQuoterSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], EtagQuoter]:
    settings = settings_for(EtagQuoterSettings, global_conf, local_conf)
    capabilities.register("etag_quoter", enable_by_default=settings.enable_by_default)
    return lambda app: EtagQuoter(app, settings)
