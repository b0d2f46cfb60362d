"""The answer about a large object once its parts are known: conditions, ranges, and the body that joins the parts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from objstore.core import ranges
from objstore.core.conditional import Conditions, Verdict, parse_http_date, range_applies
from objstore.core.ranges import Span
from objstore.http.environ import Environ
from objstore.http.request import Request
from objstore.http.response import HTML, Response, page
from objstore.http.status import HTTPStatus
from objstore.middleware.segments.body import Pace, SegmentBody, Source
from objstore.middleware.segments.piece import Part, SegmentFailed

_log = logging.getLogger("objstore.segments")
_RANGE_TEXT = b"<html><h1>Requested Range Not Satisfiable</h1></html>"


@dataclass(frozen=True, slots=True)
class LargeObject:
    """headers: lower-case, without Content-Length; etag: without quotes; parts(span): what makes up those bytes;
    source: who opens them."""

    headers: dict[str, str]
    etag: str
    size: int
    parts: Callable[[Span], Iterator[Part]]
    source: Source
    pace: Pace | None = None

    @property
    def modified_s(self) -> int | None:
        return parse_http_date(self.headers.get("last-modified", ""))


def condition_failure(environ: Environ, large: LargeObject) -> Response | None:
    """The 304 or 412 that the client's conditions ask for."""
    conditions = Conditions.of(Request(environ).header)
    if conditions is None:
        return None
    verdict = conditions.verdict(large.etag, large.modified_s)
    if verdict is Verdict.PROCEED:
        return None
    headers = {**large.headers, "content-length": "0"}
    if verdict is Verdict.NOT_MODIFIED:
        return Response(HTTPStatus.NOT_MODIFIED, headers)
    headers.pop("accept-ranges", None)
    return Response(HTTPStatus.PRECONDITION_FAILED, {**headers, "content-type": HTML})


def asked_spans(environ: Environ, large: LargeObject) -> tuple[Span, ...] | None:
    """What a Range header asks for; empty: unsatisfiable; None: everything."""
    request = Request(environ)
    specs = ranges.parse(request.header("range"))
    if specs is None or not range_applies(request.header("if-range"), large.etag, large.modified_s or 0):
        return None
    return ranges.resolve(specs, large.size)


def whole(large: LargeObject) -> Response:
    headers = {**large.headers, "content-length": str(large.size)}
    return _begun(large, HTTPStatus.OK, headers, lambda: large.parts(Span(0, large.size)) if large.size else iter(()))


def partial(large: LargeObject, spans: Sequence[Span]) -> Response:
    """206 for one span or several; 416 for none."""
    headers = dict(large.headers)
    if not spans:
        return unsatisfiable(headers, large.size)
    if len(spans) == 1:
        headers["content-range"] = spans[0].content_range(large.size)
        headers["content-length"] = str(spans[0].size)
        return _begun(large, HTTPStatus.PARTIAL_CONTENT, headers, lambda: large.parts(spans[0]))
    framing = ranges.multipart(spans, large.size, headers.get("content-type", ""), os.urandom(16).hex())
    headers["content-type"] = framing.content_type
    headers["content-length"] = str(framing.content_length)
    return _begun(large, HTTPStatus.PARTIAL_CONTENT, headers, lambda: _framed(large, framing))


def unsatisfiable(headers: dict[str, str], size: int) -> Response:
    headers = {**headers, "content-range": ranges.unsatisfied(size)}
    return Response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers, _RANGE_TEXT)


def _framed(large: LargeObject, framing: ranges.Multipart) -> Iterator[Part]:
    for head, span in framing.parts:
        yield head
        yield from large.parts(span)
    yield framing.tail


def _begun(large: LargeObject, status: int, headers: dict[str, str], parts: Callable[[], Iterator[Part]]) -> Response:
    body = SegmentBody(parts(), large.source, large.pace)
    try:
        body.begin()
    except SegmentFailed as error:
        return conflict(error)
    return Response(status, headers, body)


def conflict(error: SegmentFailed) -> Response:
    _log.warning("a large object cannot be read: %s", error)
    return page(HTTPStatus.CONFLICT, "A segment of this object is missing, has changed, or may not be read.")
