"""Tokens of tempauth: sealed statements that any worker with the keys can read, so nothing has to be remembered.

    AUTH_ftk<Fernet>     plaintext: account,account:user[,group ...],.key:<binding>
    AUTH_zftk<Fernet>    the same, deflated; used where it is shorter
    AUTH_tk<32 hex>      a name only: what it stands for is in memcached, written by a Swift proxy

Fernet (github.com/fernet/spec) is base64url of: 0x80, 8 bytes of seconds, 16 of IV, AES-128-CBC, 32 of HMAC-SHA256.
The time of issue is rounded down and the IV made from the content, so that whoever asks again is given the same token
by every worker. Why, and what a token proves: doc/decisions/0006-tokens.md. Source: formats 7.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7

PLAIN, DEFLATED, NAMED = "ftk", "zftk", "tk"
_BINDING = ".key:"
_STEPS_PER_LIFE = 8
_PLAINTEXT_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Statement:
    """What a token says: who, bound to which key of that user ('' when it does not say), until when (seconds)."""

    identity: str
    binding: str
    expires: int


def fernet_key(text: str) -> bytes:
    """32 bytes of base64url, as Fernet.generate_key() makes them. Raises ValueError."""
    try:
        key = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
    except (binascii.Error, UnicodeError):
        raise ValueError("not base64url") from None
    if len(key) != 32:
        raise ValueError(f"{len(key)} bytes, a Fernet key has 32")
    return key


def derived_key(secret: bytes) -> bytes:
    """A key for clusters whose operator configured none, from the cluster's hash secrets (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"objstore tempauth tokens 1").derive(secret)


class TokenKeys:
    """keys: raw, 32 bytes each; the first seals, all of them open. life_s: of a token, from its time of issue."""

    def __init__(self, keys: Sequence[bytes], life_s: int) -> None:
        assert keys
        self._first = keys[0]
        self._openers = [Fernet(base64.urlsafe_b64encode(key)) for key in keys]
        self.life_s = life_s

    def issue(self, groups: str, binding: str, now: float, *, fresh: bool = False) -> tuple[str, int]:
        """(token without its reseller prefix, seconds until it ends). fresh: one that nobody has yet."""
        plaintext = f"{groups},{_BINDING}{binding}".encode("utf-8", "surrogateescape")
        deflated = zlib.compress(plaintext, 9)
        kind, data = (DEFLATED, deflated) if len(deflated) < len(plaintext) - 16 else (PLAIN, plaintext)
        seconds = int(now)
        if not fresh:
            seconds -= seconds % max(1, self.life_s // _STEPS_PER_LIFE)
        stamp = seconds.to_bytes(8, "big")
        iv = os.urandom(16) if fresh else hmac.digest(self._first, b"iv" + stamp + data, "sha256")[:16]
        return kind + _seal(self._first, stamp, iv, data), seconds + self.life_s - int(now)

    def read(self, text: str, now: float) -> Statement | None:
        """What a token without its reseller prefix says; None when it is not a token of ours, or is over."""
        if text.startswith(DEFLATED):
            deflated, sealed = True, text[len(DEFLATED) :]
        elif text.startswith(PLAIN):
            deflated, sealed = False, text[len(PLAIN) :]
        else:
            return None
        try:
            token = (sealed.rstrip("=") + "=" * (-len(sealed.rstrip("=")) % 4)).encode("ascii")
        except UnicodeError:
            return None
        for opener in self._openers:
            try:
                data = opener.decrypt_at_time(token, self.life_s, int(now))
                issued = opener.extract_timestamp(token)
            except InvalidToken:
                continue
            return _statement(data, deflated, issued + self.life_s)
        return None


def _seal(key: bytes, stamp: bytes, iv: bytes, data: bytes) -> str:
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key[16:]), modes.CBC(iv)).encryptor()
    padded = padder.update(data) + padder.finalize()
    body = b"\x80" + stamp + iv + encryptor.update(padded) + encryptor.finalize()
    return base64.urlsafe_b64encode(body + hmac.digest(key[:16], body, "sha256")).decode()


def _statement(data: bytes, deflated: bool, expires: int) -> Statement | None:
    if deflated:
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(data, _PLAINTEXT_BYTES)
        except zlib.error:
            return None
    return statement_of(data.decode("utf-8", "surrogateescape"), expires)


def statement_of(groups: str, expires: int) -> Statement | None:
    """Of a list of groups; the second is the user. None when there is no user in it."""
    names = groups.split(",")
    if len(names) < 2:
        return None
    last = names[-1]
    return Statement(names[1], last[len(_BINDING) :] if last.startswith(_BINDING) else "", expires)
