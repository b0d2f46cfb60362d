"""GET and HEAD of an object. Source: formats 6.4; vectors/wire/object.jsonl and direct-object.jsonl."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from functools import partial

from objstore.core import ranges
from objstore.core.conditional import Conditions, Verdict, range_applies
from objstore.core.headers import is_true
from objstore.core.ranges import Span
from objstore.http.request import Request
from objstore.http.response import HTML, Response, plain
from objstore.http.status import HTTPStatus
from objstore.object.body import (
    SMALL_BYTES,
    TINY_BYTES,
    BodyChecker,
    CacheDroppingBody,
    MultipartBody,
    SpanBody,
    VerifiedBody,
    check_whole,
    verified_bytes,
)
from objstore.object.context import ObjectContext
from objstore.storage.engine import CONTENT_LENGTH, CONTENT_TYPE, CRC_HEADER, ETAG, Absent, StoredObject

_OPENS_EXPIRED = ("x-backend-open-expired", "x-backend-replication")


class ReadHandler:
    """handler(request) → Response for GET and HEAD."""

    def __init__(self, context: ObjectContext) -> None:
        self._context = context
        self._quarantine = partial(set_aside, context)

    def __call__(self, request: Request) -> Response:
        _, address = self._context.locate(request)
        stored = self._context.engine.open(address)
        if isinstance(stored, Absent):
            return not_found(stored)
        try:
            response = self._answer(request, stored)
        except BaseException:
            stored.close()
            raise
        if isinstance(response.body, bytes):
            stored.close()
        return response

    def _answer(self, request: Request, stored: StoredObject) -> Response:
        if stored.is_expired(self._context.clock.now()) and not opens_expired(request):
            return plain(HTTPStatus.NOT_FOUND, headers={"x-backend-timestamp": stored.timestamp.internal})
        headers = object_headers(stored)
        etag = conditional_etag(request, stored)
        modified_s = stored.timestamp.ceil_seconds
        conditions = Conditions.of(request.header)
        if conditions is not None:
            verdict = conditions.verdict(etag, modified_s)
            if verdict is not Verdict.PROCEED:
                headers[CONTENT_LENGTH] = "0"
                status = HTTPStatus.NOT_MODIFIED if verdict is Verdict.NOT_MODIFIED else HTTPStatus.PRECONDITION_FAILED
                return Response(status, headers)
        if request.method == "HEAD":
            headers[CONTENT_LENGTH] = str(stored.size)
            return Response(HTTPStatus.OK, headers)
        spans = self._spans(request, stored, etag, modified_s)
        return self._whole(request, stored, headers) if spans is None else self._partial(stored, headers, spans)

    def _spans(self, request: Request, stored: StoredObject, etag: str, modified_s: int) -> tuple[Span, ...] | None:
        """What a Range header asks for; None: the whole body."""
        specs = ranges.parse(request.header("range"))
        if specs is None or not range_applies(request.header("if-range"), etag, modified_s):
            return None
        names = _listed(request.header("x-backend-ignore-range-if-metadata-present"))
        if any(name in stored.headers for name in names):
            return None
        return ranges.resolve(specs, stored.size)

    def _whole(self, request: Request, stored: StoredObject, headers: dict[str, str]) -> Response:
        headers[CONTENT_LENGTH] = str(stored.size)
        if stored.size == 0:
            return Response(HTTPStatus.OK, headers)
        checker = body_checker(self._context, stored)
        if TINY_BYTES < stored.size <= SMALL_BYTES and stored.body.fd is not None:
            if checker.checks_anything:
                check_whole(stored, checker, self._context.threads, self._quarantine)
            return Response(HTTPStatus.OK, headers, SpanBody(stored, Span(0, stored.size)))
        if stored.size <= SMALL_BYTES:
            return Response(
                HTTPStatus.OK, headers, verified_bytes(stored, checker, self._context.threads, self._quarantine)
            )
        body: VerifiedBody | SpanBody
        if checker.checks_anything:
            body = VerifiedBody(stored, checker, self._context.threads, self._quarantine)
        else:
            body = SpanBody(stored, Span(0, stored.size))
        return Response(HTTPStatus.OK, headers, self._cached(request, stored, body))

    def _partial(self, stored: StoredObject, headers: dict[str, str], spans: tuple[Span, ...]) -> Response:
        if not spans:
            headers["content-range"] = ranges.unsatisfied(stored.size)
            body = b"<html><h1>Requested Range Not Satisfiable</h1></html>"
            return Response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers, body)
        if stored.size <= SMALL_BYTES:
            checker = BodyChecker(stored, may_use_md5=False)
            if checker.checks_anything:
                check_whole(stored, checker, self._context.threads, self._quarantine)
        if len(spans) == 1:
            span = spans[0]
            headers["content-range"] = span.content_range(stored.size)
            headers[CONTENT_LENGTH] = str(span.size)
            return Response(HTTPStatus.PARTIAL_CONTENT, headers, SpanBody(stored, span))
        framing = ranges.multipart(spans, stored.size, headers.get(CONTENT_TYPE, ""), os.urandom(16).hex())
        headers[CONTENT_TYPE] = framing.content_type
        headers[CONTENT_LENGTH] = str(framing.content_length)
        return Response(HTTPStatus.PARTIAL_CONTENT, headers, MultipartBody(stored, framing))

    def _cached(
        self, request: Request, stored: StoredObject, body: VerifiedBody | SpanBody
    ) -> VerifiedBody | SpanBody | CacheDroppingBody:
        settings = self._context.settings
        if stored.size <= settings.keep_cache_size or settings.keep_cache_private:
            return body
        is_private = request.header("x-auth-token") is not None or request.header("x-storage-token") is not None
        return CacheDroppingBody(body, stored) if is_private else body


def body_checker(context: ObjectContext, stored: StoredObject) -> BodyChecker:
    return BodyChecker(stored, may_use_md5=random.uniform(0, 100) < context.settings.etag_validate_pct)


def set_aside(context: ObjectContext, stored: StoredObject, problem: str) -> None:
    """Quarantine what is damaged, if it is still there, and say so."""
    address = stored.address
    where = context.engine.quarantine(address, stored.data_timestamp)
    context.logger.error(
        "device=%s partition=%s name=%r: quarantined to %s: %s",
        address.device, address.partition, address.name, where, problem,
    )  # fmt: skip


def object_headers(stored: StoredObject) -> dict[str, str]:
    """What a GET or HEAD says about an object, without Content-Length."""
    headers = dict(stored.headers)
    headers.pop(CRC_HEADER, None)
    headers.pop(CONTENT_LENGTH, None)
    headers.setdefault(CONTENT_TYPE, HTML)
    headers[ETAG] = f'"{stored.etag}"'
    headers["last-modified"] = stored.timestamp.http_date
    headers["x-timestamp"] = stored.timestamp.normal
    headers["x-backend-timestamp"] = stored.timestamp.internal
    data_timestamp = stored.data_timestamp.internal
    headers["x-backend-data-timestamp"] = data_timestamp
    headers["x-backend-durable-timestamp"] = data_timestamp
    return headers


def not_found(absent: Absent) -> Response:
    """404; with the time of the deletion when it is known, without when this node knows nothing."""
    if absent.timestamp is None:
        return plain(HTTPStatus.NOT_FOUND)
    return plain(HTTPStatus.NOT_FOUND, headers={"x-backend-timestamp": absent.timestamp.internal})


def opens_expired(request: Request) -> bool:
    return any(is_true(request.header(name)) for name in _OPENS_EXPIRED)


def conditional_etag(request: Request, stored: StoredObject) -> str:
    """The ETag that conditions are about: the first of X-Backend-Etag-Is-At that the object has, else its own."""
    for name in _listed(request.header("x-backend-etag-is-at")):
        value = stored.headers.get(name)
        if value:
            return value
    return stored.etag


def _listed(value: str | None) -> Iterable[str]:
    return [item.strip().lower() for item in value.split(",")] if value else ()
