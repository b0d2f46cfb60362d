"""PUT ?multipart-manifest=put: parse, look at every segment, store. Nothing is stored unless every segment is right.

The segments are looked at several at a time, each once however often it is named, with the rights of the client. With
heartbeat=on the answer begins at once and its status stands in the report at the end, because looking at a thousand
segments of a busy cluster may take longer than a load balancer waits. Source: features A4.1, A4.2; formats 8.2.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from objstore.core import ranges
from objstore.core.errors import BodyTooLarge
from objstore.core.headers import environ_key, is_true
from objstore.core.names import ClientPath, quoted, wsgi_of
from objstore.core.row_etag import joined
from objstore.core.timestamp import InvalidTimestamp, Timestamp
from objstore.http import environ as keys
from objstore.http.access import denial
from objstore.http.environ import Environ, InfoService, StartResponse, WSGIApp
from objstore.http.errors import error_response
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus, is_success, reason, status_line
from objstore.http.subrequest import BytesInput, call, child_environ
from objstore.middleware.bulk_report import TEXT, Report, report_type
from objstore.middleware.heartbeat import HeartbeatBody
from objstore.middleware.slo.headers import FLAG, OVERRIDE_ETAG, SLO_ETAG, SLO_SIZE, is_manifest, without_bytes
from objstore.middleware.slo.manifest import Manifest, Segment
from objstore.middleware.slo.settings import SEGMENT_BYTES_MIN, SloSettings
from objstore.middleware.slo.wanted import BadEntries, NotAManifest, TooManySegments, WantedSegment, parse
from objstore.runtime.several import several

_log = logging.getLogger("objstore.slo")
_ROOT = "upload"
_ANSWER_BYTES = 65536


@dataclass(frozen=True, slots=True)
class _Found:
    """What a HEAD of a segment's object told; problem: why it cannot be a segment."""

    size: int = 0
    etag: str = ""
    content_type: str = ""
    last_modified: str = ""
    is_manifest: bool = False
    problem: str = ""
    is_ours: bool = False
    """The problem is the cluster's: a retry may work."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a PUT came to."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    failures: list[tuple[str, str]] = field(default_factory=list)


class SloPut:
    def __init__(self, app: WSGIApp, settings: SloSettings) -> None:
        self._app = app
        self._settings = settings

    def __call__(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        request = Request(environ)
        own_name = f"/{path.container}/{path.obj}"
        assert path.account is not None and path.container is not None
        infos: InfoService = environ[keys.INFO]
        # Before anything is read or looked at: a thousand questions for a stranger's request are a thousand too many.
        denied = denial(request, infos.container(environ, path.account, path.container).write_acl)
        if denied is not None:
            return denied(environ, start_response)
        try:
            body = self._manifest_body(request)
            wanted = parse(body, own_name, self._settings.max_manifest_segments)
        except (BodyTooLarge, TooManySegments) as error:
            return page(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))(environ, start_response)
        except NotAManifest as error:
            return page(HTTPStatus.BAD_REQUEST, str(error))(environ, start_response)
        except BadEntries as error:
            text = "".join(f"{problem}\n" for problem in error.problems).encode("utf-8", "replace")
            return Response(HTTPStatus.BAD_REQUEST, {"content-type": "text/plain"}, text)(environ, start_response)
        except _NoLength:
            return page(HTTPStatus.LENGTH_REQUIRED)(environ, start_response)
        type_ = report_type(environ) or TEXT

        def store() -> _Outcome:
            return self._store(environ, path, wanted)

        if is_true(request.query.get("heartbeat")):
            start_response(status_line(HTTPStatus.ACCEPTED), [("Content-Type", type_)])
            return HeartbeatBody(
                lambda: b"\r\n\r\n" + _report(store).render(type_), interval_s=self._settings.yield_frequency
            )
        outcome = store()
        if outcome.failures:
            report = Report(_ROOT)
            report.errors = outcome.failures
            start_response(status_line(outcome.status), [("Content-Type", type_)])
            return iter((report.render_errors(type_),))
        start_response(status_line(outcome.status), outcome.headers)
        return (outcome.body,)

    def _manifest_body(self, request: Request) -> bytes:
        """Raises BodyTooLarge, _NoLength."""
        most = self._settings.max_manifest_size
        length = request.content_length
        if length is None and not request.is_chunked:
            raise _NoLength
        if length is not None and length > most:
            raise BodyTooLarge(most)
        body = request.body.read(most + 1 if length is None else length)
        if len(body) > most:
            raise BodyTooLarge(most)
        return body

    def _store(self, environ: Environ, path: ClientPath, wanted: Sequence[WantedSegment]) -> _Outcome:
        names = list(dict.fromkeys(segment.name for segment in wanted if segment.data is None))
        looks = several(self._settings.concurrency, lambda name: self._look(environ, path, name), names)
        found = dict(zip(names, looks, strict=True))
        segments: list[Segment] = []
        failures: list[tuple[str, str]] = []
        is_ours = True
        for entry in wanted:
            if entry.data is not None:
                segments.append(Segment(data=entry.data))
                continue
            object_ = found[entry.name]
            segment = _segment(entry, object_)
            if isinstance(segment, Segment):
                segments.append(segment)
            else:
                is_ours = is_ours and object_.is_ours
                failures += [(quoted(entry.name), problem) for problem in segment]
        if failures:
            status = HTTPStatus.SERVICE_UNAVAILABLE if is_ours else HTTPStatus.BAD_REQUEST
            return _Outcome(status, [], b"", list(dict.fromkeys(failures)))
        return self._put(environ, Manifest(segments))

    def _look(self, environ: Environ, path: ClientPath, name: str) -> _Found:
        name = wsgi_of(f"/{path.version}/{path.account}{name}")
        child = child_environ(environ, "HEAD", name, source="SLO", authorized=bool(environ.get(keys.SYNCED)))
        answer = call(self._app, child)
        answer.discard()
        if not answer.is_success:
            return _Found(problem=answer.status_line, is_ours=answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR)
        headers = answer.headers
        size, etag = headers.get("content-length", ""), headers.get("etag", "")
        has_sub = is_manifest(answer.header_list)
        if has_sub:
            size, etag = headers.get(SLO_SIZE, ""), headers.get(SLO_ETAG, "")
            if not (size and etag):
                size, etag = self._measured(child)
        if not (size.isascii() and size.isdigit()):
            return _Found(problem="its size is not known", is_ours=True)
        return _Found(
            int(size), etag.strip('"'), without_bytes(headers.get("content-type", "")), _modified(headers), has_sub
        )

    def _measured(self, child: Environ) -> tuple[str, str]:
        """Size and ETag of an old manifest that does not say them beside it."""
        answer = call(self._app, {**child, "REQUEST_METHOD": "GET"})
        manifest = Manifest.load(answer.read(self._settings.max_manifest_size * 8))
        return str(manifest.size), manifest.etag

    def _put(self, environ: Environ, manifest: Manifest) -> _Outcome:
        etag = manifest.etag
        given = environ.pop("HTTP_ETAG", "").strip().strip('"')
        if given and given != etag:
            why = f"The segments make the ETag {etag}, the request says {given}."
            return _from_page(page(HTTPStatus.UNPROCESSABLE_ENTITY, why))
        body = manifest.dump()
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ.pop("HTTP_EXPECT", None)
        environ["QUERY_STRING"] = ""
        environ["wsgi.input"] = BytesInput(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ[keys.CONTENT_TYPE_PARAMETERS] = f";swift_bytes={manifest.size}"
        stored_etag = _md5(body)
        for name, value in (
            (FLAG, "True"),
            ("etag", stored_etag),
            (SLO_ETAG, etag),
            (SLO_SIZE, str(manifest.size)),
            (OVERRIDE_ETAG, joined(stored_etag, {"slo_etag": etag})),
        ):
            environ[environ_key(name)] = value
        answer = call(self._app, environ)
        headers = answer.header_list
        if answer.is_success:
            headers = [(name, f'"{etag}"' if name.lower() == "etag" else value) for name, value in headers]
        return _Outcome(answer.status, headers, answer.read(_ANSWER_BYTES))


class _NoLength(Exception):
    pass


def _segment(wanted: WantedSegment, found: _Found) -> Segment | list[str]:
    """The segment as it will be stored, or what does not fit."""
    if found.problem:
        return [found.problem]
    if found.size < SEGMENT_BYTES_MIN:
        return [f"Too Small; each segment must be at least {SEGMENT_BYTES_MIN} byte."]
    problems = []
    if wanted.size is not None and wanted.size != found.size:
        problems.append("Size Mismatch")
    if wanted.etag is not None and wanted.etag != found.etag:
        problems.append("Etag Mismatch")
    span = None
    if wanted.range is not None and not problems:
        spans = ranges.resolve((wanted.range,), found.size)
        if not spans:
            problems.append("Unsatisfiable Range")
        elif spans[0].size != found.size:
            span = spans[0]
    if problems:
        return problems
    return Segment(
        wanted.name, found.etag, found.size, found.content_type, found.last_modified, span, found.is_manifest
    )


def _modified(headers: dict[str, str]) -> str:
    try:
        return Timestamp.parse(headers.get("x-timestamp", "0")).isoformat
    except InvalidTimestamp:
        return Timestamp(0).isoformat


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _from_page(response: Response) -> _Outcome:
    assert isinstance(response.body, bytes)
    headers = [("Content-Type", response.headers["content-type"]), ("Content-Length", str(len(response.body)))]
    return _Outcome(response.status, headers, response.body)


def _report(store: Callable[[], _Outcome]) -> Report:
    """What a PUT with a heartbeat came to, whatever that is."""
    report = Report(_ROOT)
    try:
        outcome = store()
    except Exception as error:  # The request boundary: 202 has been sent, and catch_errors is past.
        response = error_response(error)
        if response is None:
            _log.exception("a manifest could not be stored")
        status = response.status if response is not None else HTTPStatus.INTERNAL_SERVER_ERROR
        report.fail(status, reason(status))
        return report
    report.fail(outcome.status, outcome.body.decode("utf-8", "replace"))
    report.errors = outcome.failures
    if is_success(outcome.status):
        headers = {name.lower(): value for name, value in outcome.headers}
        report.facts = {"Etag": headers.get("etag", ""), "Last Modified": headers.get("last-modified", "")}
    return report
