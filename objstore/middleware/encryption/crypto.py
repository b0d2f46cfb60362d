"""The cipher of encrypted objects: AES-256 in counter mode, whose text is as long as the plain one and begins anywhere.

Pure but for the randomness of new keys and vectors. The rest of objstore sees bytes in and bytes out; a key stream is
never used for two texts, because every text has a vector of its own. Source: formats 8.6.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

CIPHER = "AES_CTR_256"
"""The one cipher there is, by the name that stands in metadata."""
KEY_BYTES = 32
IV_BYTES = 16
_BLOCK_BYTES = 16
_COUNTERS = 1 << (8 * _BLOCK_BYTES)


class KeyStream:
    """What a text is combined with; the same twice gives the text back. Each call goes on where the last one ended."""

    __slots__ = ("_context",)

    def __init__(self, key: bytes, iv: bytes, offset: int = 0) -> None:
        """offset: bytes of the text that come before the first one given."""
        if len(key) != KEY_BYTES or len(iv) != IV_BYTES:
            raise ValueError(f"a key of {len(key)} and a vector of {len(iv)} bytes, where 32 and 16 are needed")
        blocks, rest = divmod(offset, _BLOCK_BYTES)
        if blocks:
            iv = ((int.from_bytes(iv, "big") + blocks) % _COUNTERS).to_bytes(IV_BYTES, "big")
        self._context = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
        if rest:
            self._context.update(bytes(rest))

    def update(self, data: bytes | memoryview) -> bytes:
        return self._context.update(data)

    def apply(self, view: memoryview) -> None:
        """Combine the bytes with the stream in place: no second buffer for what may be a megabyte."""
        self._context.update_into(view, view)


def crypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """A short text, encrypted or decrypted."""
    return KeyStream(key, iv).update(data)


def new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def new_iv() -> bytes:
    return secrets.token_bytes(IV_BYTES)


def mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256: makes keys of paths, and lets a server compare what it cannot read."""
    return hmac.digest(key, data, hashlib.sha256)
