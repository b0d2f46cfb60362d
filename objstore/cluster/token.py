"""A join token: what lets one machine become a node of a cluster, once, within an hour. Pure.

    objstore-join- + base64url of: version (1 byte), id (4), secret (16), fingerprint (32), address, CRC32 (4)

id: which token, to count guesses at it. secret: 128 random bits; the holder keeps its SHA-256 only. fingerprint:
SHA-256 of the holder's certificate, so that the new node gives the secret to the holder and to nobody else. address:
HOST:PORT of the holder's agent, for messages. The CRC tells a token that was copied badly from one that is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
import zlib
from dataclasses import dataclass, field

PREFIX = "objstore-join-"
SECRET_BYTES = 16
_VERSION = 1
_HEAD = struct.Struct("!B4s16s32s")
_CRC = struct.Struct("!I")
_TEXT_MAX = 512


class TokenError(ValueError):
    """The text is no token. Never quotes it."""


@dataclass(frozen=True, slots=True)
class Token:
    """id, secret, fingerprint: hexadecimal. address: HOST:PORT."""

    id: str
    secret: str = field(repr=False)
    fingerprint: str
    address: str

    def text(self) -> str:
        data = _HEAD.pack(_VERSION, *map(bytes.fromhex, (self.id, self.secret, self.fingerprint)))
        data += self.address.encode()
        return PREFIX + base64.urlsafe_b64encode(data + _CRC.pack(zlib.crc32(data))).decode().rstrip("=")


def new(fingerprint: str, address: str) -> Token:
    return Token(secrets.token_hex(4), secrets.token_hex(SECRET_BYTES), fingerprint, address)


def parse(text: str) -> Token:
    """Raises TokenError."""
    text = text.strip()
    if not text.startswith(PREFIX):
        raise TokenError(
            f"is no join token: expected one that begins with {PREFIX}, as printed by: objstore node token"
        )
    coded = text.removeprefix(PREFIX)
    try:
        if len(coded) > _TEXT_MAX:
            raise ValueError
        data = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
        if len(data) < _HEAD.size + _CRC.size or zlib.crc32(data[: -_CRC.size]) != _CRC.unpack(data[-_CRC.size :])[0]:
            raise ValueError
        version, token_id, secret, fingerprint = _HEAD.unpack(data[: _HEAD.size])
        address = data[_HEAD.size : -_CRC.size].decode()
    except (ValueError, binascii.Error):
        raise TokenError("was not copied whole: copy all of what objstore node token printed") from None
    if version != _VERSION:
        raise TokenError(f"is of version {version}: this release knows version {_VERSION}")
    return Token(token_id.hex(), secret.hex(), fingerprint.hex(), address)


def digest_of(secret: str) -> str:
    """What the holder keeps of a secret (128 random bits need no salt)."""
    return hashlib.sha256(bytes.fromhex(secret)).hexdigest()


def is_secret_of(digest: str, secret: str) -> bool:
    """In constant time."""
    return hmac.compare_digest(digest, digest_of(secret))
