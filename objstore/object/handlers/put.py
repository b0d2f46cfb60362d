"""PUT of an object: bytes in, file durable, rows sent, 201. Source: formats 6.4, 6.6; vectors/wire.

The body is hashed with MD5 on the way in, unless the sender is our own proxy and offers to say the ETag itself
(X-Backend-Objstore-Crc: yes). Then this server answers X-Objstore-Crc: yes in its 100 Continue, counts only the CRC32C
of the body, and expects both in the footers: ETag, and X-Objstore-Body-Crc32c, which must be equal to its own count.
X-Objstore-Targets: yes says that the footers may name more container servers to tell (object/update.py).
"""

from __future__ import annotations

from typing import NamedTuple

from objstore.core.conditional import entity_tags
from objstore.core.errors import BadRequest, Conflict
from objstore.core.headers import environ_key, is_true
from objstore.core.names import BackendPath
from objstore.core.timestamp import Timestamp
from objstore.http.request import Request
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus
from objstore.object.context import ObjectContext
from objstore.object.expiries import Expiries, parse_delete_at
from objstore.object.footers import FooterBody, FooterChecksumMismatch
from objstore.object.intake import BodySource, Intake
from objstore.object.requests import next_part_power, referer
from objstore.object.rows import ContainerRow
from objstore.object.update import Replicas, Report, container_replicas
from objstore.runtime.checksum import parse_crc
from objstore.storage.engine import CONTENT_TYPE, CRC_HEADER, ETAG, Absent, StoredObject
from objstore.storage.layout import ObjectAddress

_FOOTER_OFFER = ("X-Obj-Metadata-Footer", "yes")
_COMMIT_OFFER = ("X-Obj-Multiphase-Commit", "yes")
_OUR_OFFERS = (("X-Objstore-Crc", "yes"), ("X-Objstore-Targets", "yes"))
_CRC_FOOTER = "x-objstore-body-crc32c"
_OVERRIDE = "x-backend-container-update-override-"
_STORED_OVERRIDE = "x-object-sysmeta-container-update-override-"
_OVERRIDE_KEYS = {name: environ_key(_OVERRIDE + name) for name in ("size", "content-type", "etag")}
_STORED_PREFIXES = ("x-object-meta-", "x-object-transient-sysmeta-", "x-object-sysmeta-")


class _Upload(NamedTuple):
    """What a PUT asks for, checked, before any byte of body is read."""

    path: BackendPath
    address: ObjectAddress
    timestamp: Timestamp
    content_type: str
    length: int | None
    delete_at_s: int | None


