"""Signatures that stand in a URL or a form: how they are written, made and compared. Pure.

    <hex digits>                40 for SHA-1, 64 for SHA-256, 128 for SHA-512
    <algorithm>:<base64>        sha1, sha256 or sha512; either alphabet, padding may be missing

Keys belong to an account or a container, two of each, so that one can be replaced while the other still counts.
Source: features A5.1, A5.3; Swift API guide, "Temporary URL middleware".
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

DIGEST_BYTES = {"sha1": 20, "sha256": 32, "sha512": 64}
DEPRECATED = frozenset({"sha1"})
_BY_LENGTH = {2 * size: name for name, size in DIGEST_BYTES.items()}
_KEY_NAMES = ("temp-url-key", "temp-url-key-2")
_TEXT_AT_MOST = 256


@dataclass(frozen=True, slots=True)
class Signature:
    """A digest and the name of the hash under its HMAC."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Signature | None:
        """The signature in a text; None when the text is not one."""
        if len(text) > _TEXT_AT_MOST or not text.isascii():
            return None
        algorithm, colon, encoded = text.partition(":")
        try:
            if colon:
                digest = base64.b64decode(_padded(encoded), altchars=b"-_", validate=True)
            else:
                algorithm, digest = _BY_LENGTH.get(len(text), ""), binascii.unhexlify(text)
        except (binascii.Error, ValueError):
            return None
        return cls(algorithm, digest) if DIGEST_BYTES.get(algorithm) == len(digest) else None

    @classmethod
    def of(cls, message: bytes, key: bytes, algorithm: str) -> Signature:
        """algorithm: one of DIGEST_BYTES."""
        return cls(algorithm, hmac.digest(key, message, algorithm))

    @property
    def text(self) -> str:
        """Hex digits; for SHA-512 base64, because not every cluster takes so many digits."""
        if self.algorithm == "sha512":
            return f"{self.algorithm}:{base64.urlsafe_b64encode(self.digest).decode()}"
        return self.digest.hex()

    def is_of(self, messages: Iterable[bytes], keys: Iterable[bytes]) -> bool:
        """Whether any key signed any message. Every pair is tried, so that the time tells nothing (CVE-2014-0006)."""
        keys = list(keys)
        found = [
            hmac.compare_digest(hmac.digest(key, message, self.algorithm), self.digest)
            for message in messages
            for key in keys
        ]
        return any(found)


def signing_keys(metadata: Mapping[str, str]) -> Sequence[bytes]:
    """The keys in an account's or container's metadata (names lower case, without prefix; values WSGI strings)."""
    return [metadata[name].encode("latin-1") for name in _KEY_NAMES if metadata.get(name)]


def allowed_digests(wanted: Collection[str]) -> dict[str, list[str]]:
    """The value of a filter's allowed_digests in /info."""
    return {
        "allowed_digests": sorted(wanted),
        "deprecated_digests": sorted(DEPRECATED & set(wanted)),
    }


def _padded(encoded: str) -> bytes:
    text = encoded.rstrip("=").replace("+", "-").replace("/", "_")
    return (text + "=" * (-len(text) % 4)).encode()
