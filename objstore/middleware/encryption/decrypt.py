"""What a stored object's headers and body say in the clear. Source: formats 8.6.

Nothing encrypted ever leaves as if it were plain: what cannot be read raises Undecipherable. A key that is not the one
it was is noticed by the ETag's MAC before a byte of body is decrypted.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from contextlib import suppress

from objstore.core.headers import lowered
from objstore.core.names import ClientPath
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import SubResponse
from objstore.middleware.encryption.body import DecryptingBody, Transform
from objstore.middleware.encryption.crypto import KeyStream, crypt
from objstore.middleware.encryption.crypto_meta import CryptoMeta, Sealed, Undecipherable, split
from objstore.middleware.encryption.encrypt import etag_mac
from objstore.middleware.encryption.headers import (
    BODY_META,
    ETAG,
    ETAG_MAC,
    OVERRIDE_ETAG,
    SYSMETA_PREFIX,
    TRANSIENT_PREFIX,
)
from objstore.middleware.encryption.keyring import Keyring
from objstore.middleware.encryption.multipart import MultipartStream, boundary_of

_BODY_META, _ETAG, _ETAG_MAC, _OVERRIDE = (name.lower() for name in (BODY_META, ETAG, ETAG_MAC, OVERRIDE_ETAG))
_META = "X-Object-Meta-"
_EXPOSED = "access-control-expose-headers"
_RANGE = re.compile(r"bytes (\d{1,20})-\d{1,20}/")
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_NOT_IN_A_HEADER = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def is_encrypted(headers: list[tuple[str, str]]) -> bool:
    """Whether an answer has anything to decrypt. Runs for every GET."""
    return any(len(name) >= len(BODY_META) and name.lower().startswith(_PREFIXES) for name, _ in headers)


_PREFIXES = (SYSMETA_PREFIX, TRANSIENT_PREFIX)


class Opened:
    """The answer to a GET or HEAD in the clear: header_list, and body() for the rest. Raises Undecipherable."""

    def __init__(self, answer: SubResponse, keyring: Keyring, path: ClientPath) -> None:
        """answer: one that is_encrypted()."""
        self._answer = answer
        self._headers = answer.headers
        self._keyring = keyring
        self._path = path
        self._meta: CryptoMeta | None = None
        self._key = b""
        etag = self._open_etag()
        meta = self._user_metadata()
        self.header_list = [
            (name, _exposing(value, meta) if meta and lowered(name) == _EXPOSED else value)
            for name, value in answer.header_list
            if not _is_replaced(name, etag is not None)
        ]
        self.header_list += meta
        if etag is not None:
            self.header_list += [("Etag", etag), *self._listing_etag()]

    @property
    def etag(self) -> str:
        """The ETag in the clear, without quotes."""
        return next((value for name, value in self.header_list if name.lower() == "etag"), "").strip('"')

    def body(self) -> Iterable[bytes]:
        """The answer's body in the clear; closing it closes the answer's."""
        body = self._answer.body
        if self._meta is None or self._answer.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            return body
        if isinstance(body, (tuple, list)) and not any(body):
            return body  # A HEAD.
        transform = self._transform()
        if isinstance(body, (tuple, list)):
            return tuple(transform.update(piece) for piece in body)
        return DecryptingBody(body, transform)

    def _open_etag(self) -> str | None:
        """The plain ETag, None when the body is not encrypted. Leaves the key of the body."""
        text = self._headers.get(_BODY_META)
        if text is None:
            return None
        meta = CryptoMeta.load(text)
        if meta.key_id is None or meta.iv is None or meta.body_key is None:
            raise Undecipherable("the body's crypto metadata lacks key_id, iv or body_key")
        object_key = self._keyring.object_key(meta.key_id)
        etag = _open_etag(object_key, self._headers.get(_ETAG, ""), self._headers.get(_ETAG_MAC))
        self._meta = meta
        self._key = crypt(object_key, meta.body_key.iv, meta.body_key.key)
        return etag

    def _stream_at(self, offset: int) -> KeyStream:
        assert self._meta is not None and self._meta.iv is not None
        return KeyStream(self._key, self._meta.iv, offset)

    def _transform(self) -> Transform:
        if self._answer.status == HTTPStatus.OK:
            return self._stream_at(0)
        boundary = boundary_of(self._headers.get("content-type", ""))
        if boundary is not None:
            return MultipartStream(boundary, self._stream_at)
        found = _RANGE.match(self._headers.get("content-range", ""))
        if found is None:
            raise Undecipherable("the answer is a part of the body and does not say which")
        return self._stream_at(int(found[1]))

    def _user_metadata(self) -> list[tuple[str, str]]:
        start = len(TRANSIENT_PREFIX) + 1
        sealed = [
            (f"{_META}{name[start:]}", value)
            for name, value in self._answer.header_list
            if len(name) > start and name[:start].lower() == f"{TRANSIENT_PREFIX}-"
        ]
        if not sealed:
            return []
        text = self._headers.get(TRANSIENT_PREFIX)
        key_id = CryptoMeta.load(text).key_id if text is not None else None
        if key_id is None:
            raise Undecipherable("encrypted user metadata does not say under which key")
        key = self._keyring.object_key(key_id)
        return [(name, _opened_value(key, value)) for name, value in sealed]

    def _listing_etag(self) -> list[tuple[str, str]]:
        """The ETag for listings, which filters that copy an object take along. Whoever only reads does without."""
        text = self._headers.get(_OVERRIDE)
        if text is None:
            return []
        with suppress(Undecipherable):
            return [(OVERRIDE_ETAG, open_listing_etag(self._keyring, self._path, text))]
        return []


def open_listing_etag(keyring: Keyring, path: ClientPath, text: str) -> str:
    """The etag column of a row, or what an object says for it, in the clear; what is not encrypted as it is. path: of
    something in the container. A WSGI string. Raises Undecipherable."""
    found = split(text)
    if found is None:
        return text
    sealed, others = found
    if sealed.meta.key_id is None:
        raise Undecipherable("an ETag of a listing does not say under which key it is")
    assert path.account is not None and path.container is not None
    key = keyring.container_key(sealed.meta.key_id, path.account, path.container)
    plain = sealed.opened(key)
    # There is no MAC: what begins with no MD5 was not opened by its key.
    if _MD5.match(plain[:32].decode("latin-1")) is None or plain[32:33] not in (b"", b";") or _breaks_out(plain):
        raise Undecipherable("an ETag of a listing is none after decryption: its root secret is not what it was")
    return plain.decode("latin-1") + others


def _open_etag(object_key: bytes, text: str, mac: str | None) -> str:
    etag = Sealed.load(text).opened(object_key).decode("latin-1")
    if mac is not None:
        is_right = hmac.compare_digest(etag_mac(object_key, etag), mac)
    else:
        is_right = _MD5.match(etag) is not None
    if not is_right:
        raise Undecipherable("the ETag is another after decryption: its root secret is not what it was")
    return etag


def _opened_value(key: bytes, text: str) -> str:
    plain = Sealed.load(text).opened(key)
    if _breaks_out(plain):
        raise Undecipherable(
            "user metadata holds control characters after decryption: its root secret is not what it was"
        )
    return plain.decode("latin-1")


def _exposing(value: str, meta: list[tuple[str, str]]) -> str:
    """Access-Control-Expose-Headers with user metadata, which the proxy did not see when it wrote that."""
    return ", ".join([value, *(lowered(name) for name, _ in meta)])


def _breaks_out(plain: bytes) -> bool:
    """A value under a wrong key is noise, and noise with a line break would be a header of its own."""
    return _NOT_IN_A_HEADER.search(plain) is not None


def _is_replaced(name: str, has_etag: bool) -> bool:
    lower = name.lower()
    return lower.startswith(_PREFIXES) or (has_etag and lower in ("etag", _OVERRIDE))