class PutHandler:
    def __init__(self, context: ObjectContext) -> None:
        self._context = context
        self._expiries = Expiries(context)

    def __call__(self, request: Request) -> Response:
        upload = self._parse(request)
        if upload is None:
            return plain(HTTPStatus.LENGTH_REQUIRED, "Missing Content-Length header")
        old_delete_at_s = self._check_existing(request, upload)
        if isinstance(old_delete_at_s, Response):
            return old_delete_at_s
        if upload.length is None or upload.length >= self._context.settings.network_chunk_size:
            # What is shorter is taken in and refused when it is to be stored.
            self._context.engine.check_room(upload.address.device, upload.length or 0)
        body = _Body(self._context, request, upload)
        with self._context.change(request, upload.address.device) as change:
            with body.intake:
                received = body.receive()
                if isinstance(received, Response):
                    return received
                headers = self._stored_headers(request, upload, received)
                replicas = _replicas(request, upload, received.footers)
                change.begin()
                with self._context.updates.announced(replicas):
                    body.intake.commit(upload.timestamp, headers, next_part_power(request))
                size = body.intake.size
            self._tell(request, upload, old_delete_at_s, headers, received.footers, size, replicas)
        return plain(HTTPStatus.CREATED, headers={"etag": f'"{received.etag}"'})

    def _parse(self, request: Request) -> _Upload | None:
        """None: there is neither Content-Length nor chunked encoding. Raises BadRequest."""
        path, address = self._context.locate_for_change(request)
        timestamp = request.timestamp()
        content_type = request.header("content-type")
        if not content_type:
            raise BadRequest("No content type")
        delete_at_s = parse_delete_at(request, timestamp)
        length = request.content_length
        if length is None and not request.is_chunked:
            return None
        if length is None:
            length = _stated_length(request)
        return _Upload(path, address, timestamp, content_type, length, delete_at_s)

    def _check_existing(self, request: Request, upload: _Upload) -> int | None | Response:
        """Refuse what the stored state forbids; else when the object that is there expires, None for never. Raises
        Conflict when it is as new as the upload."""
        stored = self._context.engine.open(upload.address)
        if isinstance(stored, Absent):
            if stored.timestamp is not None and stored.timestamp >= upload.timestamp:
                raise Conflict(upload.address.name, stored.timestamp)
            return None
        with stored:
            if self._is_unwanted(request, stored):
                return plain(HTTPStatus.PRECONDITION_FAILED, "The object exists")
            if stored.data_timestamp == upload.timestamp:
                self._tell_again(request, upload, stored)
            if stored.data_timestamp >= upload.timestamp:
                raise Conflict(upload.address.name, stored.data_timestamp)
            return stored.delete_at_s

    def _is_unwanted(self, request: Request, stored: StoredObject) -> bool:
        """Whether If-None-Match forbids to replace this object; an expired one may be replaced."""
        value = request.header("if-none-match")
        if value is None or stored.is_expired(self._context.clock.now()):
            return False
        tags = entity_tags(value)
        return "*" in tags or stored.etag in tags

    def _stored_headers(self, request: Request, upload: _Upload, received: _Received) -> dict[str, str]:
        headers = {CONTENT_TYPE: upload.content_type, ETAG: received.etag}
        headers |= self._context.kept_headers(request, with_sysmeta=True)
        for name, value in received.footers.items():
            if name.startswith(_STORED_PREFIXES) or name in self._context.settings.allowed_headers:
                headers[name] = value
        return headers

    def _tell_again(self, request: Request, upload: _Upload, stored: StoredObject) -> None:
        """Rows of the very object that is stored already, for servers that its first PUT did not name, or did not live
        to tell (proxy/orphans.py)."""
        upload = upload._replace(delete_at_s=stored.delete_at_s)
        self._tell(request, upload, None, stored.headers, {}, stored.size, _replicas(request, upload, {}))

    def _tell(
        self,
        request: Request,
        upload: _Upload,
        old_delete_at_s: int | None,
        headers: dict[str, str],
        footers: dict[str, str],
        size: int,
        replicas: Replicas,
    ) -> None:
        """Rows for the expiry queue and the container."""
        path = upload.path
        queued = self._expiries.changed(
            request, path, upload.address, upload.timestamp, size, upload.delete_at_s, old_delete_at_s, footers
        )
        override = _Override(request, footers, headers)
        assert path.account is not None and path.container is not None and path.obj is not None
        row = ContainerRow(
            "PUT", path.account, path.container, path.obj, upload.address.policy_index, upload.timestamp,
            override.size(size), override.text("content-type", headers[CONTENT_TYPE]),
            override.text("etag", headers[ETAG]),
            transaction_id=request.header("x-trans-id") or "-", referer=referer(request),
        )  # fmt: skip
        device, policy_index = upload.address.device, upload.address.policy_index
        self._context.updates.send(device, policy_index, [*queued, Report(row, replicas)])


class _Received(NamedTuple):
    etag: str
    footers: dict[str, str]


