"""container_sync: requests that another cluster signs with a realm's key, for a container whose key it knows.

Such a request is let through with the X-Timestamp it came with, because a synced object is as old as its original. The
realms stand in container-sync-realms.conf; what a container may be synced to is checked where it is set, here and by
the container servers. Clusters that share no realm say the container's key itself, in X-Container-Sync-Key; that is
believed of the hosts that allowed_sync_hosts names, of none by default. Source: features A2.9; formats 6.10.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.settings import Kind, Settings, boolean, reads, setting
from objstore.config.sync_realms import LiveRealms
from objstore.core.errors import BadRequest
from objstore.core.names import ClientPath, quoted, text_of
from objstore.core.sync_realms import Realms, SignedMessage, SyncAuth
from objstore.http import capabilities
from objstore.http import environ as keys
from objstore.http.environ import Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus

_AUTH = "HTTP_X_CONTAINER_SYNC_AUTH"
_TO = "HTTP_X_CONTAINER_SYNC_TO"
_KEY = "HTTP_X_CONTAINER_SYNC_KEY"
_INBOUND = "HTTP_X_BACKEND_INBOUND_X_TIMESTAMP"
_TEXT = "text/plain"


def _current(text: str) -> tuple[str, str] | None:
    parts = text.strip().strip("/").upper().split("/")
    if parts == [""]:
        return None
    if len(parts) != 2 or not all(parts):
        raise ValueError("no //realm/cluster")
    return parts[0], parts[1]


def _addresses(text: str) -> frozenset[str]:
    return frozenset(str(ip_address(item.strip())) for item in text.split(",") if item.strip())


@dataclass(frozen=True)
class ContainerSyncSettings(Settings):
    allow_full_urls: bool = setting(
        "yes", boolean, "Let containers be synced to URLs of allowed_sync_hosts, not only to clusters of realms."
    )
    current: tuple[str, str] | None = setting(
        "", Kind(_current, "//realm/cluster"), "Which cluster of which realm this one is, as /info shows it."
    )
    allowed_sync_hosts: frozenset[str] = setting(
        "",
        Kind(_addresses, "IP addresses separated by commas"),
        "Addresses of clusters that do not know realms: their requests need the container's key only.",
    )


class ContainerSync:
    def __init__(self, app: WSGIApp, settings: ContainerSyncSettings, realms: Callable[[], Realms]) -> None:
        self._app = app
        self._allows_urls = settings.allow_full_urls
        self._key_hosts = settings.allowed_sync_hosts
        self._realms = realms

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        refused = None
        if _AUTH in environ or _TO in environ or (_KEY in environ and self._key_hosts):
            path = client_path_of(environ)
            if path is not None and path.container is not None:
                refused = self._target_refusal(environ, path) or self._admit(environ, path)
        body: Iterable[bytes] = (refused or self._app)(environ, start_response)
        return body

    def _target_refusal(self, environ: Environ, path: ClientPath) -> Response | None:
        target = environ.get(_TO, "")
        if path.obj is not None or not target or environ["REQUEST_METHOD"] not in ("PUT", "POST"):
            return None
        if not target.startswith("//"):
            if self._allows_urls:
                return None  # The container servers know which hosts are allowed.
            why = "X-Container-Sync-To: only //realm/cluster/account/container is allowed here"
            return page(HTTPStatus.BAD_REQUEST, why)
        try:
            self._realms().address(target, ())
        except BadRequest as error:
            return page(HTTPStatus.BAD_REQUEST, error.reason)
        return None

    def _admit(self, environ: Environ, path: ClientPath) -> Response | None:
        """None lets the request go on (as another cluster's, if it is signed as such); a response refuses it."""
        text = environ.get(_AUTH)
        if text is None:
            if path.obj is not None and self._has_key(environ, path):
                self._let_in(environ)
            return None
        auth = SyncAuth.parse(text)
        realm = self._realms().of(auth.realm) if auth is not None else None
        info = environ[keys.INFO].container(environ, path.account, path.container)
        if auth is None or realm is None or not info.sync_key:
            return _unsigned(path)
        # As it stands in the request line: both sides must mean the same object by it.
        signed_path = quoted(text_of(environ["PATH_INFO"]))
        message = SignedMessage(environ["REQUEST_METHOD"], signed_path, environ.get(_INBOUND, ""))
        if not realm.is_signed(auth, message, info.sync_key):
            return _unsigned(path)
        self._let_in(environ)
        return None

    def _has_key(self, environ: Environ, path: ClientPath) -> bool:
        """Whether it comes from a host that needs no realm, says the container's key and how old the object is. Any
        other request goes on as a client's: the auth filter judges it."""
        said = environ.get(_KEY, "")
        if not said or _INBOUND not in environ or environ.get("REMOTE_ADDR") not in self._key_hosts:
            return False
        known = environ[keys.INFO].container(environ, path.account, path.container).sync_key
        return bool(known) and hmac.compare_digest(
            known.encode("latin-1", "replace"), said.encode("latin-1", "replace")
        )

    @staticmethod
    def _let_in(environ: Environ) -> None:
        environ[keys.AUTHORIZE_OVERRIDE] = True
        environ[keys.SYNCED] = True
        if _INBOUND in environ:
            environ["HTTP_X_TIMESTAMP"] = environ.pop(_INBOUND)


def _unsigned(path: ClientPath) -> Response:
    """One answer for every reason."""
    realm = quoted(path.account or "").replace('"', "%22")
    headers = {"content-type": _TEXT, "www-authenticate": f'SwiftContainerSync realm="{realm}"'}
    return Response(
        HTTPStatus.UNAUTHORIZED, headers, b"X-Container-Sync-Auth header not valid; contact cluster operator."
    )


@reads(ContainerSyncSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], ContainerSync]:
    settings = settings_for(ContainerSyncSettings, global_conf, local_conf)
    live = LiveRealms(swift_dir_of(global_conf))
    capabilities.register("container_sync", realms=_shown(live.current, settings.current))
    return lambda app: ContainerSync(app, settings, lambda: live.current)


def _shown(realms: Realms, current: tuple[str, str] | None) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, realm in realms.realms.items():
        clusters: dict[str, object] = {
            cluster: {"current": True} if (name, cluster) == current else {} for cluster in realm.clusters
        }
        found[name] = {"clusters": clusters}
    return found
