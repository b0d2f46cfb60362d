"""bulk: many objects by one request: an archive that is unpacked, a list of names that is deleted.

The answer is 200 before the work begins, with a blank now and then; what came of it stands in the report at its end.
Source: features A2.10, A5.5, A5.6; Swift API guide, "Bulk operations".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import load_cluster
from objstore.config.settings import Settings, decimal, number, reads, setting
from objstore.core.names import ClientPath, wsgi_of
from objstore.http import capabilities
from objstore.http.environ import Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.request import Request
from objstore.http.response import HTML, page
from objstore.http.status import HTTPStatus, status_line
from objstore.middleware import bulk_delete, bulk_extract
from objstore.middleware.archive import MODES
from objstore.middleware.bulk_report import TEXT, Report, report_type
from objstore.middleware.heartbeat import HeartbeatBody

_ARCHIVE, _DELETE = "extract-archive", "bulk-delete"
_VERSIONS = frozenset({"v1", "v1.0"})


@dataclass(frozen=True)
class BulkSettings(Settings):
    max_containers_per_extraction: int = setting("10000", number(0), "Containers that one archive may make.")
    max_failed_extractions: int = setting("1000", number(1), "Files that may fail before an archive is given up.")
    max_deletes_per_request: int = setting("10000", number(1), "Names in one bulk delete.")
    max_failed_deletes: int = setting("1000", number(1), "Names that may fail before a bulk delete is given up.")
    delete_concurrency: int = setting("32", number(1, 100), "DELETEs that one request runs at once.")
    yield_frequency: float = setting(
        "10", decimal(0.1), "Seconds between the blanks that keep a waiting connection alive.", advanced=True
    )


class Bulk:
    def __init__(self, app: WSGIApp, settings: BulkSettings, file_bytes: int) -> None:
        """file_bytes: the largest object."""
        self._app = app
        self._interval_s = settings.yield_frequency
        self._deletion = bulk_delete.Limits(
            settings.max_deletes_per_request, settings.max_failed_deletes, settings.delete_concurrency
        )
        self._extraction = bulk_extract.Limits(
            settings.max_containers_per_extraction, settings.max_failed_extractions, file_bytes
        )

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        if _ARCHIVE in query or _DELETE in query:
            asked = Request(environ).query
            path = client_path_of(environ)
            if path is not None and path.account is not None and path.version in _VERSIONS:
                if _ARCHIVE in asked and environ["REQUEST_METHOD"] == "PUT":
                    return self._extract(environ, start_response, path, asked[_ARCHIVE])
                if _DELETE in asked and environ["REQUEST_METHOD"] in ("POST", "DELETE"):
                    return self._delete(environ, start_response, path)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _extract(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, format_: str
    ) -> Iterable[bytes]:
        format_ = format_.lower().strip(".")
        if format_ not in MODES:
            why = f"Unsupported archive format {format_!r}: expected one of {', '.join(MODES)}."
            return page(HTTPStatus.BAD_REQUEST, why)(environ, start_response)
        extraction = bulk_extract.Extraction(self._app, environ, path, self._extraction)
        run = partial(extraction.run, environ["wsgi.input"], format_)
        return self._answer(environ, start_response, extraction.report, run)

    def _delete(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        base = wsgi_of(f"/{path.version}/{path.account}")
        deletion = bulk_delete.Deletion(self._app, environ, base, self._deletion)
        return self._answer(environ, start_response, deletion.report, partial(deletion.run, environ["wsgi.input"]))

    def _answer(
        self, environ: Environ, start_response: StartResponse, report: Report, run: Callable[[], Report]
    ) -> Iterable[bytes]:
        """report: as it is when nothing is done. The real status always stands in it (http vectors bulk-*)."""
        request = Request(environ)
        type_ = report_type(environ)
        if type_ is None:
            report.fail(HTTPStatus.NOT_ACCEPTABLE, "")
            start_response(status_line(HTTPStatus.OK), [("Content-Type", HTML)])
            return HeartbeatBody(lambda: report.render(TEXT), first=b"")
        if request.content_length is None and not request.is_chunked:
            report.fail(HTTPStatus.LENGTH_REQUIRED, "")
            start_response(status_line(HTTPStatus.OK), [("Content-Type", type_)])
            return HeartbeatBody(lambda: report.render(type_), first=b"")
        # A client that waits for 100 Continue gets it before the 200, not after.
        environ["wsgi.input"].read(0)
        start_response(status_line(HTTPStatus.OK), [("Content-Type", type_)])
        return HeartbeatBody(lambda: run().render(type_), first=b"", interval_s=self._interval_s)


@reads(BulkSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Bulk]:
    settings = settings_for(BulkSettings, global_conf, local_conf)
    limits = load_cluster(swift_dir_of(global_conf)).limits
    capabilities.register(
        "bulk_upload",
        max_containers_per_extraction=settings.max_containers_per_extraction,
        max_failed_extractions=settings.max_failed_extractions,
    )
    capabilities.register(
        "bulk_delete",
        max_deletes_per_request=settings.max_deletes_per_request,
        max_failed_deletes=settings.max_failed_deletes,
    )
    return lambda app: Bulk(app, settings, limits.max_file_size)