class _Body:
    """Receives the body of one PUT, with its footers if it has any."""

    def __init__(self, context: ObjectContext, request: Request, upload: _Upload) -> None:
        self._request = request
        self._has_footers = is_true(request.header("x-backend-obj-metadata-footer"))
        self._has_commit = self._has_footers and is_true(request.header("x-backend-obj-multiphase-commit"))
        self._trusts_sender = self._has_footers and is_true(request.header("x-backend-objstore-crc"))
        self._crc_of_copy = _crc_of_copy(request)
        self.intake = Intake(
            context.engine,
            context.threads,
            context.clock,
            upload.address,
            upload.length,
            block_bytes=context.settings.network_chunk_size,
            timeout_s=context.settings.max_upload_time,
            counts_md5=not self._trusts_sender and self._crc_of_copy is None,
        )

    def receive(self) -> _Received | Response:
        """All of it. Raises ClientDisconnected, ClientTooSlow, BadRequest, InsufficientStorage."""
        source = self._open()
        self.intake.copy(source)
        footers: dict[str, str] = {}
        if isinstance(source, FooterBody):
            try:
                footers = source.footers()
            except FooterChecksumMismatch:
                return plain(HTTPStatus.UNPROCESSABLE_ENTITY, "The footers do not match their Content-MD5")
            if self._has_commit:
                source.await_commit([_COMMIT_OFFER, _FOOTER_OFFER])
            source.finish()
        return self._check(footers)

    def _open(self) -> BodySource:
        if not self._has_footers:
            return self._request.body
        boundary = self._request.header("x-backend-obj-multipart-mime-boundary")
        if not boundary:
            raise BadRequest("X-Backend-Obj-Multipart-Mime-Boundary is missing")
        offers = [_COMMIT_OFFER] if self._has_commit else []
        offers.append(_FOOTER_OFFER)
        if self._trusts_sender:
            offers.extend(_OUR_OFFERS)
        self._request.body.continue_with(offers)
        return FooterBody(self._request.body, boundary, _stated_length(self._request))

    def _check(self, footers: dict[str, str]) -> _Received | Response:
        counted_etag = self.intake.md5
        stated = (footers.get(ETAG) or self._request.header(ETAG) or "").strip('"').lower()
        if self._crc_of_copy is not None:
            if self._crc_of_copy != self.intake.crc32c or not stated:
                return plain(HTTPStatus.UNPROCESSABLE_ENTITY, "The body does not have the CRC32C its metadata says")
            return _Received(stated, footers)
        if counted_etag is None:
            if parse_crc(footers.get(_CRC_FOOTER)) != self.intake.crc32c or not stated:
                return plain(HTTPStatus.UNPROCESSABLE_ENTITY, "The body does not have the CRC32C its footers say")
            return _Received(stated, footers)
        crc = footers.get(_CRC_FOOTER)
        if (stated and stated != counted_etag) or (crc is not None and parse_crc(crc) != self.intake.crc32c):
            return plain(HTTPStatus.UNPROCESSABLE_ENTITY, "The body does not have the ETag the request says")
        return _Received(counted_etag, footers)


def _crc_of_copy(request: Request) -> int | None:
    """What a copy that a replicator brings must sum up to, by its own metadata; its ETag was counted when the object
    was first written, and MD5 takes longer than all the rest. None where there is none to go by."""
    is_copy = is_true(request.header("x-backend-replication")) and not request.header("x-backend-obj-metadata-footer")
    return parse_crc(request.header(CRC_HEADER)) if is_copy else None


class _Override:
    """What the container row says in place of the object's own size, ETag and type (encryption, erasure coding, links).
    The stored form, in sysmeta, wins over the one that is only sent."""

    def __init__(self, request: Request, footers: dict[str, str], stored: dict[str, str]) -> None:
        self._request = request
        self._footers = footers
        self._stored = stored

    def text(self, name: str, own: str) -> str:
        for value in (
            self._stored.get(_STORED_OVERRIDE + name),
            self._footers.get(_OVERRIDE + name),
            self._request.environ.get(_OVERRIDE_KEYS[name]),
        ):
            if value is not None:
                return value
        return own

    def size(self, own: int) -> int:
        text = self.text("size", "")
        return int(text) if text.isascii() and text.isdigit() else own


def _replicas(request: Request, upload: _Upload, footers: dict[str, str]) -> Replicas:
    """Of the container."""
    assert upload.path.account is not None and upload.path.container is not None
    return container_replicas(request, upload.path.account, upload.path.container, footers)


def _stated_length(request: Request) -> int | None:
    """Bytes of object in a chunked upload, when the proxy knows them."""
    text = request.header("x-backend-obj-content-length") or ""
    return int(text) if text.isascii() and text.isdigit() else None
