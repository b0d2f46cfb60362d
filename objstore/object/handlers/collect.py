"""COLLECT: several small objects of one device by one request, for the segments of large objects (peers/collected).

Whatever is wrong with one of them, it is answered as not here: a GET of it finds out and says what. Every body is
checked before anything is answered, as a GET of so small an object is; damage is set aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from objstore.core.errors import DomainError
from objstore.core.names import backend_path, wsgi_of
from objstore.http.body import Sink
from objstore.http.request import Request
from objstore.http.response import Response
from objstore.http.status import HTTPStatus
from objstore.object.body import verified_into
from objstore.object.context import ObjectContext
from objstore.object.handlers.read import body_checker, set_aside
from objstore.peers.collected import HERE, QUESTION_BYTES, Wanted, here, is_plain, parse_question
from objstore.runtime import green
from objstore.storage.engine import CRC_HEADER, StoredObject

_TURN_S = 0.005
"""After so long others get their turn: opening files may wait for a disk."""


class CollectHandler:
    """handler(request) → Response."""

    def __init__(self, context: ObjectContext) -> None:
        self._context = context
        self._quarantine = partial(set_aside, context)

    def __call__(self, request: Request) -> Response:
        """Raises BadRequest, UnknownPolicy."""
        device = request.backend_path(2, 2).device
        index = self._context.policy_index(request)
        wanted = parse_question(request.body.read(QUESTION_BYTES))
        found: list[StoredObject | None] = []
        try:
            turn_s = green.monotonic()
            for each in wanted:
                found.append(self._opened(device, index, each))
                if green.monotonic() - turn_s > _TURN_S:
                    green.sleep(0)
                    turn_s = green.monotonic()
            return _answer(*self._read(found))
        finally:
            for stored in found:
                if stored is not None:
                    stored.close()

    def _opened(self, device: str, index: int, wanted: Wanted) -> StoredObject | None:
        """The object, if it is the one that is wanted and no more than its body."""
        context = self._context
        try:
            path = backend_path(wsgi_of(f"/{device}/{wanted.partition}{wanted.name}"), 5, 5)
            stored = context.engine.open(context.address(path, index))
        except (DomainError, UnicodeError):
            return None
        if not isinstance(stored, StoredObject):
            return None
        if (
            stored.size == wanted.size
            and stored.etag == wanted.etag
            and not stored.is_expired(context.clock.now())
            and is_plain(stored.headers, CRC_HEADER)
        ):
            return stored
        stored.close()
        return None

    def _read(self, found: list[StoredObject | None]) -> tuple[list[bool], bytearray]:
        """Which bodies are right, and those, read into one piece of memory."""
        data = bytearray(sum(stored.size for stored in found if stored is not None))
        are_here, position = [], 0
        for stored in found:
            is_here = stored is not None
            if stored is not None:
                end = position + stored.size
                try:
                    with memoryview(data) as whole, whole[position:end] as view:
                        checker = body_checker(self._context, stored)
                        verified_into(view, stored, checker, self._context.threads, self._quarantine)
                    position = end
                except (DomainError, OSError):
                    is_here = False
            are_here.append(is_here)
        del data[position:]
        return are_here, data


def _answer(are_here: list[bool], data: bytearray) -> Response:
    headers = {"content-type": "application/octet-stream", "content-length": str(len(data)), HERE: here(are_here)}
    return Response(HTTPStatus.OK, headers, _Gathered(data))


class _Gathered:
    """A TransferBody in memory, which the server sends without another copy."""

    def __init__(self, data: bytearray) -> None:
        self._data = data

    def transfer(self, sink: Sink) -> None:
        sink.send(self._data)

    def __iter__(self) -> Iterator[bytes]:
        yield bytes(self._data)

    def close(self) -> None:
        """Nothing is open."""
