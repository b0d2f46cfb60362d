"""Listings: GET and HEAD of accounts and containers. Servers are always asked for JSON, and its bytes pass untouched:
the listing_formats filter turns them into what the client wants. Source: features A1.2, A1.3, A2.3, A5.16.
"""

from __future__ import annotations

from urllib.parse import quote

from objstore.core.errors import BadRequest
from objstore.core.headers import is_true
from objstore.http.client import PeerError, ResponseHead
from objstore.http.request import Request
from objstore.http.response import JSON, Response, page
from objstore.http.status import HTTPStatus, is_success
from objstore.peers.exchange import BackendRequest
from objstore.proxy.answers import failure
from objstore.proxy.headers import answered, backend_flags, trace_headers
from objstore.proxy.services import Place, Services, uses_replication

LISTING_BYTES_AT_MOST = 256 << 20
_READ_RETRIES = 3
Headers = list[tuple[str, str]]


def listing(
    services: Services,
    request: Request,
    place: Place,
    limit: int,
    extra_headers: Headers | None = None,
    extra_query: str = "",
) -> Response:
    """The answer of a replica with its whole body, which the listing limit bounds; 412 for a limit above that.

    limit: rows of a page at most. extra_headers, extra_query: for the server, beside the client's own. Another replica
    is asked when one breaks off in the middle of its body. Raises BadQuery.
    """
    try:
        query = _query(request, limit)
    except _OverLimit:
        return page(HTTPStatus.PRECONDITION_FAILED, f"Maximum limit is {limit}")
    environ = request.environ
    headers = [
        ("Host", environ.get("HTTP_HOST", "localhost")),
        ("X-Timestamp", services.clock.now().internal),
        *backend_flags(environ),
        *(extra_headers or ()),
        *trace_headers(environ),
    ]
    backend = BackendRequest(request.method, place.path + query + extra_query, headers)
    voices = services.newest_voices(place) if is_true(request.header("x-newest")) else 1
    for _ in range(_READ_RETRIES):
        read = services.read(place, backend, voices=voices, use_replication=uses_replication(environ))
        if read.winner is None:
            status = read.status
            kept = {name: value for name, value in read.heads.get(status, {}).items() if name.startswith("x-")}
            return failure(status, kept)
        try:
            body = read.winner.connection.read_all(LISTING_BYTES_AT_MOST, place.settings.node_timeout)
        except PeerError as error:
            read.winner.fail(error)
            services.faults.failed(read.winner.node, error)
            continue
        read.winner.connection.release()
        assert read.winner.head is not None
        return _page(request, read.winner.head, body)
    return failure(HTTPStatus.SERVICE_UNAVAILABLE)


def _page(request: Request, head: ResponseHead, body: bytes) -> Response:
    """A server's answer as the client is told it. A HEAD keeps the content-length that it came with."""
    headers = answered(head.headers)
    headers["accept-ranges"] = "bytes"
    if request.method == "GET":
        headers["content-length"] = str(len(body))
    if is_success(head.status):
        headers["content-type"] = JSON
    return Response(head.status, headers, body)


class BadQuery(BadRequest):
    """A parameter is not UTF-8."""


class _OverLimit(Exception):
    pass


def _query(request: Request, limit: int) -> str:
    """The client's parameters with format=json. A limit that is not a number is ignored, one over the limit refused."""
    parameters = dict(request.query)
    wanted = parameters.get("limit", "")
    if wanted.isascii() and wanted.isdigit() and int(wanted[:20]) > limit:
        raise _OverLimit
    parameters["format"] = "json"
    try:
        return "?" + "&".join(f"{quote(name.encode())}={quote(value.encode())}" for name, value in parameters.items())
    except UnicodeEncodeError:
        raise BadQuery("Parameters must be valid UTF-8") from None
