"""Keys: made of root secrets and the paths of what they are for, so that nobody has to store them.

    key of an object     HMAC-SHA256(root secret, "/account/container/object")
    key of a container   HMAC-SHA256(root secret, "/account/container"), for the ETags in its listing

A key id in an object's metadata says which secret, and which path. Its version says how the path is written: 1 and 2 as
a WSGI string (UTF-8 bytes as code points), 3 as text; what is hashed is UTF-8 in any case. Version 1 had a fault that
its readers have to share: of an object whose name begins with a slash it took the name alone. Source: formats 8.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from objstore.core.names import ClientPath, wsgi_of
from objstore.middleware.encryption.crypto import mac
from objstore.middleware.encryption.crypto_meta import KeyId, Undecipherable

VERSIONS = ("1", "2", "3")
WRITTEN_VERSION = "2"
"""What Swift writes by default, and every version of it reads."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys for one object that is written."""

    object: bytes
    container: bytes
    id: KeyId


class Keyring:
    """secrets: by id, None for the one without. Never shown: neither repr() nor an error tells one."""

    __slots__ = ("_secrets", "_active_id", "_version")

    def __init__(
        self, secrets: Mapping[str | None, bytes], active_id: str | None = None, version: str = WRITTEN_VERSION
    ) -> None:
        """active_id: of the secret that new objects are encrypted under. Raises KeyError when there is none of it."""
        if version not in VERSIONS:
            raise ValueError(f"no version {version!r} of key ids")
        if active_id not in secrets:
            raise KeyError(active_id)  # Here, and not at the first PUT.
        self._secrets = dict(secrets)
        self._active_id = active_id
        self._version = version

    def for_writing(self, path: ClientPath) -> Keys:
        """path: of an object."""
        account, container, obj = _names(path)
        secret = self._secrets[self._active_id]
        full = f"/{account}/{container}/{obj}"
        # The fault of version 1 is read, never written.
        version = "2" if self._version == "1" and obj.startswith("/") else self._version
        return Keys(
            mac(secret, full.encode()),
            mac(secret, f"/{account}/{container}".encode()),
            KeyId(version, full if version == "3" else wsgi_of(full), self._active_id),
        )

    def object_key(self, key_id: KeyId) -> bytes:
        """Raises Undecipherable for a secret or a version that is not known."""
        return mac(self._secret(key_id), _path_bytes(key_id))

    def container_key(self, key_id: KeyId, account: str, container: str) -> bytes:
        """Of the container in which something stands; key_id: says under which secret. Raises Undecipherable."""
        return mac(self._secret(key_id), f"/{account}/{container}".encode())

    def object_keys(self, path: ClientPath) -> Iterable[bytes]:
        """Every key that an object of this name may be under, whichever secret was active when it was written."""
        account, container, obj = _names(path)
        names = [f"/{account}/{container}/{obj}"]
        if obj.startswith("/"):
            names.append(obj)
        return [mac(secret, name.encode()) for secret in self._secrets.values() for name in names]

    def _secret(self, key_id: KeyId) -> bytes:
        if key_id.version not in VERSIONS:
            raise Undecipherable(f"the key id has version {key_id.version[:16]!r}, expected one of 1, 2, 3")
        secret = self._secrets.get(key_id.secret_id)
        if secret is None:
            name = "without an id" if key_id.secret_id is None else f"{key_id.secret_id[:64]!r}"
            raise Undecipherable(f"the root secret {name} is not configured; put it back into the keymaster's settings")
        return secret


def _path_bytes(key_id: KeyId) -> bytes:
    """The path, as bytes, that the key of an object was made of."""
    path = key_id.path
    if key_id.version != "3" and not path.isascii():
        # Version 1 wrote text where it ran on Python 2, and bytes that are UTF-8 are hardly ever anything else.
        try:
            data = path.encode("latin-1")
            data.decode()
        except UnicodeError:
            data = _utf8(path)
    else:
        data = _utf8(path)
    if key_id.version == "1":
        parts = data.split(b"/", 3)
        if len(parts) == 4 and parts[3].startswith(b"/"):
            return parts[3]
    return data


def _utf8(path: str) -> bytes:
    try:
        return path.encode()
    except UnicodeEncodeError:
        raise Undecipherable("the path of a key id is not text") from None


def _names(path: ClientPath) -> tuple[str, str, str]:
    assert path.account is not None and path.container is not None and path.obj is not None
    return path.account, path.container, path.obj
