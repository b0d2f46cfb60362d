"""DELETE ?multipart-manifest=delete: the segments, then the manifest, with the rights of the client.

The manifest goes last, and only when every segment is gone: a deletion that is cut off can be asked for again. A link
to a manifest is no manifest, here and among the segments: nothing beyond it is deleted. With async=on the segments are
left to the expirer: entries in its queue are written first, then the manifest goes.
Source: feature A4.5; formats 4.15, 8.2.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from objstore.core.names import ClientPath, quoted, wsgi_of
from objstore.http import environ as keys
from objstore.http.access import denial
from objstore.http.environ import DeletionService, Environ, InfoService, StartResponse, WSGIApp
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus, reason, status_line
from objstore.http.subrequest import call, child_environ
from objstore.middleware.bulk_report import TEXT, Report, report_type
from objstore.middleware.heartbeat import HeartbeatBody
from objstore.middleware.slo.headers import is_manifest
from objstore.middleware.slo.manifest import BrokenManifest, Manifest
from objstore.middleware.slo.settings import DEPTH_MAX, STORED_BYTES_MAX, SloSettings
from objstore.runtime.several import several

_log = logging.getLogger("objstore.slo")
_ROOT = "delete"
_DELETED, _MISSING = "Number Deleted", "Number Not Found"
_ERRORS_SHOWN = 1000


class Unreadable(Exception):
    """A manifest that cannot be had."""

    def __init__(self, name: str, status: int, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.status = status
        self.why = why


class SloDelete:
    def __init__(self, app: WSGIApp, settings: SloSettings) -> None:
        self._app = app
        self._settings = settings

    def __call__(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        type_ = report_type(environ) or TEXT
        start_response(status_line(HTTPStatus.OK), [("Content-Type", type_)])
        return HeartbeatBody(
            lambda: self._report(environ, path).render(type_), first=b"", interval_s=self._settings.yield_frequency
        )

    def leave_to_expirer(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        """async=on: entries for all segments in the expirer's queue, then the manifest goes."""
        own_name = f"/{path.container}/{path.obj}"
        try:
            manifest = self._read(environ, path, own_name, _version_query(environ))
            refused = self._queue(environ, path, manifest)
        except Unreadable as error:
            refused = page(error.status, error.why)
        if refused is not None:
            return refused(environ, start_response)
        environ["QUERY_STRING"] = _version_query(environ)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _queue(self, environ: Environ, path: ClientPath, manifest: Manifest) -> Response | None:
        segments = [segment for segment in manifest.segments if segment.data is None]
        containers = {segment.name.split("/", 2)[1] for segment in segments}
        if len(containers) != 1 or any(segment.is_manifest for segment in segments):
            why = "async=on needs all segments in one container, and no manifests among them."
            return page(HTTPStatus.BAD_REQUEST, why)
        (container,) = containers
        child = child_environ(environ, "DELETE", _path(path, f"/{container}"), source="SLO")
        assert path.account is not None
        infos: InfoService = environ[keys.INFO]
        deletions: DeletionService = environ[keys.DELETIONS]
        info = infos.container(child, path.account, container)
        # What the expirer deletes it deletes with nobody's rights: the client's are asked here, as for each segment.
        child["PATH_INFO"] = _path(path, segments[0].name)
        denied = denial(Request(child), info.write_acl)
        if denied is not None:
            return denied
        names = list(dict.fromkeys(segment.name.split("/", 2)[2] for segment in segments))
        if not deletions.delete_later(child, path.account, container, names):
            return page(HTTPStatus.SERVICE_UNAVAILABLE, "The segments could not be queued for deletion; try again.")
        return None

    def _report(self, environ: Environ, path: ClientPath) -> Report:
        report = Report(_ROOT, _DELETED, _MISSING)
        try:
            self._delete(environ, path, report)
        except Exception:  # The request boundary: 200 has been sent, and catch_errors is past.
            _log.exception("a static large object could not be deleted")
            report.fail(HTTPStatus.INTERNAL_SERVER_ERROR, reason(HTTPStatus.INTERNAL_SERVER_ERROR))
        return report

    def _delete(self, environ: Environ, path: ClientPath, report: Report) -> None:
        own_name = f"/{path.container}/{path.obj}"
        version = _version_query(environ)
        try:
            names = self.segment_names(environ, path, own_name, version)
        except Unreadable as error:
            if error.status == HTTPStatus.NOT_FOUND:
                report.counts[_MISSING] = 1
                return
            report.fail(error.status, "")
            report.errors.append((quoted(error.name), error.why))
            return
        several(self._settings.delete_concurrency, lambda name: self._remove(environ, path, name, "", report), names)
        if not report.errors:
            self._remove(environ, path, own_name, version, report)
        if report.errors:
            report.fail(HTTPStatus.BAD_REQUEST, "")

    def segment_names(self, environ: Environ, path: ClientPath, name: str, version: str = "") -> list[str]:
        """Every object that the manifest and those within it name, each once, inner manifests after what they name.
        Raises Unreadable."""
        names: dict[str, None] = {}
        self._collect(environ, path, name, version, names, 1)
        names.pop(name, None)
        return list(names)

    def _collect(
        self, environ: Environ, path: ClientPath, name: str, version: str, names: dict[str, None], depth: int
    ) -> None:
        manifest = self._read(environ, path, name, version)
        for segment in manifest.segments:
            if segment.data is not None or segment.name in names:
                continue
            if segment.is_manifest and depth < DEPTH_MAX:
                try:
                    self._collect(environ, path, segment.name, "", names, depth + 1)
                except Unreadable as error:
                    if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
                        raise
            names[segment.name] = None

    def _read(self, environ: Environ, path: ClientPath, name: str, version: str) -> Manifest:
        # What a link leads to is not deleted with the link: it is read as the empty object that it is.
        query = f"{version}&symlink=get" if version else "symlink=get"
        child = child_environ(
            environ, "GET", _path(path, name), source="SLO", query=query, headers={"x-newest": "true"}
        )
        answer = call(self._app, child)
        if answer.status != HTTPStatus.OK:
            answer.discard()
            raise Unreadable(name, answer.status, answer.status_line)
        if not is_manifest(answer.header_list):
            answer.close()
            raise Unreadable(name, HTTPStatus.BAD_REQUEST, "Not an SLO manifest")
        try:
            return Manifest.load(answer.read(STORED_BYTES_MAX))
        except BrokenManifest as error:
            raise Unreadable(name, HTTPStatus.CONFLICT, str(error)) from None

    def _remove(self, environ: Environ, path: ClientPath, name: str, version: str, report: Report) -> None:
        child = child_environ(environ, "DELETE", _path(path, name), source="SLO", query=version)
        child["CONTENT_LENGTH"] = "0"
        answer = call(self._app, child)
        answer.discard()
        if answer.is_success:
            report.counts[_DELETED] += 1
        elif answer.status == HTTPStatus.NOT_FOUND:
            report.counts[_MISSING] += 1
        elif len(report.errors) < _ERRORS_SHOWN:
            report.errors.append((quoted(name), answer.status_line))


def _path(path: ClientPath, name: str) -> str:
    return wsgi_of(f"/{path.version}/{path.account}{name}")


def _version_query(environ: Environ) -> str:
    """The client's version-id, for the manifest alone."""
    parts = environ.get("QUERY_STRING", "").split("&")
    return "&".join(part for part in parts if part.startswith("version-id="))
