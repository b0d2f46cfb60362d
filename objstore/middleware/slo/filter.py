"""slo: which requests are about static large objects. Everything else goes by with a look at its method and query."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from objstore.config.boot import settings_for
from objstore.config.settings import reads
from objstore.core.headers import is_true
from objstore.http import capabilities
from objstore.http.environ import Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.request import Request
from objstore.http.response import page
from objstore.http.status import HTTPStatus
from objstore.middleware.listing_rows import Row, rewritten, taken
from objstore.middleware.slo.delete import SloDelete
from objstore.middleware.slo.put import SloPut
from objstore.middleware.slo.read import SloRead
from objstore.middleware.slo.settings import SEGMENT_BYTES_MIN, SloSettings

_FLAG_KEY = "HTTP_X_STATIC_LARGE_OBJECT"


class Slo:
    def __init__(self, app: WSGIApp, settings: SloSettings) -> None:
        self._app = app
        self._settings = settings
        self._read = SloRead(app, settings)
        self._put = SloPut(app, settings)
        self._delete = SloDelete(app, settings)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method in ("GET", "HEAD"):
            path = client_path_of(environ)
            if path is not None and path.obj is not None:
                return self._read(environ, start_response, path)
            if path is not None and path.container is not None and method == "GET":
                return rewritten(self._app, environ, start_response, b"slo_etag=", _show_etag)
        elif method in ("PUT", "POST", "DELETE"):
            if _FLAG_KEY in environ and method != "DELETE":
                why = "X-Static-Large-Object is set by the cluster alone; PUT a manifest with ?multipart-manifest=put."
                return page(HTTPStatus.BAD_REQUEST, why)(environ, start_response)
            if "multipart-manifest" in environ.get("QUERY_STRING", ""):
                return self._asked(environ, start_response, method)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _asked(self, environ: Environ, start_response: StartResponse, method: str) -> Iterable[bytes]:
        """A change that says multipart-manifest."""
        path = client_path_of(environ)
        query = Request(environ).query
        what = query.get("multipart-manifest")
        if path is not None and path.obj is not None:
            if method == "PUT" and what == "put":
                return self._put(environ, start_response, path)
            if method == "DELETE" and what == "delete":
                if is_true(query.get("async")) and self._settings.allow_async_delete:
                    return self._delete.leave_to_expirer(environ, start_response, path)
                return self._delete(environ, start_response, path)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body


def _show_etag(row: Row) -> None:
    """Bare in the row (formats 8.2), in quotes where clients see it. Rows of former days have the quotes already."""
    found = taken(row, ("slo_etag",))
    if found:
        row["slo_etag"] = '"{}"'.format(found["slo_etag"].strip('"'))


@reads(SloSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Slo]:
    settings = settings_for(SloSettings, global_conf, local_conf)
    capabilities.register(
        "slo",
        max_manifest_segments=settings.max_manifest_segments,
        max_manifest_size=settings.max_manifest_size,
        yield_frequency=settings.yield_frequency,
        min_segment_size=SEGMENT_BYTES_MIN,
        allow_async_delete=settings.allow_async_delete,
    )
    return lambda app: Slo(app, settings)
