"""GET and HEAD of static large objects: the manifest, or what its segments make.

A GET goes down as it came; only when the answer turns out to be a manifest is anything done here. A HEAD, a 304 and a
412 need no manifest, because its ETag and size stand beside it in system metadata. What is cut by a Range (from a
server that does not know that manifests are sent whole), and what has no such metadata, is read again.
Source: features A4.3, A4.4; formats 8.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from objstore.core.names import ClientPath, wsgi_of
from objstore.core.ranges import Span
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.request import Request
from objstore.http.response import JSON, Response, page
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import SubResponse, call
from objstore.middleware.segments.answer import (
    LargeObject,
    asked_spans,
    condition_failure,
    conflict,
    partial,
    unsatisfiable,
    whole,
)
from objstore.middleware.segments.body import Pace
from objstore.middleware.segments.piece import Part, Piece, SegmentFailed
from objstore.middleware.segments.source import SegmentSource, account_of, plain_get
from objstore.middleware.slo.headers import SLO_ETAG, SLO_SIZE, ask_for_manifests, is_manifest, shown
from objstore.middleware.slo.manifest import BrokenManifest, Manifest
from objstore.middleware.slo.settings import DEPTH_MAX, STORED_BYTES_MAX, SloSettings

_UNCONDITIONAL = (HTTPStatus.NOT_MODIFIED, HTTPStatus.PRECONDITION_FAILED)
_PART_NUMBER = "part-number"


class SloRead:
    def __init__(self, app: WSGIApp, settings: SloSettings) -> None:
        self._app = app
        self._settings = settings

    def __call__(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        part: int | None = None
        if query:
            parameters = Request(environ).query
            if parameters.get("multipart-manifest") == "get":
                return self._manifest(environ, start_response, is_raw=parameters.get("format") == "raw")
            if _PART_NUMBER in parameters:
                part = _part_number(parameters[_PART_NUMBER])
                if part is None or "HTTP_RANGE" in environ:
                    why = "part-number must be a whole number from 1, and no Range may be asked for beside it."
                    return page(HTTPStatus.BAD_REQUEST, why)(environ, start_response)
        ask_for_manifests(environ, whole=part is not None)
        answer = call(self._app, environ)
        if not is_manifest(answer.header_list):
            start_response(answer.status_line, answer.header_list)
            return answer.body
        response = self._answer(environ, path, answer, part)
        return response(environ, start_response)

    def _answer(self, environ: Environ, path: ClientPath, answer: SubResponse, part: int | None) -> Response:
        headers = answer.headers
        etag, size = headers.get(SLO_ETAG), headers.get(SLO_SIZE, "")
        if etag and size.isdigit():
            if answer.status in _UNCONDITIONAL:
                answer.discard()
                return Response(answer.status, {**shown(headers, etag), "content-length": "0"})
            if environ["REQUEST_METHOD"] == "HEAD" and answer.status == HTTPStatus.OK and part is None:
                answer.discard()
                return Response(HTTPStatus.OK, {**shown(headers, etag), "content-length": size})
        if answer.status != HTTPStatus.OK or environ["REQUEST_METHOD"] == "HEAD":
            answer.discard()
            answer = call(self._app, plain_get(environ))
            if answer.status != HTTPStatus.OK or not is_manifest(answer.header_list):
                return _as_it_came(answer)
        try:
            manifest = Manifest.load(answer.read(STORED_BYTES_MAX))
        except BrokenManifest as error:
            return conflict(SegmentFailed(environ["PATH_INFO"], str(error)))
        large = self._large(environ, path, answer, manifest)
        refused = None if etag and answer.headers.get(SLO_ETAG) == etag else condition_failure(environ, large)
        response = refused or self._body(environ, large, manifest, part)
        return _without_body(response) if environ["REQUEST_METHOD"] == "HEAD" else response

    def _body(self, environ: Environ, large: LargeObject, manifest: Manifest, part: int | None) -> Response:
        if part is not None:
            large.headers["x-parts-count"] = str(len(manifest.segments))
            span = manifest.part(part)
            is_head = environ["REQUEST_METHOD"] == "HEAD"
            return _head_of(large, span) if is_head else partial(large, (span,) if span else ())
        if environ["REQUEST_METHOD"] == "HEAD":
            return Response(HTTPStatus.OK, {**large.headers, "content-length": str(large.size)})
        spans = asked_spans(environ, large)
        return whole(large) if spans is None else partial(large, spans)

    def _large(self, environ: Environ, path: ClientPath, answer: SubResponse, manifest: Manifest) -> LargeObject:
        etag = answer.headers.get(SLO_ETAG) or manifest.etag
        source = SegmentSource(self._app, environ, "SLO")
        settings = self._settings
        pace = Pace(
            settings.rate_limit_under_size, settings.rate_limit_after_segment, settings.rate_limit_segments_per_sec
        )
        root = f"/{path.version}/{account_of(answer, path)}"
        return LargeObject(
            shown(answer.headers, etag),
            etag,
            manifest.size,
            lambda span: self._parts(source, root, manifest, span, 1),
            source,
            pace,
        )

    def _parts(self, source: SegmentSource, root: str, manifest: Manifest, span: Span, depth: int) -> Iterator[Part]:
        """root: /version/account of the segments. Manifests among them are read when their turn comes."""
        for segment, used in manifest.cut(span):
            if segment.data is not None:
                yield segment.data[used.start : used.stop]
                continue
            path = wsgi_of(root + segment.name)
            if not segment.is_manifest:
                yield Piece(path, segment.etag, segment.size, used)
                continue
            if depth >= DEPTH_MAX:
                raise SegmentFailed(path, f"more than {DEPTH_MAX} manifests within each other")
            inner = self._inner(source, path, segment.etag)
            yield from self._parts(source, root, inner, used, depth + 1)

    def _inner(self, source: SegmentSource, path: str, etag: str) -> Manifest:
        """A manifest that is a segment. Raises SegmentFailed unless it is the one that was meant."""
        answer = source.get(path)
        if answer.status != HTTPStatus.OK or not is_manifest(answer.header_list):
            answer.close()
            raise SegmentFailed(path, f"answered with {answer.status_line}, expected a manifest")
        try:
            manifest = Manifest.load(answer.read(STORED_BYTES_MAX))
        except BrokenManifest as error:
            raise SegmentFailed(path, str(error)) from None
        if manifest.etag != etag:
            raise SegmentFailed(path, f"its ETag is {manifest.etag}, the manifest says {etag}")
        return manifest

    def _manifest(self, environ: Environ, start_response: StartResponse, *, is_raw: bool) -> Iterable[bytes]:
        """The manifest itself: as stored, or in the form in which it can be PUT again."""
        method = environ["REQUEST_METHOD"]
        if is_raw:
            environ["REQUEST_METHOD"] = "GET"  # The length of that form is known only when it is made.
            ask_for_manifests(environ, whole=True)
        answer = call(self._app, environ)
        environ["REQUEST_METHOD"] = method
        if not is_manifest(answer.header_list):
            start_response(answer.status_line, answer.header_list)
            return answer.body
        headers = {name: value for name, value in shown(answer.headers, "").items() if name != "x-manifest-etag"}
        headers["etag"] = answer.headers.get("etag", "")
        if not is_raw or answer.status != HTTPStatus.OK:
            headers["content-length"] = answer.headers.get("content-length", "0")
            if "content-range" in answer.headers:
                headers["content-range"] = answer.headers["content-range"]
            headers["content-type"] = JSON
            return Response(answer.status, headers, answer.body)(environ, start_response)
        try:
            body = Manifest.load(answer.read(STORED_BYTES_MAX)).dump_raw()
        except BrokenManifest as error:
            return conflict(SegmentFailed(environ["PATH_INFO"], str(error)))(environ, start_response)
        headers["etag"] = hashlib.md5(body, usedforsecurity=False).hexdigest()
        headers["content-length"] = str(len(body))
        return Response(HTTPStatus.OK, headers, b"" if method == "HEAD" else body)(environ, start_response)


def _part_number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        return None
    return int(text) or None


def _as_it_came(answer: SubResponse) -> Response:
    return Response(answer.status, answer.headers, answer.body)


def _head_of(large: LargeObject, span: Span | None) -> Response:
    if span is None:
        return unsatisfiable(large.headers, large.size)
    headers = {"content-range": span.content_range(large.size), "content-length": str(span.size)}
    return Response(HTTPStatus.PARTIAL_CONTENT, {**large.headers, **headers})


def _without_body(response: Response) -> Response:
    if isinstance(response.body, bytes):
        response.headers.setdefault("content-length", "0")
        response.body = b""
    return response
