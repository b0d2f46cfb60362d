"""GET and HEAD of objects. Source: features A3.5 to A3.7, A3.9; formats 6.4."""

from __future__ import annotations

from collections.abc import Iterator

from objstore.core.headers import is_true
from objstore.core.names import ClientPath
from objstore.http.access import denial
from objstore.http.client import PeerError
from objstore.http.request import Request
from objstore.http.response import HTML, Response
from objstore.http.status import HTTPStatus
from objstore.peers.exchange import SMALL_BODY_BYTES, BackendRequest, Exchange, wait_for_some
from objstore.proxy.answers import failure
from objstore.proxy.headers import answered, object_headers, trace_headers
from objstore.proxy.info import Infos
from objstore.proxy.object_body import Extent, ObjectBody
from objstore.proxy.object_policy import object_policy
from objstore.proxy.read import Read
from objstore.proxy.services import Place, Services, uses_replication
from objstore.ring.model import Node
from objstore.runtime import green

_WITH_RANGES = frozenset(
    {
        HTTPStatus.OK,
        HTTPStatus.PARTIAL_CONTENT,
        HTTPStatus.NOT_MODIFIED,
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    }
)
_CONDITIONS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "range"})
_POLICY = "X-Backend-Storage-Policy-Index"
"""An internal client may have named it: object_policy() has read that, and it is said once."""
_LAST_WORD_S = 0.3
"""How long a server that broke in mid-body is asked whether it still has the object."""
_BROKEN_READS_AT_MOST = 4


class ObjectReads:
    def __init__(self, services: Services, infos: Infos) -> None:
        self._services = services
        self._infos = infos

    def read(self, request: Request, path: ClientPath) -> Response:
        account, container, obj = path.account, path.container, path.obj
        assert account is not None and container is not None and obj is not None
        services, environ = self._services, request.environ
        info = self._infos.container(environ, account, container)
        denied = denial(request, info.read_acl)
        if denied is not None:
            return denied
        index = object_policy(environ, info)
        if index is None:
            return failure(info.status if info.status == HTTPStatus.NOT_FOUND else HTTPStatus.SERVICE_UNAVAILABLE)
        place = services.object_place(index, account, container, obj)
        headers = [
            ("X-Timestamp", services.clock.now().internal),
            (_POLICY, str(index)),
            *(item for item in object_headers(environ) if item[0] != _POLICY),
            *trace_headers(environ),
        ]
        if services.settings.allow_open_expired and is_true(environ.get("HTTP_X_OPEN_EXPIRED")):
            headers.append(("X-Backend-Open-Expired", "true"))
        backend = BackendRequest(request.method, place.path, headers)
        voices = services.newest_voices(place) if is_true(environ.get("HTTP_X_NEWEST")) else 1
        return self._answer(request, place, backend, voices, f"/{account}/{container}/{obj}")

    def _answer(self, request: Request, place: Place, backend: BackendRequest, voices: int, name: str) -> Response:
        replicated = uses_replication(request.environ)
        for _ in range(_BROKEN_READS_AT_MOST):
            read = self._services.read(place, backend, voices=voices, use_replication=replicated)
            winner = read.winner
            if winner is None:
                return _absent(request, read)
            head = winner.head
            assert head is not None
            headers = answered(head.headers)
            _as_clients_know(headers, head.status)
            length = head.length
            if length is not None and length <= SMALL_BODY_BYTES:
                try:
                    body = winner.connection.read_all(length, place.settings.recoverable_node_timeout)
                except PeerError as error:
                    winner.fail(error)
                    self._services.faults.failed(winner.node, error)
                    continue
                winner.connection.release()
                if request.method == "GET" or head.status in _WITH_LENGTH_OF_BODY:
                    headers["content-length"] = str(length)
                return Response(head.status, headers, body)
            if length is None:
                winner.discard()
                return failure(HTTPStatus.SERVICE_UNAVAILABLE)
            resumer = _Resumer(self._services, place, backend, head.headers, replicated)
            extent = Extent.of(head.status, head.headers, length)
            stall_s = place.settings.recoverable_node_timeout
            return Response(head.status, headers, ObjectBody(winner, length, extent, resumer.resume, stall_s, name))
        return failure(HTTPStatus.SERVICE_UNAVAILABLE)


