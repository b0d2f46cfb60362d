"""The proxy server: a WSGI application that finds, asks and decides, and keeps nothing itself.

Request → names (routing) → method → authorization → the handler of an account, a container or an object. A handler
returns a Response; what it raises is answered by the one table of errors, and the last resort is a 500 with a line in
the log. Filters stand around it; internal clients call it in the same process. Source: features A1 to A3, B4.20.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import Cluster, load_cluster
from objstore.config.errors import ConfigError, located
from objstore.config.inifile import read_ini
from objstore.config.settings import reads
from objstore.core.errors import (
    BadRequest,
    BodyTooLarge,
    ClientDisconnected,
    ClientTooSlow,
    InvalidName,
    UnknownPolicy,
)
from objstore.core.headers import title
from objstore.core.names import ClientPath
from objstore.http.access import denial
from objstore.http.client import ConnectionPool
from objstore.http.environ import (
    DELETIONS,
    INFO,
    SMALL_OBJECTS,
    Environ,
    StartResponse,
    WSGIApp,
    client_path_of,
)
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.http.status import CLIENT_CLOSED_REQUEST, HTTPStatus
from objstore.proxy import cors, discovery
from objstore.proxy.accounts import Accounts
from objstore.proxy.answers import headless
from objstore.proxy.collect import Collector, reads_plainly
from objstore.proxy.containers import Containers
from objstore.proxy.cors import ClusterRules, Rules
from objstore.proxy.deletions import Deletions
from objstore.proxy.info import Infos
from objstore.proxy.objects_read import ObjectReads
from objstore.proxy.objects_write import ObjectWrites
from objstore.proxy.routing import METHODS, Refusal, route
from objstore.proxy.services import Rings, Services
from objstore.proxy.settings import ProxySettings
from objstore.proxy.unserved import Unserved
from objstore.ring.reload import ReloadingRing
from objstore.runtime import generations
from objstore.runtime.clock import SystemClock

Handler = Callable[[Request, ClientPath], Response]
_CONSTRAINT = "text/plain"


class ProxyApp:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings = services.settings
        self.infos = Infos(services)
        self._deletions = Deletions(services)
        self._cors = ClusterRules(
            self._settings.cors_allow_origin,
            tuple(map(str.lower, self._settings.cors_expose_headers)),
            self._settings.strict_cors_mode,
        )
        self._discovery = discovery.Discovery(services.settings, services.clock)
        self._unserved: Unserved | None = None
        self._collector = Collector(services, self.infos)
        self._collects = False
        accounts = Accounts(services, self.infos)
        containers = Containers(services, self.infos, accounts)
        reads = ObjectReads(services, self.infos)
        writes = ObjectWrites(services, self.infos)
        self._accounts: dict[str, Handler] = {
            "GET": accounts.read,
            "HEAD": accounts.read,
            "PUT": accounts.put,
            "POST": accounts.post,
            "DELETE": accounts.delete,
        }
        self._containers: dict[str, Handler] = {
            "GET": containers.read,
            "HEAD": containers.read,
            "PUT": containers.put,
            "POST": containers.post,
            "DELETE": containers.delete,
        }
        self._objects: dict[str, Handler] = {
            "GET": reads.read,
            "HEAD": reads.read,
            "PUT": writes.put,
            "POST": writes.post,
            "DELETE": writes.delete,
        }
        # These know the ACL that counts only after asking for the container, so they ask for permission themselves.
        self._asks_itself = {containers.read, reads.read, writes.put, writes.post, writes.delete}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ[INFO] = self.infos
        request = Request(environ)
        response = self._guarded(request)
        if request.method == "HEAD":
            response = headless(response)
        return response(environ, start_response)

    def stands_behind(self, filters: Iterable[str]) -> None:
        """Told while a client's pipeline is built: the entry points of all its filters, in order (proxy/unserved)."""
        names = list(filters)
        self._unserved = Unserved(names)
        self._collects = reads_plainly(names)

    def at_the_edge(self, pipeline: WSGIApp) -> WSGIApp:
        """The pipeline around this application, with its services in every environ before the first filter."""
        infos, deletions = self.infos, self._deletions
        collector = self._collector if self._collects else None

        def enter(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            environ[INFO] = infos
            environ[DELETIONS] = deletions
            if collector is not None:
                environ[SMALL_OBJECTS] = collector
            if "HTTP_ORIGIN" in environ and environ["REQUEST_METHOD"] != "OPTIONS":
                start_response = self._for_scripts(environ, start_response)
            body: Iterable[bytes] = pipeline(environ, start_response)
            return body

        return enter

    def _for_scripts(self, environ: Environ, start_response: StartResponse) -> StartResponse:
        """A page may read what a filter answers by itself (a refusal, most of the time) as it may what comes from
        here."""

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            shown = {name.lower(): value for name, value in headers}
            path = self._path_of(environ)
            if "access-control-allow-origin" not in shown and path is not None:
                self._cors_rules(environ, path).decorate(environ["HTTP_ORIGIN"], shown)
                headers = [pair for pair in headers if pair[0].lower() != "vary"]
                headers += [(title(name), shown[name]) for name in cors.ADDED if name in shown]
            return start_response(status, headers, *exc_info)

        return start

    def _path_of(self, environ: Environ) -> ClientPath | None:
        """None for what is no account, container or object."""
        try:
            path = client_path_of(environ)
        except InvalidName:
            return None
        known = path is not None and path.version in self._services.cluster.limits.valid_api_versions
        return path if known else None

    def _guarded(self, request: Request) -> Response:
        try:
            return self._respond(request)
        except BadRequest as error:
            return _constraint(HTTPStatus.BAD_REQUEST, error.reason)
        except BodyTooLarge as error:
            return _constraint(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
        except ClientDisconnected:
            return page(CLIENT_CLOSED_REQUEST)
        except ClientTooSlow:
            return page(HTTPStatus.REQUEST_TIMEOUT)
        except UnknownPolicy as error:
            self._services.logger.error("request failed: path=%r reason=%r", request.path, str(error))
            return page(HTTPStatus.SERVICE_UNAVAILABLE)
        except Exception:  # The request boundary.
            self._services.logger.exception("method=%s path=%r: unexpected error", request.method, request.path)
            return page(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error; the server's log says more")

    def _respond(self, request: Request) -> Response:
        environ = request.environ
        denied_hosts = self._settings.deny_host_headers
        if denied_hosts and environ.get("HTTP_HOST", "").rsplit(":", 1)[0] in denied_hosts:
            return page(HTTPStatus.FORBIDDEN, "Invalid host header")
        if environ["PATH_INFO"] == discovery.PATH:
            response = self._discovery.respond(request)
            if "HTTP_ORIGIN" in environ:
                cors.open_to_all(environ["HTTP_ORIGIN"], response.headers)
            return response
        path = route(environ, self._services.cluster.limits)
        if isinstance(path, Refusal):
            return path.response
        refused = None if self._unserved is None else self._unserved.refusal(environ)
        if refused is not None:
            return refused
        handlers = self._objects if path.obj else self._containers if path.container else self._accounts
        if request.method == "OPTIONS":
            return self._cors_rules(environ, path).preflight(request, METHODS)
        response = self._handled(request, path, handlers)
        if "HTTP_ORIGIN" in environ:
            self._cors_rules(environ, path).decorate(environ["HTTP_ORIGIN"], response.headers)
        return response

    def _cors_rules(self, environ: Environ, path: ClientPath) -> Rules:
        """Read after the request is done: what it has changed counts."""
        if path.account is None or path.container is None:
            return Rules.of(self._cors, {})
        return Rules.of(self._cors, self.infos.container(environ, path.account, path.container).meta)

    def _handled(self, request: Request, path: ClientPath, handlers: dict[str, Handler]) -> Response:
        handler = handlers.get(request.method)
        if handler is None:
            return page(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": METHODS})
        if handler not in self._asks_itself:
            denied = denial(request)
            if denied is not None:
                return denied
        return handler(request, path)


def _constraint(status: int, reason: str) -> Response:
    return Response(status, {"content-type": _CONSTRAINT}, reason.encode("utf-8", "surrogateescape"))


def make_services(
    cluster: Cluster, settings: ProxySettings, policy_settings: Mapping[int, ProxySettings], logger: logging.Logger
) -> Services:
    """Services over the ring files beside swift.conf. Raises RingFileError for one that cannot be used."""
    directory = cluster.swift_dir
    rings = Rings(
        ReloadingRing(directory / "account.ring.gz"),
        ReloadingRing(directory / "container.ring.gz"),
        {policy.index: ReloadingRing(directory / f"{policy.ring_name}.ring.gz") for policy in cluster.policies},
    )
    for ring in (rings.account, rings.container, *rings.objects.values()):
        ring.current  # noqa: B018  (read now: a server does not start with a ring it cannot use)
    return Services(
        cluster, settings, policy_settings, rings, ConnectionPool(), SystemClock(), generations.create(), logger
    )


@reads(ProxySettings)
def app_factory(global_conf: Mapping[str, str], **local_conf: str) -> ProxyApp:
    """paste.app_factory. Raises ConfigError with every problem of this section and of [proxy-server:policy:N]."""
    settings = settings_for(ProxySettings, global_conf, local_conf)
    cluster = load_cluster(swift_dir_of(global_conf))
    policy_settings = _policy_settings(global_conf.get("__file__", ""), settings, cluster)
    logger = logging.getLogger("objstore.proxy")
    discovery.register(cluster, settings)
    return ProxyApp(make_services(cluster, settings, policy_settings, logger))


def _policy_settings(file: str, settings: ProxySettings, cluster: Cluster) -> dict[int, ProxySettings]:
    """Settings of the policies that have a section [proxy-server:policy:N] in the proxy's file."""
    found: dict[int, ProxySettings] = {}
    problems = []
    sections = read_ini(Path(file)).sections if file else {}
    for name, entries in sections.items():
        if not name.startswith("proxy-server:policy:"):
            continue
        policy = cluster.policies.by_index(name.rpartition(":")[2])
        own, wrong = settings.for_policy({key: entry.value for key, entry in entries.items()})
        problems += located(wrong, file, name)
        if policy is not None:
            found[policy.index] = own
    if problems:
        raise ConfigError(problems)
    return found
