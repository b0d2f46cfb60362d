"""What a PUT or POST stores in place of what the client sent. Source: formats 8.6; vectors/wire/footers.

    body           under a random key of its own, which stands wrapped by the object's key in its metadata
    ETag           that of the encrypted bytes; the plain one encrypted, and its MAC, by which conditions are checked
    listing's ETag encrypted under the container's key, so that a listing needs one key for all its rows
    user metadata  value by value, under the object's key; names stay

Size, content type, system metadata and an empty body are not encrypted. What is known at the end of the body goes to
the proxy as UploadFooters.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from objstore.core.constraints import check_metadata
from objstore.core.limits import Limits
from objstore.http.environ import FINISH, UPLOAD_FOOTERS, Environ
from objstore.http.request import Request
from objstore.middleware.encryption.body import EncryptingBody
from objstore.middleware.encryption.crypto import KeyStream, crypt, mac, new_iv, new_key
from objstore.middleware.encryption.crypto_meta import CryptoMeta, Sealed, WrappedKey
from objstore.middleware.encryption.headers import (
    BODY_META,
    ETAG,
    ETAG_MAC,
    META_KEY,
    OVERRIDE_ETAG,
    OVERRIDE_ETAG_KEY,
    OWN_KEYS,
    USER_META_KEY,
)
from objstore.middleware.encryption.keyring import Keys


def encrypted_metadata(environ: Environ, keys: Keys, limits: Limits) -> Environ:
    """The environ of a PUT or POST with its user metadata encrypted; the given one is left as it is.

    Limits are about what the client sends, and behind this filter nobody can see that any more: raises BadRequest."""
    check_metadata(Request(environ).headers(), "object", limits)
    environ.setdefault(FINISH, [])  # So that both have one list, and the server sees it.
    found: Environ = {}
    has_meta = False
    for key, value in environ.items():
        if key.startswith(META_KEY) and value:
            name = f"{USER_META_KEY}_{key[len(META_KEY) :]}"
            found[name] = Sealed.of(keys.object, value.encode("latin-1")).dump()
            has_meta = True
        elif not key.startswith(OWN_KEYS):
            found[key] = value
    if has_meta:
        found[USER_META_KEY] = CryptoMeta(key_id=keys.id).dump()
    return found


def encrypt_body(environ: Environ, keys: Keys) -> EncryptingBody | None:
    """Have an environ (of encrypted_metadata) give its body encrypted; None when it says that there is none."""
    if environ.get("CONTENT_LENGTH") == "0" and "HTTP_TRANSFER_ENCODING" not in environ:
        return None
    key, iv = new_key(), new_iv()
    override = environ.pop(OVERRIDE_ETAG_KEY, None)

    def seal(etag: str) -> Mapping[str, str]:
        return _sealed(keys, key, iv, etag, override or etag)

    body = EncryptingBody(
        environ["wsgi.input"],
        KeyStream(key, iv),
        environ.pop("HTTP_ETAG", "").strip().strip('"'),
        seal,
        {} if override is None else {OVERRIDE_ETAG: override},
    )
    environ["wsgi.input"] = body
    environ[UPLOAD_FOOTERS] = body
    return body


def _sealed(keys: Keys, body_key: bytes, iv: bytes, etag: str, listing_etag: str) -> dict[str, str]:
    """Headers of an encrypted body. etag: MD5 of the plain one; listing_etag: a WSGI string."""
    wrap_iv = new_iv()
    wrapped = WrappedKey(crypt(keys.object, wrap_iv, body_key), wrap_iv)
    return {
        ETAG: Sealed.of(keys.object, etag.encode()).dump(),
        BODY_META: CryptoMeta(iv, keys.id, wrapped).dump(),
        ETAG_MAC: etag_mac(keys.object, etag),
        OVERRIDE_ETAG: Sealed.of(keys.container, listing_etag.encode("latin-1"), keys.id).dump(),
    }


def etag_mac(object_key: bytes, etag: str) -> str:
    """What servers compare with where a client says an ETag. etag: plain, a WSGI string."""
    return b64encode(mac(object_key, etag.encode("latin-1"))).decode()
