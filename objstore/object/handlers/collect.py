"""COLLECT: several small objects of one device by one request, for the segments of large objects (peers/collected).

Whatever is wrong with one of them, it is answered as not here: a GET of it finds out and says what. Few bytes are
checked before anything is answered, more of them one object at a time, each before any of it is sent: damage is set
aside, and the answer ends there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from objstore.core.errors import DomainError
from objstore.core.names import backend_path, wsgi_of
from objstore.http.body import Sink
from objstore.http.request import Request
from objstore.http.response import Response
from objstore.http.status import HTTPStatus
from objstore.object.body import Quarantine, send_checked, verified_bytes, verified_into
from objstore.object.context import ObjectContext
from objstore.object.handlers.read import body_checker, set_aside
from objstore.peers.collected import (
    HELD_BYTES,
    HERE,
    QUESTION_BYTES,
    Wanted,
    here,
    is_plain,
    parse_question,
    total_bytes,
)
from objstore.runtime.turns import Turns
from objstore.storage.engine import CRC_HEADER, StoredObject

Found = Sequence[StoredObject | None]


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
            turns = Turns()  # Opening files may wait for a disk.
            for each in wanted:
                found.append(self._opened(device, index, each))
                turns.give()
            if total_bytes(wanted) > HELD_BYTES:
                return _one_by_one(found, self._context, self._quarantine)
            response = _at_once(*self._read(found))
        except BaseException:
            _close(found)
            raise
        _close(found)
        return response

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

    def _read(self, found: Found) -> tuple[list[bool], bytearray]:
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


def _at_once(are_here: list[bool], data: bytearray) -> Response:
    return Response(HTTPStatus.OK, _headers(are_here, len(data)), _Gathered(data))


def _one_by_one(found: Found, context: ObjectContext, quarantine: Quarantine) -> Response:
    are_here = [stored is not None for stored in found]
    length = sum(stored.size for stored in found if stored is not None)
    return Response(HTTPStatus.OK, _headers(are_here, length), _OneByOne(found, context, quarantine))


def _headers(are_here: list[bool], length: int) -> dict[str, str]:
    return {"content-type": "application/octet-stream", "content-length": str(length), HERE: here(are_here)}


def _close(found: Found) -> None:
    for stored in found:
        if stored is not None:
            stored.close()


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


class _OneByOne:
    """A TransferBody of open objects, each checked before it is sent. Raises Corrupt before the first that is damaged:
    the answer is cut there."""

    def __init__(self, found: Found, context: ObjectContext, quarantine: Quarantine) -> None:
        self._found = found
        self._context = context
        self._quarantine = quarantine

    def transfer(self, sink: Sink) -> None:
        turns = Turns()  # Opening files may wait for a disk.
        for stored in filter(None, self._found):
            checker = body_checker(self._context, stored)
            send_checked(sink, stored, checker, self._context.threads, self._quarantine)
            turns.give()

    def __iter__(self) -> Iterator[bytes]:
        for stored in filter(None, self._found):
            checker = body_checker(self._context, stored)
            yield verified_bytes(stored, checker, self._context.threads, self._quarantine)

    def close(self) -> None:
        _close(self._found)
