"""versioned_writes: which requests are about versions. Who decides is the container; its facts come from the cache that
the proxy asks anyway, and a request for an object of an ordinary container goes by with that one look.

What a container was told stays in force when its switch in the settings is turned off: objects that are protected by
versions do not lose that by an edit of a file. The switches keep anybody from asking for it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import load_cluster
from objstore.config.settings import reads
from objstore.core.errors import BadRequest
from objstore.core.info import ContainerInfo
from objstore.core.limits import Limits
from objstore.core.names import ClientPath, is_reserved
from objstore.http import capabilities
from objstore.http import environ as keys
from objstore.http.environ import Environ, InfoService, StartResponse, WSGIApp, client_path_of
from objstore.http.response import page
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import call
from objstore.middleware.versioning.containers import ContainerVersions, asks_for_versions
from objstore.middleware.versioning.legacy import LegacyVersions, location_of
from objstore.middleware.versioning.names import NULL, parse_id
from objstore.middleware.versioning.objects import VERSION_ID, ObjectVersions, asked_id
from objstore.middleware.versioning.settings import VersionedWritesSettings
from objstore.runtime.clock import Clock, SystemClock

_OBJECT_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})


class VersionedWrites:
    def __init__(
        self, app: WSGIApp, settings: VersionedWritesSettings, limits: Limits, clock: Clock | None = None
    ) -> None:
        self._app = app
        clock = clock or SystemClock()
        self._objects = ObjectVersions(app, clock)
        self._containers = ContainerVersions(app, settings, limits)
        self._legacy = LegacyVersions(app, clock)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = client_path_of(environ)
        if path is not None and path.container is not None and not is_reserved(path.container):
            method = environ["REQUEST_METHOD"]
            if path.obj is None:
                return self._container(environ, start_response, path, method)
            if method in _OBJECT_METHODS:
                return self._object(environ, start_response, path, self._info(environ, path), method)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _info(self, environ: Environ, path: ClientPath) -> ContainerInfo:
        assert path.account is not None and path.container is not None
        infos: InfoService = environ[keys.INFO]
        return infos.container(environ, path.account, path.container)

    def _object(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo, method: str
    ) -> Iterable[bytes]:
        if info.sysmeta.get("versions-container"):
            return self._objects(environ, start_response, path, info)
        found = location_of(info)
        if found is not None:
            location, mode = found
            if method == "PUT":
                return self._legacy.put(environ, start_response, path, info, location)
            if method == "DELETE":
                return self._legacy.delete(environ, start_response, path, info, location, mode)
        if "version-id" in environ.get("QUERY_STRING", ""):
            return self._without_versions(environ, start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _without_versions(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """version-id where no versions are kept: the null version is what is there."""
        asked = asked_id(environ)
        try:
            at = parse_id(asked) if asked else None
        except BadRequest as error:
            return page(HTTPStatus.BAD_REQUEST, error.reason)(environ, start_response)
        method = environ["REQUEST_METHOD"]
        if at is not None or (asked and method in ("PUT", "POST")):
            return page(HTTPStatus.BAD_REQUEST, "This container keeps no versions.")(environ, start_response)
        answer = call(self._app, environ)
        shown = [(VERSION_ID, NULL)] if asked and method in ("GET", "HEAD") else []
        start_response(answer.status_line, [*answer.header_list, *shown])
        return answer.body

    def _container(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, method: str
    ) -> Iterable[bytes]:
        if method in ("PUT", "POST"):
            if asks_for_versions(environ):
                return self._containers.change(environ, start_response, path, self._info(environ, path))
        elif method in ("GET", "HEAD"):
            return self._containers.read(environ, start_response, path, self._info(environ, path))
        elif method == "DELETE" and self._info(environ, path).sysmeta.get("versions-container"):
            return self._containers.delete(environ, start_response, path)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body


@reads(VersionedWritesSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], VersionedWrites]:
    settings = settings_for(VersionedWritesSettings, global_conf, local_conf)
    limits = load_cluster(swift_dir_of(global_conf)).limits
    if settings.allow_versioned_writes:
        capabilities.register("versioned_writes", allowed_flags=["x-versions-location", "x-history-location"])
    if settings.allow_object_versioning:
        capabilities.register("object_versioning")
    return lambda app: VersionedWrites(app, settings, limits)