_WITH_LENGTH_OF_BODY = frozenset({HTTPStatus.NOT_MODIFIED, HTTPStatus.PRECONDITION_FAILED})


def _absent(request: Request, read: Read) -> Response:
    """Nobody has it. If-Match asks for something to match: on nothing it fails (RFC 9110, 13.1.1)."""
    status = read.status
    if status == HTTPStatus.NOT_FOUND and request.header("if-match") is not None:
        status = HTTPStatus.PRECONDITION_FAILED
    if status == HTTPStatus.PRECONDITION_FAILED:
        return Response(status, {"content-type": HTML})
    timestamp = read.heads.get(status, {}).get("x-backend-timestamp")
    return failure(status, {"x-backend-timestamp": timestamp} if timestamp else None)


def _as_clients_know(headers: dict[str, str], status: int) -> None:
    """The ETag without quotes; Accept-Ranges where a range makes sense."""
    etag = headers.get("etag")
    if etag is not None and len(etag) > 1 and etag[0] == '"' == etag[-1]:
        headers["etag"] = etag[1:-1]
    if status in _WITH_RANGES:
        headers["accept-ranges"] = "bytes"
    elif status == HTTPStatus.PRECONDITION_FAILED:
        headers["content-type"] = HTML


class _Resumer:
    """Finds another replica of exactly the same data for the rest of a body."""

    def __init__(
        self, services: Services, place: Place, request: BackendRequest, headers: dict[str, str], replicated: bool
    ) -> None:
        self._services = services
        self._place = place
        self._request = request
        self._etag = headers.get("etag")
        self._timestamp = headers.get("x-backend-data-timestamp")
        self._replicated = replicated
        self._broken: set[int] = set()

    def resume(self, broken: Exchange, first: int, last: int) -> Exchange | None:
        assert broken.failure is not None
        self._services.faults.failed(broken.node, broken.failure)
        if not self._may_go_on(broken.node):
            return None
        self._broken.add(broken.node.id)
        headers = [item for item in self._request.headers if item[0].lower() not in _CONDITIONS]
        headers.append(("Range", f"bytes={first}-{last}"))
        request = BackendRequest("GET", self._request.path, headers)
        for node in self._others():
            exchange = self._services.caller.start(node, request, use_replication=self._replicated)
            deadline_s = green.monotonic() + self._place.settings.node_timeout
            if exchange.failure is None and not wait_for_some([exchange], deadline_s):
                exchange.discard()
                continue
            head = exchange.head
            if head is None:
                continue
            if (
                head.status == HTTPStatus.PARTIAL_CONTENT
                and head.headers.get("etag") == self._etag
                and head.headers.get("x-backend-data-timestamp") == self._timestamp
                and head.headers.get("content-range", "").startswith(f"bytes {first}-{last}/")
            ):
                return exchange
            exchange.discard()
        return None

    def _others(self) -> Iterator[Node]:
        """Nodes that have not broken, in reading order; then those that have: a restarted server is as good as any."""
        nodes = list(self._place.order.reading(self._place.ring, self._place.partition).nodes)
        yield from (node for node in nodes if node.id not in self._broken)
        yield from (node for node in nodes if node.id in self._broken)

    def _may_go_on(self, node: Node) -> bool:
        """False when the server that broke is alive and no longer has this copy: what it sent cannot be trusted."""
        headers = [item for item in self._request.headers if item[0].lower() not in _CONDITIONS]
        request = BackendRequest("HEAD", self._request.path, headers)
        exchange = self._services.caller.start(node, request, use_replication=self._replicated)
        if exchange.failure is None and not wait_for_some([exchange], green.monotonic() + _LAST_WORD_S):
            exchange.discard()
            return True
        head = exchange.head
        if head is None:
            return True
        exchange.discard()
        if head.status == HTTPStatus.NOT_FOUND:
            return False
        if head.status == HTTPStatus.OK:
            return head.headers.get("x-backend-data-timestamp") == self._timestamp
        return True
