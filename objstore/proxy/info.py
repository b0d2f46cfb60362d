"""Facts about accounts and containers, cached: who may read it, which policy it has, whether it is there at all.

Every request needs them, so an entry lives for the recheck interval in the worker that fetched it. Workers of a
machine see each other's changes at once: an entry is good only while the generation of its name is the one read
before it was fetched (runtime.generations), and every PUT, POST and DELETE bumps it before it starts and after it
ends. Between machines an entry is trusted for MACHINE_LIFE_S at most.

A fetch hears a quorum of the primaries and takes the newest answer: a write that was acknowledged has reached one of
them, so no request sees an ACL that was revoked before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from objstore.core.info import AccountInfo, ContainerInfo
from objstore.http.environ import Environ
from objstore.http.status import HTTPStatus
from objstore.peers.exchange import BackendRequest
from objstore.proxy.headers import trace_headers
from objstore.proxy.services import Place, Services, uses_replication

MACHINE_LIFE_S = 5.0
"""A change made through another machine is seen within this time."""
ABSENT_LIFE_FACTOR = 0.1
_ENTRIES_AT_MOST = 10_000
_CACHED = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


@dataclass(frozen=True, slots=True)
class _Entry:
    info: AccountInfo | ContainerInfo
    stamp: int
    expires_s: float


class Infos:
    """The InfoService of a worker."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._entries: dict[str, _Entry] = {}

    def account(self, environ: Environ, account: str, *, fresh: bool = False) -> AccountInfo:
        """fresh: as it is now, not as it was when somebody asked last."""
        name = f"/{account}"
        found = None if fresh else self._cached(name)
        if found is None:
            stamp = self._services.generations.stamp(name)
            found = self._fetch_account(environ, account)
            self._keep(name, found, stamp, self._services.settings.recheck_account_existence)
        assert isinstance(found, AccountInfo)
        return found

    def container(self, environ: Environ, account: str, container: str, *, fresh: bool = False) -> ContainerInfo:
        """Of a container whose account exists; in an account that does not, no container does. fresh: not as it was
        when somebody asked last: what it holds changes all the time."""
        name = f"/{account}/{container}"
        found = None if fresh else self._cached(name)
        if found is None:
            stamp = self._services.generations.stamp(name)
            found = self._fetch_container(environ, account, container)
            self._keep(name, found, stamp, self._services.settings.recheck_container_existence)
        assert isinstance(found, ContainerInfo)
        if not account.startswith(self._services.cluster.limits.auto_create_account_prefix):
            owner = self.account(environ, account)
            if owner.status in _CACHED:
                return ContainerInfo(status=HTTPStatus.NOT_FOUND)
        return found

    @contextmanager
    def changing(self, account: str, container: str | None = None) -> Iterator[None]:
        """Around a write to an account or container: whatever anybody has cached of it ends with it."""
        name = f"/{account}" if container is None else f"/{account}/{container}"
        # Before: what is fetched while the write runs may be old. After: so may what was fetched in between.
        self._services.generations.bump(name)
        try:
            yield
        finally:
            self._services.generations.bump(name)

    def _cached(self, name: str) -> AccountInfo | ContainerInfo | None:
        entry = self._entries.get(name)
        if (
            entry is None
            or entry.stamp != self._services.generations.stamp(name)
            or entry.expires_s < self._services.clock.monotonic()
        ):
            return None
        return entry.info

    def _keep(self, name: str, info: AccountInfo | ContainerInfo, stamp: int, life_s: float) -> None:
        if not info.exists:
            if info.status not in _CACHED:
                return
            life_s *= ABSENT_LIFE_FACTOR
        if len(self._entries) >= _ENTRIES_AT_MOST:
            self._entries.pop(next(iter(self._entries)))
        self._entries.pop(name, None)
        self._entries[name] = _Entry(info, stamp, self._services.clock.monotonic() + min(life_s, MACHINE_LIFE_S))

    def _fetch_account(self, environ: Environ, account: str) -> AccountInfo:
        place = self._services.account_place(account)
        status, headers = self._head(environ, place, "?format=json")
        return account_info(status, headers)

    def _fetch_container(self, environ: Environ, account: str, container: str) -> ContainerInfo:
        place = self._services.container_place(account, container)
        status, headers = self._head(environ, place, "")
        return container_info(status, headers)

    def _head(self, environ: Environ, place: Place, query: str) -> tuple[int, Mapping[str, str]]:
        services = self._services
        headers = [
            ("Host", environ.get("HTTP_HOST", "localhost")),
            ("X-Backend-Allow-Reserved-Names", "true"),
            ("X-Timestamp", services.clock.now().internal),
            *trace_headers(environ),
        ]
        request = BackendRequest("HEAD", place.path + query, headers)
        read = services.read(
            place, request, voices=services.quorum_voices(place), use_replication=uses_replication(environ)
        )
        if read.winner is None:
            return read.status, read.heads.get(read.status, {})
        assert read.winner.head is not None
        read.winner.discard()
        return read.winner.head.status, read.winner.head.headers


def account_info(status: int, headers: Mapping[str, str]) -> AccountInfo:
    if status == HTTPStatus.NOT_FOUND and headers.get("x-account-status", "").lower() == "deleted":
        status = HTTPStatus.GONE
    return AccountInfo(
        status=status,
        container_count=_count(headers, "x-account-container-count"),
        object_count=_count(headers, "x-account-object-count"),
        bytes_used=_count(headers, "x-account-bytes-used"),
        meta=_under(headers, "x-account-meta-"),
        sysmeta=_under(headers, "x-account-sysmeta-"),
        policy_usage={
            name: int(value)
            for name, value in _under(headers, "x-account-storage-policy-").items()
            if value.isascii() and value.isdigit()
        },
    )


def container_info(status: int, headers: Mapping[str, str]) -> ContainerInfo:
    return ContainerInfo(
        status=status,
        object_count=_count(headers, "x-container-object-count"),
        bytes_used=_count(headers, "x-container-bytes-used"),
        policy_index=_count(headers, "x-backend-storage-policy-index"),
        read_acl=headers.get("x-container-read"),
        write_acl=headers.get("x-container-write"),
        sync_key=headers.get("x-container-sync-key"),
        sync_to=headers.get("x-container-sync-to"),
        versions=headers.get("x-versions-location"),
        sharding_state=headers.get("x-backend-sharding-state", "unsharded"),
        meta=_under(headers, "x-container-meta-"),
        sysmeta=_under(headers, "x-container-sysmeta-"),
    )


def _under(headers: Mapping[str, str], prefix: str) -> Mapping[str, str]:
    return {name[len(prefix) :]: value for name, value in headers.items() if name.startswith(prefix)}


def _count(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "0")
    return int(text) if text.isascii() and text.isdigit() else 0
