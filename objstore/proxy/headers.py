"""Which headers cross the proxy, and in which direction. Pure.

To object servers every client header goes on (formats 6.1) but for hop-by-hop ones, credentials, which no storage
server needs, and the names by which servers tell each other whom to update: taken from a client those would make our
servers send requests to addresses of its choice (CVE-2026-50221). To account and container servers only what they
store goes on. X-Backend-* and sysmeta come from filters alone: the gatekeeper has removed a client's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from objstore.core.headers import header_name, title
from objstore.http.environ import TRANSACTION_ID, Environ
from objstore.http.identity import IDENTITY_HEADERS

_NEVER_SENT = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "expect",
    "authorization", "cookie", "x-auth-token", "x-service-token", "x-storage-token", "x-auth-key", "x-storage-pass",
    "accept-encoding", "content-length", "referer", "user-agent", "x-timestamp", "x-trans-id",
    "x-openstack-request-id", "x-delete-after", "x-detect-content-type",
    "x-account-host", "x-account-device", "x-account-partition",
    "x-container-host", "x-container-device", "x-container-partition", "x-container-root-db-state",
    "x-delete-at-host", "x-delete-at-device", "x-delete-at-partition", "x-delete-at-container",
}) | IDENTITY_HEADERS  # fmt: skip
_NEVER_ANSWERED = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server", "trailer"})
_CONTAINER_KEPT = frozenset({"x-container-read", "x-container-write", "x-container-sync-key", "x-container-sync-to",
                             "x-versions-location"})  # fmt: skip
_CONTAINER_REMOVABLE = frozenset(name.removeprefix("x-container-") for name in _CONTAINER_KEPT) | {"versions-location"}
OWNER_HEADERS = frozenset({
    "x-container-read", "x-container-write", "x-container-sync-key", "x-container-sync-to",
    "x-account-meta-temp-url-key", "x-account-meta-temp-url-key-2", "x-account-access-control",
    "x-container-meta-temp-url-key", "x-container-meta-temp-url-key-2",
})  # fmt: skip
"""Shown and set only by who owns the account."""

_AGENT_NAME = "proxy-server"


@lru_cache(maxsize=4096)
def _sent_name(key: str) -> str | None:
    """The wire name of an environ key that goes on to object servers, or None."""
    if not key.startswith("HTTP_") and key != "CONTENT_TYPE":
        return None
    name = header_name(key)
    return None if name in _NEVER_SENT else title(name)


def object_headers(environ: Environ) -> list[tuple[str, str]]:
    """A client's headers as object servers get them."""
    return [(name, value) for key, value in environ.items() if (name := _sent_name(key)) is not None]


def kept_headers(environ: Environ, kind: str) -> Iterator[tuple[str, str]]:
    """(lower-case name, value) of what an account or container server stores or obeys, X-Remove-… already turned into
    an empty value. A removal wins over a value of the same name."""
    removed = dict.fromkeys(_removals(environ, kind), "")
    yield from removed.items()
    prefixes = (f"x-{kind}-meta-", f"x-{kind}-sysmeta-", "x-backend-")
    for key, value in environ.items():
        if key.startswith("HTTP_X_"):
            name = header_name(key)
            if name not in removed and (name.startswith(prefixes) or (kind == "container" and name in _CONTAINER_KEPT)):
                yield name, value


def _removals(environ: Environ, kind: str) -> Iterator[str]:
    for key, value in environ.items():
        if key.startswith("HTTP_X_REMOVE_") and value:
            rest = header_name(key).removeprefix("x-remove-")
            if rest.startswith(f"{kind}-meta-") or (
                kind == "container" and (f"x-{rest}" in _CONTAINER_KEPT or rest in _CONTAINER_REMOVABLE)
            ):
                yield f"x-{rest}"


def backend_flags(environ: Environ) -> list[tuple[str, str]]:
    """The X-Backend-* headers that filters or internal clients have set."""
    return [(title(header_name(key)), value) for key, value in environ.items() if key.startswith("HTTP_X_BACKEND_")]


def trace_headers(environ: Environ) -> list[tuple[str, str]]:
    """Who asks: transaction id, our name, and the client's request without its query (it may hold a signature)."""
    found = [("User-Agent", agent())]
    transaction = environ.get(TRANSACTION_ID)
    if transaction:
        found.append(("X-Trans-Id", transaction))
    return found


def agent() -> str:
    """proxy-server <pid>: asked each time, because workers fork after import."""
    return f"{_AGENT_NAME} {os.getpid()}"


def answered(headers: Mapping[str, str]) -> dict[str, str]:
    """A storage server's headers as they leave: without those of its connection."""
    return {name: value for name, value in headers.items() if name not in _NEVER_ANSWERED}


def without(headers: dict[str, str], names: Iterable[str]) -> dict[str, str]:
    for name in names:
        headers.pop(name, None)
    return headers
