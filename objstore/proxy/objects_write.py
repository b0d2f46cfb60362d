"""PUT, POST and DELETE of objects. Source: features A3.1 to A3.4, A3.9 to A3.11; formats 6.4.

A body of up to SMALL_PUT_BYTES is read first and goes to each replica together with its head, in one send. Anything
longer or of unknown length is relayed as it comes (upload.py); so is a PUT that may only create, because its refusal
has to come before the body is stored anywhere.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from objstore.core.constraints import check_metadata, check_name
from objstore.core.errors import BadRequest, BodyTooLarge, WrongBody
from objstore.core.headers import is_true
from objstore.core.names import ClientPath, text_of
from objstore.core.timestamp import Timestamp
from objstore.http.access import denial
from objstore.http.environ import CONTENT_TYPE_PARAMETERS, UPLOAD_FOOTERS
from objstore.http.request import Request
from objstore.http.response import HTML, Response, page
from objstore.http.status import HTTPStatus
from objstore.peers.exchange import BackendRequest
from objstore.proxy.answers import failure, write_answer
from objstore.proxy.expiry import delete_at
from objstore.proxy.headers import object_headers, trace_headers
from objstore.proxy.info import Infos
from objstore.proxy.object_policy import object_policy
from objstore.proxy.quorum import quorum_size
from objstore.proxy.services import Place, Services, timestamp_of, uses_replication
from objstore.proxy.targets import (
    ExpiryQueue,
    Headers,
    RequestPlan,
    Servers,
    deal,
    deal_backwards,
    serving,
    target_headers,
)
from objstore.proxy.upload import Upload, footer_headers, new_boundary
from objstore.ring.model import Node, Ring

SMALL_PUT_BYTES = 65536
_DEFAULT_TYPE = "application/octet-stream"
_TEXT = "text/plain"
_CLEANS = "X-Backend-Clean-Expiring-Object-Queue"
_QUEUE_CLEANERS = 2
"""Requests that enqueue the removal of an old expiry entry (formats 6.4)."""
_SHOWN_AFTER_POST = tuple(
    f"x-object-sysmeta-{name}"
    for name in ("symlink-target", "symlink-target-account", "symloop-extend", "allow-reserved-names")
)
"""What the filter for links has to know of the object that a POST was about."""
_NO_BODY = ("Content-Length", "0")


class _Change(NamedTuple):
    """One request to change an object, admitted and dated. expires: when the object is to go, whole seconds."""

    request: Request
    path: ClientPath
    place: Place
    policy_index: int
    sharding_state: str
    stamp: Timestamp
    expires: int | None
    is_replicated: bool


class ObjectWrites:
    def __init__(self, services: Services, infos: Infos) -> None:
        self._services = services
        self._infos = infos
        settings = services.settings
        self._queue = ExpiryQueue(
            f".{settings.expiring_objects_account_name}",
            settings.expiring_objects_container_divisor,
            services.cluster.secrets,
        )

    def put(self, request: Request, path: ClientPath) -> Response:
        admitted = self._admitted(request, path)
        if isinstance(admitted, Response):
            return admitted
        limits = self._services.cluster.limits
        length = request.content_length
        if length is None and not request.is_chunked:
            return Response(HTTPStatus.LENGTH_REQUIRED, {"content-type": _TEXT}, b"Missing Content-Length header.")
        if length is not None and length > limits.max_file_size:
            raise BodyTooLarge(limits.max_file_size)
        check_name(_names(path)[2], "Object", limits.max_object_name_length)
        check_metadata(request.headers(), "object", limits)
        if request.header("if-none-match") not in (None, "*"):
            return Response(HTTPStatus.BAD_REQUEST, {"content-type": _TEXT}, b"If-None-Match only supports *")
        refused = self._set_content_type(request, path)
        if refused is not None:
            return refused
        change = self._change(request, path, *admitted, may_expire=True)
        if length is not None and length <= SMALL_PUT_BYTES and request.header("if-none-match") is None:
            return self._put_small(change, length)
        return self._put_large(change, length)

    def post(self, request: Request, path: ClientPath) -> Response:
        admitted = self._admitted(request, path)
        if isinstance(admitted, Response):
            return admitted
        check_metadata(request.headers(), "object", self._services.cluster.limits)
        change = self._change(request, path, *admitted, may_expire=True)
        opened = []
        if self._services.settings.allow_open_expired and is_true(request.header("x-open-expired")):
            opened = [("X-Backend-Open-Expired", "true")]
        plan = self._plan(change, [*self._headers(change), _NO_BODY, *opened])
        write = self._services.write(change.place, plan, doubts_absence=True, use_replication=change.is_replicated)
        if write.quorum.is_contested and self._is_gone(change, opened):
            return failure(HTTPStatus.NOT_FOUND)
        return write_answer(write, _SHOWN_AFTER_POST)

    def _is_gone(self, change: _Change, opened: Headers) -> bool:
        """Whether what some replica still has was deleted later, or has expired: as a reader hears it who asks for the
        newest."""
        place = change.place
        read = self._services.read(
            place,
            BackendRequest("HEAD", place.path, [*self._headers(change), *opened]),
            voices=self._services.newest_voices(place),
            use_replication=change.is_replicated,
        )
        if read.winner is not None:
            read.winner.discard()
        return read.status == HTTPStatus.NOT_FOUND

    def delete(self, request: Request, path: ClientPath) -> Response:
        admitted = self._admitted(request, path)
        if isinstance(admitted, Response):
            return admitted
        change = self._change(request, path, *admitted, may_expire=False)
        plan = self._plan(change, [*self._headers(change), _NO_BODY])
        return write_answer(self._services.delete(change.place, plan, use_replication=change.is_replicated))

    def _admitted(self, request: Request, path: ClientPath) -> tuple[int, str] | Response:
        """(policy index, sharding state of the container) when the client may change the object; else the refusal."""
        account, container, _ = _names(path)
        info = self._infos.container(request.environ, account, container)
        denied = denial(request, info.write_acl)
        if denied is not None:
            return denied
        index = object_policy(request.environ, info)
        if index is None:
            gone = info.status == HTTPStatus.NOT_FOUND
            return failure(HTTPStatus.NOT_FOUND if gone else HTTPStatus.SERVICE_UNAVAILABLE)
        return index, info.sharding_state

    def _change(
        self, request: Request, path: ClientPath, index: int, sharding_state: str, *, may_expire: bool
    ) -> _Change:
        """Raises BadRequest for a time of expiry that is none."""
        stamp = timestamp_of(request, self._services.clock)
        expires = None
        if may_expire:
            expires = delete_at(request.header("x-delete-at"), request.header("x-delete-after"), stamp.seconds)
        place = self._services.object_place(index, *_names(path))
        replicated = uses_replication(request.environ)
        return _Change(request, path, place, index, sharding_state, stamp, expires, replicated)

    def _set_content_type(self, request: Request, path: ClientPath) -> Response | None:
        """Guess it from the name when none is given; refuse one that only the system may set, and add what it sets."""
        environ = request.environ
        given = environ.get("CONTENT_TYPE", "")
        own = environ.get(CONTENT_TYPE_PARAMETERS, "")
        if not given or is_true(request.header("x-detect-content-type")):
            environ["CONTENT_TYPE"] = (mimetypes.guess_type(_names(path)[2])[0] or _DEFAULT_TYPE) + own
            return None
        try:
            text_of(given)
        except BadRequest:
            return Response(
                HTTPStatus.BAD_REQUEST, {"content-type": _TEXT}, b"Please specify a valid UTF-8 content-type"
            )
        if any(part.strip().lower().startswith("swift_") for part in given.split(";")[1:]):
            return page(HTTPStatus.BAD_REQUEST, "Invalid Content-Type, swift_* is not a valid parameter name.")
        if own:
            environ["CONTENT_TYPE"] = given + own
        return None

    # The requests of a write

    def _headers(self, change: _Change) -> Headers:
        environ = change.request.environ
        found = [
            ("X-Timestamp", change.stamp.internal),
            ("X-Backend-Storage-Policy-Index", str(change.policy_index)),
            *[item for item in object_headers(environ) if item[0] not in _SET_HERE],
            *trace_headers(environ),
        ]
        if change.expires is not None:
            found.append(("X-Delete-At", str(change.expires)))
        return found

    def _plan(self, change: _Change, common: Headers, body: bytes = b"") -> RequestPlan:
        """One request per replica, each with its share of update targets."""
        place, replicated = change.place, change.is_replicated
        account, container, obj = _names(change.path)
        common = [*common, ("X-Container-Root-Db-State", change.sharding_state)]
        if place.ring.next_part_power is not None:
            common.append(("X-Backend-Next-Part-Power", str(place.ring.next_part_power)))
        rows = self._services.container_place(account, container)
        queue = None
        if change.expires is not None:
            queue = self._queue.container(change.expires, account, container, obj)
        method = change.request.method

        # The expirer says that nobody is to clean up: it does that itself.
        is_said = _CLEANS in [name for name, _ in common]

        def requests(servers: Servers) -> list[BackendRequest]:
            cleaners = serving(servers)[: max(_QUEUE_CLEANERS, quorum_size(len(servers)))]
            found = [
                [*common, *told] if is_said else [*common, *told, (_CLEANS, "t" if slot in cleaners else "f")]
                for slot, told in enumerate(_row_headers(rows.ring, rows.partition, tuple(servers), replicated))
            ]
            if queue is not None:
                self._add_queue(found, queue, servers, replicated)
            return [BackendRequest(method, place.path, headers, body) for headers in found]

        return requests

    def _add_queue(self, found: list[Headers], queue: str, servers: Servers, replicated: bool) -> None:
        place = self._services.container_place(self._queue.account, queue)
        for headers, nodes in zip(found, deal_backwards(place.primaries, servers), strict=True):
            headers.append(("X-Delete-At-Container", queue))
            headers += target_headers("X-Delete-At", place.partition, nodes, use_replication=replicated)

    # PUT

    def _put_small(self, change: _Change, length: int) -> Response:
        request = change.request
        body = request.body.read(length) if length else b""
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        try:
            footers = _footers(request, etag)
        except WrongBody:
            return _mismatch(change.stamp)
        # The ETag makes every server check what arrived before it stores anything.
        headers = self._headers(change)
        if footers:
            headers = [*(item for item in headers if item[0] not in footers), *footers.items()]
        headers.append(("Etag", etag))
        if length:
            headers.append(("Content-Length", str(length)))
            sent = body
        else:
            headers.append(("Transfer-Encoding", "chunked"))
            sent = b"0\r\n\r\n"
        plan = self._plan(change, headers, sent)
        write = self._services.write(change.place, plan, use_replication=change.is_replicated)
        return _put_answer(write.status, etag, change.stamp)

    def _put_large(self, change: _Change, length: int | None) -> Response:
        services, place = self._services, change.place
        boundary = new_boundary()
        upload = Upload(
            services.caller,
            services.faults,
            services.write_times(place.settings),
            self._plan(change, [*self._headers(change), *footer_headers(boundary, length)]),
            len(place.primaries),
            boundary,
            use_replication=change.is_replicated,
            needs_footers=UPLOAD_FOOTERS in change.request.environ,
        )
        if not upload.open(place.order.writing(place.ring, place.partition)):
            return _refusal(upload, change.stamp)
        if not upload.relay(change.request.body, services.cluster.limits.max_file_size, length):
            upload.abandon()
            return failure(HTTPStatus.SERVICE_UNAVAILABLE)
        etag = upload.digest.etag
        try:
            footers = _footers(change.request, etag)
        except WrongBody:
            upload.abandon()
            return _mismatch(change.stamp)
        except BaseException:
            upload.abandon()
            raise
        return _put_answer(upload.finish(dict(footers)), etag, change.stamp)


@lru_cache(maxsize=1024)
def _row_headers(ring: Ring, partition: int, servers: tuple[Node | None, ...], replicated: bool) -> list[Headers]:
    """The container servers that each of these tells of its row. The same for many objects of a container."""
    return [
        target_headers("X-Container", partition, nodes, use_replication=replicated)
        for nodes in deal(ring.primaries(partition), servers)
    ]


_SET_HERE = frozenset({"X-Delete-At", "Etag", "X-Backend-Storage-Policy-Index"})


def _names(path: ClientPath) -> tuple[str, str, str]:
    assert path.account is not None and path.container is not None and path.obj is not None
    return path.account, path.container, path.obj


_NO_FOOTERS: Mapping[str, str] = {}


def _footers(request: Request, etag: str) -> Mapping[str, str]:
    """What a filter has stored with the body that came. Raises WrongBody when that is not the one the client meant: its
    Etag header, quoted or bare, is not the MD5 of it."""
    given = (request.header("etag") or "").strip().strip('"')
    if given and given != etag:
        raise WrongBody(given, etag)
    source = request.environ.get(UPLOAD_FOOTERS)
    if source is None:
        return _NO_FOOTERS
    found: Mapping[str, str] = source.footers()
    return found


def _mismatch(stamp: Timestamp) -> Response:
    return page(HTTPStatus.UNPROCESSABLE_ENTITY, headers={"last-modified": stamp.http_date})


def _put_answer(status: int, etag: str, stamp: Timestamp) -> Response:
    if status == HTTPStatus.CREATED:
        return Response(status, {"content-type": HTML, "etag": etag, "last-modified": stamp.http_date})
    if status == HTTPStatus.CONFLICT:
        # A newer object is there already: this one was accepted and has been overwritten.
        return page(HTTPStatus.ACCEPTED, "The request is accepted for processing.")
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        # The client's body was right when it came here: it was damaged between us and the servers.
        return failure(HTTPStatus.SERVICE_UNAVAILABLE)
    return failure(status)


def _refusal(upload: Upload, stamp: Timestamp) -> Response:
    """No body was sent: one replica's precondition speaks for the object, one newer object too."""
    statuses = {reply.status for reply in upload.replies}
    if HTTPStatus.PRECONDITION_FAILED in statuses:
        return page(HTTPStatus.PRECONDITION_FAILED)
    if HTTPStatus.CONFLICT in statuses:
        return _put_answer(HTTPStatus.CONFLICT, "", stamp)
    return failure(upload.quorum.final())
