"""Asking a key manager for a key by KMIP 1.2: one Get over TLS, which is all a proxy needs at its start.

A client of our own, because the library there is for Python checks no server's name: whoever has any certificate of the
same authority could hand out keys. Source: OASIS KMIP 1.4, sections 4.11 (Get), 6 (messages), 9.1.3 (tags).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from objstore.core.errors import DomainError
from objstore.http.client import PeerError
from objstore.http.dial import Route
from objstore.http.outgoing import Trust
from objstore.http.stream import PeerStream
from objstore.middleware.encryption.ttlv import (
    HEAD_BYTES,
    Item,
    NotTtlv,
    enumeration,
    integer,
    parse,
    structure,
    text,
    whole_size,
)
from objstore.runtime import green
from objstore.runtime.green import TimedOut

MESSAGE_BYTES_MAX = 1 << 16
_VERSION = (1, 2)
_REQUEST, _REQUEST_HEADER, _REQUEST_PAYLOAD = 0x420078, 0x420077, 0x420079
_PROTOCOL_VERSION, _MAJOR, _MINOR = 0x420069, 0x42006A, 0x42006B
_AUTHENTICATION, _CREDENTIAL, _CREDENTIAL_TYPE, _CREDENTIAL_VALUE = 0x42000C, 0x420023, 0x420024, 0x420025
_USERNAME, _PASSWORD = 0x420099, 0x4200A1
_BATCH_COUNT, _BATCH_ITEM, _OPERATION, _UNIQUE_ID = 0x42000D, 0x42000F, 0x42005C, 0x420094
_RESPONSE, _RESPONSE_PAYLOAD = 0x42007B, 0x42007C
_RESULT_STATUS, _RESULT_MESSAGE = 0x42007F, 0x42007D
_SYMMETRIC_KEY, _KEY_BLOCK, _KEY_FORMAT, _KEY_VALUE, _KEY_MATERIAL = 0x42008F, 0x420040, 0x420042, 0x420045, 0x420043
_WRAPPING = 0x420046
_GET = 0x0A
_USERNAME_AND_PASSWORD = 1
_SUCCESS = 0
_RAW = 1


class NoKey(DomainError):
    """A key manager gave no key. The text names it and the key's id, never a password or a key."""


@dataclass(frozen=True, slots=True)
class KmipServer:
    """username and password are for servers that ask for them beside the certificate."""

    host: str
    port: int
    trust: Trust
    username: str = ""
    password: str = field(default="", repr=False)
    timeout_s: float = 30.0

    def key(self, key_id: str) -> bytes:
        """The material of a symmetric key. Raises NoKey."""
        where = f"{self.host}:{self.port}: key {key_id[:100]!r}"
        try:
            with green.deadline(self.timeout_s):
                return _key_of(self._ask(self._get(key_id)))
        except TimedOut:
            raise NoKey(f"{where}: no answer within {self.timeout_s:g} s") from None
        except (PeerError, NotTtlv, OSError, ValueError) as error:
            raise NoKey(f"{where}: {error}") from None

    def _get(self, key_id: str) -> bytes:
        header = [structure(_PROTOCOL_VERSION, integer(_MAJOR, _VERSION[0]), integer(_MINOR, _VERSION[1]))]
        if self.username:
            secret = structure(_CREDENTIAL_VALUE, text(_USERNAME, self.username), text(_PASSWORD, self.password))
            kind = enumeration(_CREDENTIAL_TYPE, _USERNAME_AND_PASSWORD)
            header.append(structure(_AUTHENTICATION, structure(_CREDENTIAL, kind, secret)))
        header.append(integer(_BATCH_COUNT, 1))
        payload = structure(_REQUEST_PAYLOAD, text(_UNIQUE_ID, key_id))
        item = structure(_BATCH_ITEM, enumeration(_OPERATION, _GET), payload)
        return structure(_REQUEST, structure(_REQUEST_HEADER, *header), item)

    def _ask(self, message: bytes) -> Item:
        """Raises PeerError, NotTtlv, OSError, TimedOut, ValueError for files that are no certificate."""
        stream = Route(self.trust.context()).dial(self.host, self.port, self.timeout_s)
        try:
            stream.send(message, self.timeout_s)
            head = _received(stream, HEAD_BYTES, self.timeout_s)
            size = whole_size(head)
            if size > MESSAGE_BYTES_MAX:
                raise NotTtlv(f"an answer of {size} bytes, where no key needs more than {MESSAGE_BYTES_MAX}")
            return parse(head + _received(stream, size - HEAD_BYTES, self.timeout_s))
        finally:
            stream.close()


def _received(stream: PeerStream, size: int, timeout_s: float) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.recv(size - len(data), timeout_s)
        if not piece:
            raise NotTtlv(f"the answer ends {size - len(data)} bytes early")
        data += piece
    return data


def _key_of(response: Item) -> bytes:
    """Raises NotTtlv."""
    item = response.find(_BATCH_ITEM) if response.tag == _RESPONSE else None
    status = item.find(_RESULT_STATUS) if item is not None else None
    if item is None or status is None:
        raise NotTtlv("the answer is not a response message of one item")
    if status.number() != _SUCCESS:
        said = item.find(_RESULT_MESSAGE)
        raise NotTtlv(f"refused: {said.text()[:200] if said is not None else 'without a reason'!r}")
    block = item.find(_RESPONSE_PAYLOAD, _SYMMETRIC_KEY, _KEY_BLOCK)
    if block is None:
        raise NotTtlv("what has that id is not a symmetric key")
    kind, material = block.find(_KEY_FORMAT), block.find(_KEY_VALUE, _KEY_MATERIAL)
    if kind is None or kind.number() != _RAW or material is None or block.find(_WRAPPING) is not None:
        raise NotTtlv("the key is wrapped, or not in the raw format")
    return material.data()
