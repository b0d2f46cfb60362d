"""Container sync: which clusters know each other, what a container may be synced to, and how a request is signed. Pure.

    //realm/cluster/account/container       a cluster of a realm that both sides have a key of
    http[s]://host/v1/account/container     an address, to hosts that the container servers allow

    X-Container-Sync-Auth: realm nonce signature
    signature = hex HMAC-SHA1(realm's key, METHOD LF path LF X-Timestamp LF nonce LF container's key)

Names of realms and clusters have no case. Source: formats 6.10; Swift admin guide, "Container to container
synchronization".
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from objstore.core.errors import BadRequest

_SCHEMES = ("http", "https")
_VERSIONS = ("v1", "v1.0")


@dataclass(frozen=True, slots=True)
class Realm:
    """keys: the first signs, all are accepted. clusters: upper-case name to URL, with /v1 and a slash at the end."""

    name: str
    keys: tuple[str, ...]
    clusters: Mapping[str, str]

    def is_signed(self, auth: SyncAuth, message: SignedMessage, user_key: str) -> bool:
        """Whether one of the realm's keys made this signature. Takes the same time for any answer."""
        found = [
            hmac.compare_digest(auth.signature, signature(key, message, auth.nonce, user_key)) for key in self.keys
        ]
        return any(found)


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """path: with /v1, percent-encoded as in a request line. timestamp: X-Timestamp as it was sent."""

    method: str
    path: str
    timestamp: str


@dataclass(frozen=True, slots=True)
class SyncAuth:
    """X-Container-Sync-Auth, parsed."""

    realm: str
    nonce: str
    signature: str

    @classmethod
    def parse(cls, text: str) -> SyncAuth | None:
        """None when it does not consist of three words."""
        words = text.split()
        return cls(words[0].upper(), words[1], words[2]) if len(words) == 3 and text.isascii() else None


@dataclass(frozen=True, slots=True)
class Realms:
    """By upper-case name. current: the cluster that this one is, (realm, cluster)."""

    realms: Mapping[str, Realm] = field(default_factory=dict)
    current: tuple[str, str] | None = None

    def of(self, name: str) -> Realm | None:
        return self.realms.get(name.upper())

    def address(self, value: str, allowed_hosts: Collection[str]) -> str:
        """The URL of the container that X-Container-Sync-To means; '' for an empty one. Raises BadRequest."""
        value = value.strip()
        if not value:
            return ""
        if value.startswith("//"):
            return self._by_realm(value)
        try:
            parts = urlsplit(value)
            host = parts.hostname
        except ValueError:
            raise BadRequest(f"X-Container-Sync-To: {value!r} is not a URL") from None
        if parts.scheme not in _SCHEMES:
            raise BadRequest(f"X-Container-Sync-To: expected //realm/cluster/account/container or a URL, got {value!r}")
        version, _, rest = parts.path.strip("/").partition("/")
        names = rest.split("/")
        # Not just any path: what a user names here is asked with PUT and DELETE, from inside the operator's network.
        if (
            version not in _VERSIONS
            or len(names) != 2
            or not all(map(_is_name, names))
            or parts.query
            or parts.fragment
        ):
            raise BadRequest(f"X-Container-Sync-To: expected http://host/v1/account/container, got {value!r}")
        if host not in allowed_hosts:
            raise BadRequest(f"X-Container-Sync-To: the host {host!r} is not allowed")
        return value

    def _by_realm(self, value: str) -> str:
        parts = value.rstrip("/")[2:].split("/")
        if len(parts) != 4 or not all(map(_is_name, parts)):
            raise BadRequest(f"X-Container-Sync-To: expected //realm/cluster/account/container, got {value!r}")
        realm = self.of(parts[0])
        if realm is None:
            raise BadRequest(f"X-Container-Sync-To: no realm {parts[0]!r}")
        endpoint = realm.clusters.get(parts[1].upper())
        if endpoint is None:
            raise BadRequest(f"X-Container-Sync-To: no cluster {parts[1]!r} in realm {parts[0]!r}")
        return f"{endpoint.rstrip('/')}/{parts[2]}/{parts[3]}"


def _is_name(text: str) -> bool:
    """Whether a piece of a path names one thing: percent-encoded slashes and dots would make another path of it."""
    name = unquote(text, encoding="latin-1")
    return name not in ("", ".", "..") and not set(name) & set("/?#\0")


def signature(key: str, message: SignedMessage, nonce: str, user_key: str) -> str:
    text = f"{message.method}\n{message.path}\n{message.timestamp}\n{nonce}\n{user_key}"
    return hmac.digest(key.encode("latin-1", "replace"), text.encode("latin-1", "replace"), "sha1").hex()
