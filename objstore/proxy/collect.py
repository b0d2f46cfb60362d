"""Collector: many small objects with a request per device instead of one per object (peers/collected).

It does nothing that a GET of each would not do: every object is routed and authorized by itself, is asked of a primary
in the order of its policy, and counts only if it is exactly what it is known to be. Whatever cannot be had at once (a
server that is silent, fails, has something else, or does not know the request) is left to that GET, which asks the
other replicas. A server that does not know COLLECT, as Swift's, is not asked again for a while. Few bytes are read at
once; more of them are handed over while they arrive (proxy/arriving).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from objstore.core.errors import DomainError
from objstore.core.headers import is_true
from objstore.core.names import quoted, text_of
from objstore.http.access import denial
from objstore.http.client import BadResponse, PeerError, ResponseHead
from objstore.http.environ import RAW_TARGET, Environ, SmallObject
from objstore.http.request import Request
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import child_environ
from objstore.peers import collected
from objstore.peers.collected import HELD_BYTES, Wanted
from objstore.peers.exchange import BackendRequest, Exchange, wait_for_some
from objstore.proxy.arriving import Arrivals, ArrivingBody
from objstore.proxy.headers import trace_headers
from objstore.proxy.info import Infos
from objstore.proxy.object_policy import object_policy
from objstore.proxy.routing import Refusal, route
from objstore.proxy.services import Place, Services, uses_replication
from objstore.ring.model import Node
from objstore.runtime import green

RETRY_S = 600.0
"""How long a server that does not know COLLECT gets GETs."""
_PLAIN_INSIDE = frozenset({"slo", "dlo", "versioned_writes", "symlink", "proxy_logging"})
"""Filters behind which an object without a meaning of its own (peers/collected) reads as it is stored."""
_NOT_UNDERSTOOD = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})

Body = memoryview | ArrivingBody
Found = list[Body | None]


def reads_plainly(filters: Sequence[str]) -> bool:
    """Whether nothing stands between the filters that join segments and the proxy that may change what is read.
    filters: entry points, in the order of the pipeline."""
    first = next((index for index, name in enumerate(filters) if name in ("slo", "dlo")), len(filters))
    return _PLAIN_INSIDE.issuperset(filters[first:])


@dataclass(eq=False, slots=True)
class _Batch:
    """What one device is asked for. indexes: where its objects stand among all of them."""

    node: Node
    place: Place
    policy_index: int
    wanted: list[Wanted] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)

    def request(self, trace: Iterable[tuple[str, str]]) -> BackendRequest:
        body = collected.question(self.wanted)
        policy = ("X-Backend-Storage-Policy-Index", str(self.policy_index))
        headers = [policy, ("Content-Length", str(len(body))), *trace]
        return BackendRequest(collected.METHOD, f"/{self.place.partition}", headers, body)


class Collector:
    """The SmallObjectService of a worker."""

    most = collected.OBJECTS_AT_MOST
    most_bytes = collected.OBJECT_BYTES

    def __init__(self, services: Services, infos: Infos) -> None:
        self._services = services
        self._infos = infos
        self._refused_until: dict[tuple[str, int], float] = {}

    def collect(self, environ: Environ, objects: Sequence[SmallObject], *, source: str) -> Found:
        assert len(objects) <= self.most
        found: Found = [None] * len(objects)
        if uses_replication(environ) or is_true(environ.get("HTTP_X_NEWEST")):
            return found
        holds = sum(each.size for each in objects) <= HELD_BYTES
        trace = [("Host", environ.get("HTTP_HOST", "localhost")), *trace_headers(environ)]
        batches: dict[Exchange, _Batch] = {}
        try:
            for batch in self._dealt(environ, objects, source):
                batches[self._services.caller.start(batch.node, batch.request(trace))] = batch
            self._gather(batches, found, holds)
        except BaseException:
            for body in found:
                if isinstance(body, ArrivingBody):
                    body.close()
            raise
        finally:
            for exchange in batches:
                exchange.discard()
        return found

    def _dealt(self, environ: Environ, objects: Sequence[SmallObject], source: str) -> list[_Batch]:
        """Few batches of about the same size, each of objects that one device has."""
        batches: dict[tuple[object, ...], _Batch] = {}
        template = child_environ(environ, "GET", "/", source=source)
        for index, each in enumerate(objects):
            placed = self._placed({**template, "PATH_INFO": each.path}, each)
            if placed is None:
                continue
            place, policy_index, wanted = placed
            nodes = [node for node in place.order.nearest(place.ring, place.partition) if self._is_asked(node)]
            known = [batch for node in nodes if (batch := batches.get((policy_index, *_key(node)))) is not None]
            if known:
                batch = min(known, key=lambda batch: len(batch.wanted))
            elif nodes:
                batch = batches[policy_index, *_key(nodes[0])] = _Batch(nodes[0], place, policy_index)
            else:
                continue
            batch.wanted.append(wanted)
            batch.indexes.append(index)
        return list(batches.values())

    def _placed(self, environ: Environ, known: SmallObject) -> tuple[Place, int, Wanted] | None:
        """Where an object lives, if whoever makes the request may read it."""
        try:
            environ[RAW_TARGET] = quoted(text_of(known.path))
            path = route(environ, self._services.cluster.limits)
            if isinstance(path, Refusal) or not (path.account and path.container and path.obj):
                return None
            info = self._infos.container(environ, path.account, path.container)
            if denial(Request(environ), info.read_acl) is not None:
                return None
            index = object_policy(environ, info)
            if index is None:
                return None
            place = self._services.object_place(index, path.account, path.container, path.obj)
        except DomainError:
            return None
        name = f"/{path.account}/{path.container}/{path.obj}"
        return place, index, Wanted(str(place.partition), name, known.etag, known.size)

    def _is_asked(self, node: Node) -> bool:
        until_s = self._refused_until.get(node.address)
        return until_s is None or until_s <= self._services.clock.monotonic()

    def _gather(self, batches: dict[Exchange, _Batch], found: Found, holds: bool) -> None:
        """Take what comes within the time after which a GET would ask the next replica. holds: whole bodies."""
        waiting = list(batches)
        deadline_s = green.monotonic() + max((self._patience_s(batch.place) for batch in batches.values()), default=0.0)
        while waiting:
            settled = wait_for_some(waiting, deadline_s)
            if not settled:
                for exchange in waiting:
                    self._services.faults.silent(exchange.node)
                return
            for exchange in settled:
                waiting.remove(exchange)
                batch = batches[exchange]
                bodies = self._taken(exchange, batch, holds)
                del batches[exchange]
                for index, body in zip(batch.indexes, bodies, strict=False):
                    found[index] = body

    @staticmethod
    def _patience_s(place: Place) -> float:
        settings = place.settings
        return settings.concurrency_timeout if settings.concurrent_gets else settings.node_timeout

    def _taken(self, exchange: Exchange, batch: _Batch, holds: bool) -> Sequence[Body | None]:
        """The bodies of an answer; none when there is none, or no good one, and the node is held to account."""
        try:
            head = exchange.head
            if head is None:
                assert exchange.failure is not None
                raise exchange.failure
            if head.status == HTTPStatus.OK:
                return self._bodies(exchange, head, batch, holds)
        except PeerError as error:
            exchange.fail(error)
            self._services.faults.failed(exchange.node, error)
            return ()
        exchange.discard()
        if head.status in _NOT_UNDERSTOOD:
            self._refused_until[exchange.node.address] = self._services.clock.monotonic() + RETRY_S
        elif head.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._services.faults.refused(exchange.node, head.status)
        return ()

    def _bodies(self, exchange: Exchange, head: ResponseHead, batch: _Batch, holds: bool) -> Sequence[Body | None]:
        """Raises PeerError, also for what no honest server answers."""
        length, wanted = head.length, batch.wanted
        if length is None:
            raise BadResponse(f"{collected.METHOD} was answered without a length")
        try:
            are_here = collected.are_here(head.headers.get(collected.HERE, ""), length, wanted)
        except ValueError as error:
            raise BadResponse(str(error)) from None
        stall_s = batch.place.settings.recoverable_node_timeout
        if holds:
            data = exchange.connection.read_whole(length, stall_s)
            exchange.connection.release()
            return collected.split(data, wanted, are_here)
        sizes = [each.size for each, is_here in zip(wanted, are_here, strict=True) if is_here]
        arriving = iter(Arrivals(exchange, sizes, stall_s, self._services.faults).bodies)
        return [next(arriving) if is_here else None for is_here in are_here]


def _key(node: Node) -> tuple[object, ...]:
    return (*node.address, node.name)
