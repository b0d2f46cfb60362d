"""dlo: dynamic large objects. An object with X-Object-Manifest: container/prefix reads as everything whose name in that
container begins so, in the order of the listing. Source: feature A4.6, formats 8.3.

What the object is made of is decided by each request anew. The listing and the segments are read with the client's
rights, never with those that let it read the manifest alone (CVE-2015-5223). A listing longer than a page is streamed
as it is found: then nobody knows its length and ETag, and a Range is ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import load_cluster
from objstore.config.settings import Settings, decimal, number, reads, setting
from objstore.core import ranges
from objstore.core.conditional import range_applies
from objstore.core.errors import BadRequest
from objstore.core.names import RESERVED, ClientPath, text_of, wsgi_of
from objstore.core.ranges import Span
from objstore.core.row_etag import split
from objstore.http.environ import Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import SubResponse, call, child_environ
from objstore.middleware.listing_rows import LISTING_BYTES_MAX, is_json_listing
from objstore.middleware.segments.answer import LargeObject, condition_failure, conflict, partial, whole
from objstore.middleware.segments.body import Pace, SegmentBody
from objstore.middleware.segments.piece import Part, Piece, SegmentFailed
from objstore.middleware.segments.source import SegmentSource, account_of, plain_get
from objstore.runtime.several import several

SOURCE = "DLO"
_HEADER, _HEADER_TITLE, _HEADER_KEY = "x-object-manifest", "X-Object-Manifest", "HTTP_X_OBJECT_MANIFEST"
_OVERRIDE_ETAG = "x-object-sysmeta-container-update-override-etag"
_READABLE = frozenset(
    {
        HTTPStatus.OK,
        HTTPStatus.PARTIAL_CONTENT,
        HTTPStatus.NOT_MODIFIED,
        HTTPStatus.PRECONDITION_FAILED,
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    }
)
_LOOKS_AT_ONCE = 10


@dataclass(frozen=True)
class DloSettings(Settings):
    rate_limit_under_size: int = setting("16384", number(0), "Segments smaller than this count as small.")
    rate_limit_after_segment: int = setting("10", number(0), "Small segments that are read as fast as they come.")
    rate_limit_segments_per_sec: float = setting("50", decimal(0), "Small segments a second after those; 0: no limit.")


@dataclass(frozen=True, slots=True)
class _Segment:
    """path: a WSGI string; etag: without quotes."""

    path: str
    etag: str
    size: int


class _NoListing(Exception):
    """The listing of the segments is refused or cannot be had; `answer` says why."""

    def __init__(self, answer: SubResponse) -> None:
        super().__init__(answer.status_line)
        self.answer = answer


class _Segments:
    """The segments of one request, a page at a time. root: /version/account/container, text."""

    def __init__(self, app: WSGIApp, environ: Environ, root: str, prefix: str, page_rows: int) -> None:
        self._app = app
        self._environ = environ
        self._root = root
        self._prefix = prefix
        self._page_rows = page_rows
        self._marker = ""

    def next_page(self) -> tuple[list[_Segment], bool]:
        """(segments, whether there may be more). Raises _NoListing, SegmentFailed."""
        query = f"format=json&prefix={quote(self._prefix)}&marker={quote(self._marker)}"
        child = child_environ(self._environ, "GET", wsgi_of(self._root), source=SOURCE, query=query)
        answer = call(self._app, child)
        if answer.status == HTTPStatus.NO_CONTENT:
            answer.discard()
            return [], False
        if not is_json_listing(answer):
            raise _NoListing(answer)
        rows = [row for row in json.loads(answer.read(LISTING_BYTES_MAX)) if "name" in row]
        if rows:
            self._marker = rows[-1]["name"]
        return several(_LOOKS_AT_ONCE, self._segment, rows) if _has_links(rows) else [
            self._segment(row) for row in rows
        ], len(rows) >= self._page_rows

    def rest(self, first: list[_Segment]) -> Iterator[_Segment]:
        yield from first
        has_more = True
        while has_more:
            found, has_more = self.next_page()
            yield from found

    def _segment(self, row: dict[str, Any]) -> _Segment:
        path = wsgi_of(f"{self._root}/{row['name']}")
        etag, parameters = split(row["hash"])
        if "slo_etag" in parameters or "slo_etag" in row:
            raise SegmentFailed(path, "it is a static large object, which cannot be a segment of a dynamic one")
        if "symlink_etag" in row:
            return _Segment(path, row["symlink_etag"], int(row["symlink_bytes"]))
        if "symlink_path" in row and not row.get("version_symlink"):
            return self._target(path)
        return _Segment(path, etag, row["bytes"])

    def _target(self, path: str) -> _Segment:
        """Of a symlink whose listing does not say what it leads to."""
        answer = call(self._app, child_environ(self._environ, "HEAD", path, source=SOURCE))
        answer.discard()
        headers = answer.headers
        if answer.status != HTTPStatus.OK:
            raise SegmentFailed(path, f"answered with {answer.status_line}")
        return _Segment(path, headers.get("etag", "").strip('"'), int(headers.get("content-length", "0")))


def _has_links(rows: list[dict[str, Any]]) -> bool:
    return any("symlink_path" in row for row in rows)


class Dlo:
    def __init__(self, app: WSGIApp, settings: DloSettings, page_rows: int) -> None:
        """page_rows: what a full page of a container's listing holds."""
        self._app = app
        self._settings = settings
        self._page_rows = page_rows

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method in ("GET", "HEAD"):
            path = client_path_of(environ)
            if path is not None and path.obj is not None:
                return self._read(environ, start_response, path)
        elif environ.get(_HEADER_KEY) and method in ("PUT", "POST"):
            path = client_path_of(environ)
            if path is not None and path.obj is not None and _names(environ[_HEADER_KEY]) is None:
                why = "X-Object-Manifest must be in the format container/prefix, percent-encoded UTF-8."
                return page(HTTPStatus.BAD_REQUEST, why)(environ, start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _read(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        answer = call(self._app, environ)
        value = _manifest_of(answer.header_list)
        names = _names(value) if value else None
        if names is None or answer.status not in _READABLE or _wants_manifest(environ):
            start_response(answer.status_line, answer.header_list)
            return answer.body
        answer.close()
        if answer.status != HTTPStatus.OK:
            # What a condition or a range made of the manifest itself says nothing of the whole.
            answer = call(self._app, {**plain_get(environ), "REQUEST_METHOD": "HEAD"})
            answer.discard()
        response = self._answer(environ, path, answer, names)
        return response(environ, start_response)

    def _answer(self, environ: Environ, path: ClientPath, answer: SubResponse, names: tuple[str, str]) -> Response:
        container, prefix = names
        root = f"/{path.version}/{account_of(answer, path)}/{container}"
        segments = _Segments(self._app, environ, root, prefix, self._page_rows)
        try:
            first, has_more = segments.next_page()
        except _NoListing as error:
            refused = error.answer
            return Response(refused.status, refused.headers, refused.body)
        except SegmentFailed as error:
            return conflict(error)
        if has_more:
            return self._streamed(environ, answer, segments.rest(first))
        large = self._large(environ, answer, first)
        response = condition_failure(environ, large)
        if response is None and environ["REQUEST_METHOD"] == "HEAD":
            return Response(HTTPStatus.OK, {**large.headers, "content-length": str(large.size)})
        return response or _body(environ, large)

    def _large(self, environ: Environ, answer: SubResponse, segments: list[_Segment]) -> LargeObject:
        text = "".join([segment.etag for segment in segments])
        etag = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        headers = {**_kept(answer.headers), "etag": f'"{etag}"'}
        source = SegmentSource(self._app, environ, SOURCE)
        size = sum(segment.size for segment in segments)
        return LargeObject(headers, etag, size, lambda span: _parts(segments, span), source, self._pace())

    def _streamed(self, environ: Environ, answer: SubResponse, segments: Iterator[_Segment]) -> Response:
        """Of a listing that nobody has seen the end of."""
        headers = {name: value for name, value in _kept(answer.headers).items() if name != "etag"}
        source = SegmentSource(self._app, environ, SOURCE)
        large = LargeObject(headers, "", 0, lambda span: iter(()), source)
        response = condition_failure(environ, large)
        if response is not None or environ["REQUEST_METHOD"] == "HEAD":
            return response or Response(HTTPStatus.OK, headers, iter(()))
        body = SegmentBody(_whole_parts(segments), source, self._pace())
        try:
            body.begin()
        except SegmentFailed as error:
            return conflict(error)
        return Response(HTTPStatus.OK, headers, body)

    def _pace(self) -> Pace:
        settings = self._settings
        return Pace(
            settings.rate_limit_under_size, settings.rate_limit_after_segment, settings.rate_limit_segments_per_sec
        )


def _body(environ: Environ, large: LargeObject) -> Response:
    request = Request(environ)
    specs = ranges.parse(request.header("range"))
    applies = range_applies(request.header("if-range"), large.etag, large.modified_s or 0)
    if specs is None or len(specs) > 1 or not applies:
        # Several ranges of a dynamic object are answered with all of it, as Swift does.
        return whole(large)
    spans = ranges.resolve(specs, large.size)
    if spans is None:
        return whole(large)
    if not spans:
        headers = {"content-range": ranges.unsatisfied(large.size), "accept-ranges": "bytes"}
        return page(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "", headers)
    return partial(large, spans)


def _parts(segments: list[_Segment], span: Span) -> Iterator[Part]:
    position = 0
    for segment in segments:
        if position >= span.stop:
            return
        first, stop = max(span.start, position), min(span.stop, position + segment.size)
        if first < stop:
            yield Piece(segment.path, segment.etag, segment.size, Span(first - position, stop - position))
        position += segment.size


def _whole_parts(segments: Iterator[_Segment]) -> Iterator[Part]:
    for segment in segments:
        if segment.size:
            yield Piece(segment.path, segment.etag, segment.size, Span(0, segment.size))


def _manifest_of(headers: list[tuple[str, str]]) -> str | None:
    """X-Object-Manifest of an answer. Runs for every GET: the proxy's names are in title case."""
    for name, value in headers:
        if len(name) == 17 and (name == _HEADER_TITLE or name.lower() == _HEADER):
            return value
    return None


def _names(value: str) -> tuple[str, str] | None:
    """(container, prefix) of a header's value, as text; None when it is no such thing."""
    try:
        text = text_of(unquote(value, encoding="latin-1")).removeprefix("/")
    except BadRequest:
        return None
    container, slash, prefix = text.partition("/")
    return (container, prefix) if container and slash and prefix and RESERVED not in text else None


def _wants_manifest(environ: Environ) -> bool:
    query = environ.get("QUERY_STRING", "")
    return "multipart-manifest" in query and Request(environ).query.get("multipart-manifest") == "get"


def _kept(headers: dict[str, str]) -> dict[str, str]:
    dropped = ("content-length", "content-range", _OVERRIDE_ETAG)
    return {name: value for name, value in headers.items() if name not in dropped} | {"accept-ranges": "bytes"}


@reads(DloSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Dlo]:
    settings = settings_for(DloSettings, global_conf, local_conf)
    limits = load_cluster(swift_dir_of(global_conf)).limits
    return lambda app: Dlo(app, settings, limits.container_listing_limit)
