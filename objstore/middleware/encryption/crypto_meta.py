"""Crypto metadata: what stands beside an encrypted text and says how to read it, in the text forms of formats 8.6.

    {"body_key": {"iv": …, "key": …}, "cipher": "AES_CTR_256", "iv": …, "key_id": {"path": "/a/c/o", "v": "2"}}

is sorted JSON, bytes in base64, quoted as a form field is; beside a value it follows `; swift_meta=`. Pure. What cannot
be understood raises Undecipherable, because what it describes must then not be taken for plain text.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from objstore.core.errors import DomainError
from objstore.middleware.encryption.crypto import CIPHER, IV_BYTES, KEY_BYTES, crypt, new_iv

_MARK = "swift_meta="
_encoded = json.JSONEncoder(sort_keys=True).encode
_QUOTES = {code: quote_plus(chr(code)) for code in range(128)}
"""As quote_plus(), for text that is ASCII, which this JSON is: a PUT writes five of these."""


class Undecipherable(DomainError):
    """Something encrypted cannot be read: its metadata is broken, its cipher unknown, or its key missing or wrong.
    The text never holds a key or a part of what is encrypted."""


@dataclass(frozen=True, slots=True)
class KeyId:
    """Which key a text is under. path: as it stands in the metadata; how to read it depends on `version`."""

    version: str
    path: str
    secret_id: str | None = None


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """The key of a body, encrypted by that of its object."""

    key: bytes
    iv: bytes


@dataclass(frozen=True, slots=True)
class CryptoMeta:
    """iv: None where no text stands beside it (the one for all user metadata). The others: where they are."""

    iv: bytes | None = None
    key_id: KeyId | None = None
    body_key: WrappedKey | None = None

    def dump(self) -> str:
        value: dict[str, Any] = {"cipher": CIPHER}
        if self.iv is not None:
            value["iv"] = _base64(self.iv)
        if self.key_id is not None:
            value["key_id"] = {"path": self.key_id.path, "v": self.key_id.version}
            if self.key_id.secret_id is not None:
                value["key_id"]["secret_id"] = self.key_id.secret_id
        if self.body_key is not None:
            value["body_key"] = {"key": _base64(self.body_key.key), "iv": _base64(self.body_key.iv)}
        return _encoded(value).translate(_QUOTES)

    @classmethod
    def load(cls, text: str) -> CryptoMeta:
        """Raises Undecipherable."""
        try:
            value = json.loads(_unquoted(text))
        except (ValueError, RecursionError):
            raise Undecipherable("the crypto metadata is not JSON") from None
        if not isinstance(value, dict):
            raise Undecipherable("the crypto metadata is not a JSON object")
        if value.get("cipher") != CIPHER:
            raise Undecipherable(f"the cipher is {str(value.get('cipher'))[:32]!r}, expected {CIPHER!r}")
        wrapped = value.get("body_key")
        return cls(
            _bytes(value["iv"], IV_BYTES) if "iv" in value else None,
            _key_id(value["key_id"]) if "key_id" in value else None,
            None if wrapped is None else _wrapped(wrapped),
        )


@dataclass(frozen=True, slots=True)
class Sealed:
    """A short text that is encrypted, with what says how."""

    data: bytes
    meta: CryptoMeta

    @classmethod
    def of(cls, key: bytes, plain: bytes, key_id: KeyId | None = None) -> Sealed:
        """plain, encrypted under a new vector. key_id: where nothing else says which key it was."""
        iv = new_iv()
        return cls(crypt(key, iv, plain), CryptoMeta(iv, key_id))

    def opened(self, key: bytes) -> bytes:
        """Raises Undecipherable without a vector. A wrong key is not noticed here."""
        if self.meta.iv is None:
            raise Undecipherable("the crypto metadata beside a value has no iv")
        return crypt(key, self.meta.iv, self.data)

    def dump(self) -> str:
        return f"{_base64(self.data)}; {_MARK}{self.meta.dump()}"

    @classmethod
    def load(cls, text: str) -> Sealed:
        """Raises Undecipherable."""
        found = split(text)
        if found is None or found[1]:
            raise Undecipherable("a value has no crypto metadata beside it")
        return found[0]


def split(text: str) -> tuple[Sealed, str] | None:
    """(what is sealed in a text, what else stands behind it); None when it has no crypto metadata at all.

    'BASE64; swift_meta=META; slo_etag=x' -> (Sealed, '; slo_etag=x'). Raises Undecipherable."""
    if _MARK not in text:
        return None
    first, *rest = text.split(";")
    marked = [item.strip() for item in rest if item.strip().startswith(_MARK)]
    if len(marked) != 1:
        raise Undecipherable("a value has crypto metadata in another place than beside it")
    others = "".join(f";{item}" for item in rest if item.strip() != marked[0])
    return Sealed(_bytes(first.strip()), CryptoMeta.load(marked[0].removeprefix(_MARK))), others


_USUAL = (("+", " "), ("%22", '"'), ("%3A", ":"), ("%2C", ","), ("%7B", "{"), ("%7D", "}"), ("%2F", "/"), ("%3D", "="),
          ("%2B", "+"))  # fmt: skip


def _unquoted(text: str) -> str:
    """unquote_plus() at a tenth of its price for what mostly comes: a read decodes five of these, a page of a listing
    10,000."""
    found = text
    for escape, character in _USUAL:
        found = found.replace(escape, character)
    return unquote_plus(text) if "%" in found else found


def _key_id(value: Any) -> KeyId:
    if not isinstance(value, dict):
        raise Undecipherable("key_id is not a JSON object")
    version, path, secret_id = (value.get(name) for name in ("v", "path", "secret_id"))
    if not isinstance(version, str) or not isinstance(path, str) or not isinstance(secret_id, str | None):
        raise Undecipherable("v, path and secret_id of a key_id must be text")
    return KeyId(version, path, secret_id)


def _wrapped(value: Any) -> WrappedKey:
    if not isinstance(value, dict):
        raise Undecipherable("body_key is not a JSON object")
    return WrappedKey(_bytes(value.get("key"), KEY_BYTES), _bytes(value.get("iv"), IV_BYTES))


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(text: Any, size: int | None = None) -> bytes:
    """The bytes of a base64 text. Raises Undecipherable when it is not base64, or not of that size."""
    try:
        data = b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise Undecipherable("something encrypted is not base64") from None
    if size is not None and len(data) != size:
        raise Undecipherable(f"a key or vector has {len(data)} bytes, expected {size}")
    return data
