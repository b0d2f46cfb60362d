"""Where a container is synced to, and how requests there say who asks. Pure.

    //realm/cluster/account/container     signed with the realm's first key: X-Container-Sync-Auth (core/sync_realms.py)
    http[s]://host/v1/account/container   the container's key itself, X-Container-Sync-Key, as Swift did before realms;
                                          only to hosts that the operator allows

The path that is signed is the one of the request line, percent-encoded. Source: formats 6.10; feature A2.9, B3.12.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit

from objstore.core.names import quoted, wsgi_of
from objstore.core.sync_realms import Realm, Realms, SignedMessage, signature


@dataclass(frozen=True, slots=True)
class Target:
    """root: scheme and host of the other cluster. path: of the container, percent-encoded. realm: None for a URL."""

    root: str
    path: str
    realm: Realm | None
    user_key: str

    @classmethod
    def of(cls, target: str, user_key: str, realms: Realms, allowed_hosts: Collection[str]) -> Target:
        """Of the container's headers. Raises BadRequest when the target is not, or no more, one that may be used."""
        parts = urlsplit(realms.address(target, allowed_hosts))
        is_by_realm = target.strip().startswith("//")
        realm = realms.of(target.strip()[2:].partition("/")[0]) if is_by_realm else None
        path = quoted(unquote_to_bytes(parts.path.rstrip("/")).decode("utf-8", "surrogateescape"))
        return cls(f"{parts.scheme}://{parts.netloc}", path, realm, user_key)

    @property
    def url(self) -> str:
        return self.root + self.path

    def object_path(self, name: str) -> str:
        return f"{self.path}/{quoted(name)}"

    def credentials(self, method: str, path: str, timestamp: str, nonce: str) -> list[tuple[str, str]]:
        """Headers of one request. path: of object_path(). nonce: hex that is never used again."""
        headers = [("X-Timestamp", timestamp)]
        key = wsgi_of(self.user_key)
        if self.realm is None:
            return [*headers, ("X-Container-Sync-Key", key)]
        signed = signature(self.realm.keys[0], SignedMessage(method, path, timestamp), nonce, key)
        return [*headers, ("X-Container-Sync-Auth", f"{self.realm.name} {nonce} {signed}")]
