"""Telling container servers what changed: after a PUT, POST or DELETE is durable here, before it is answered.

A request names the container replicas it is responsible for (X-Container-Host and its like; for the queue of objects to
expire X-Delete-At-Host). Each gets the row; if any of them did not take it in time, the row is kept in async_pending,
durably, and the updater daemon carries it to all of them. So no acknowledged change is ever missing from a listing for
good. Source: formats 4.14, 6.4, 6.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, Protocol
from urllib.parse import unquote

from objstore.core.hashing import HashSecrets
from objstore.core.names import text_of
from objstore.http.request import Request
from objstore.object.delivery import Target
from objstore.object.rows import ContainerRow
from objstore.runtime.device_threads import DeviceThreads
from objstore.runtime.green import spawn
from objstore.storage.engine import Engine
from objstore.storage.pending import DeferredUpdate

UNSHARDED = frozenset({"unsharded", ""})


class Delivery(Protocol):
    def announced(self, targets: Iterable[Target]) -> AbstractContextManager[None]:
        """While a row for these is made; it is handed in right after."""

    def deliver(self, target: Target, row: ContainerRow, *, alone: bool = False) -> bool:
        """Whether the peer took the row in time."""


class Replicas(NamedTuple):
    """Where a row must go. is_broken: the request named replicas in a way that makes no sense; the updater knows the
    real ones. container_path: account/container of a shard, None for the container itself."""

    targets: tuple[Target, ...]
    is_broken: bool = False
    db_state: str | None = None
    container_path: str | None = None

    @property
    def goes_alone(self) -> bool:
        """A sharded container's rows: UPDATE has no redirects."""
        return self.container_path is not None or (self.db_state or "") not in UNSHARDED

    def __or__(self, more: Replicas) -> Replicas:
        """These and the targets of `more` that are not among them."""
        if not more.targets and not more.is_broken:
            return self
        others = tuple(target for target in more.targets if target not in self.targets)
        return self._replace(targets=self.targets + others, is_broken=self.is_broken or more.is_broken)


class Report(NamedTuple):
    """A row, and who must have it."""

    row: ContainerRow
    replicas: Replicas


NOBODY = Replicas(())
NO_FOOTERS: Mapping[str, str] = MappingProxyType({})
_Header = Callable[[str], str | None]


class ContainerUpdates:
    """Sends rows, and keeps those that could not be sent."""

    def __init__(self, delivery: Delivery, engine: Engine, threads: DeviceThreads, secrets: HashSecrets) -> None:
        self._delivery = delivery
        self._engine = engine
        self._threads = threads
        self._secrets = secrets

    def announced(self, replicas: Replicas) -> AbstractContextManager[None]:
        """with updates.announced(replicas): make the change that the row tells of; then send() it at once. Rows that
        are made at the same time travel together."""
        return self._delivery.announced(() if replicas.goes_alone else replicas.targets)

    def send(self, device: str, policy_index: int, reports: Sequence[Report]) -> None:
        """Return once every replica has its row or the updater will see to it; all are told at the same time. Raises
        InsufficientStorage when one can be neither sent nor kept."""
        ways = [(at, target) for at, report in enumerate(reports) for target in report.replicas.targets]
        others = [spawn(self._deliver, reports[at], target) for at, target in ways[1:]]
        was_taken = [self._deliver(reports[at], target) for at, target in ways[:1]]
        was_taken += [bool(task.join()) for task in others]
        unheard = {at for (at, _), is_taken in zip(ways, was_taken, strict=True) if not is_taken}
        for at, (row, replicas) in enumerate(reports):
            if at in unheard or replicas.is_broken:
                self.keep(device, policy_index, row, replicas)

    def _deliver(self, report: Report, target: Target) -> bool:
        return self._delivery.deliver(target, report.row, alone=report.replicas.goes_alone)

    def keep(self, device: str, policy_index: int, row: ContainerRow, replicas: Replicas = NOBODY) -> None:
        """Leave a row to the updater. Raises InsufficientStorage."""
        update = DeferredUpdate(
            row.op, row.account, row.container, row.obj, row.headers(), replicas.db_state, replicas.container_path
        )
        digest = self._secrets.hash_path(row.account, row.container, row.obj)
        self._threads.run(device, self._engine.defer, device, policy_index, digest, row.changed_at, update)


def container_replicas(
    request: Request, account: str, container: str, footers: Mapping[str, str] = NO_FOOTERS
) -> Replicas:
    """Of X-Container-Host, -Device and -Partition, and of X-Objstore-Container-… in the footers, which name those of an
    object server that was lost (proxy/orphans.py); no targets when there are none of them."""
    path = _shard_path(request)
    owner = path.split("/", 1) if path is not None else [account, container]
    own = _replicas(request.header, "x-container-", owner[0], owner[1])
    found = own | _replicas(footers.get, "x-objstore-container-", owner[0], owner[1]) if footers else own
    return Replicas(found.targets, found.is_broken, request.header("x-container-root-db-state"), path)


def expiry_replicas(
    request: Request, account: str, container: str, footers: Mapping[str, str] = NO_FOOTERS
) -> Replicas:
    """Of X-Delete-At-Host, -Device and -Partition, and of X-Objstore-Delete-At-… in the footers."""
    own = _replicas(request.header, "x-delete-at-", account, container)
    return own | _replicas(footers.get, "x-objstore-delete-at-", account, container)


def _replicas(header: _Header, prefix: str, account: str, container: str) -> Replicas:
    host, device = header(prefix + "host"), header(prefix + "device")
    if host is None and device is None:
        return NOBODY
    return _parsed(host, device, header(prefix + "partition"), account, container)


@lru_cache(maxsize=1024)
def _parsed(host: str | None, device: str | None, partition: str | None, account: str, container: str) -> Replicas:
    """The requests of one container say the same again and again."""
    hosts, devices = _listed(host), _listed(device)
    if not hosts and not devices:
        return NOBODY
    addresses = [_address(text) for text in hosts]
    if partition is None or len(hosts) != len(devices) or None in addresses:
        return Replicas((), True)
    return Replicas(
        tuple(
            Target(address[0], address[1], device, partition, account, container)
            for address, device in zip(addresses, devices, strict=True)
            if address is not None
        )
    )


def _shard_path(request: Request) -> str | None:
    """account/container of the shard that gets the row instead of the root."""
    quoted_path = request.header("x-backend-quoted-container-path")
    if quoted_path is not None:
        path = unquote(quoted_path)
    else:
        raw = request.header("x-backend-container-path")
        if raw is None:
            return None
        path = text_of(raw)
    return path if path.count("/") >= 1 and all(path.split("/", 1)) else None


def _listed(value: str | None) -> list[str]:
    return [item.strip() for item in (value or "").split(",") if item.strip()]


def _address(text: str) -> tuple[str, int] | None:
    """(host, port) of 'host:port'; an IPv6 address may stand in brackets."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        return None
    return host.removeprefix("[").removesuffix("]"), int(port)
