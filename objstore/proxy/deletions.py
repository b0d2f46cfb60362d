"""Deletions: objects that a client wants gone and the expirer deletes (SLO with async=on). Source: formats 4.15.

An entry is a row of the queue's container, `<when>-<account>/<container>/<object>`, of a type that tells the expirer to
delete whatever is there and not newer than that moment.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from objstore.core.names import quoted
from objstore.core.timestamp import Timestamp
from objstore.http.environ import Environ
from objstore.http.status import HTTPStatus, is_success
from objstore.peers.exchange import BackendRequest
from objstore.peers.queue_rows import ASYNC_DELETED, EMPTY_ETAG, added_row
from objstore.proxy.headers import trace_headers
from objstore.proxy.services import Services
from objstore.proxy.targets import ExpiryQueue, same_for_all
from objstore.runtime.several import several

_QUEUE_POLICY = 0
_ROWS_AT_ONCE = 500
_QUEUES_AT_ONCE = 10


class Deletions:
    """The DeletionService of a worker."""

    def __init__(self, services: Services) -> None:
        self._services = services
        settings = services.settings
        self._queue = ExpiryQueue(
            f".{settings.expiring_objects_account_name}",
            settings.expiring_objects_container_divisor,
            services.cluster.secrets,
        )

    def delete_later(self, environ: Environ, account: str, container: str, objects: Sequence[str]) -> bool:
        now = self._services.clock.now()
        by_queue: dict[str, list[str]] = {}
        for obj in objects:
            queue = self._queue.container(int(now.seconds), account, container, obj)
            by_queue.setdefault(queue, []).append(f"{now.normal}-{account}/{container}/{obj}")
        return all(several(_QUEUES_AT_ONCE, lambda item: self._add(environ, *item, now), list(by_queue.items())))

    def _add(self, environ: Environ, queue: str, names: list[str], now: Timestamp) -> bool:
        """The first entry alone, because that makes a container that is missing; the others many at a time."""
        if not is_success(self._put(environ, queue, names[0], now)):
            return False
        rest = names[1:]
        for start in range(0, len(rest), _ROWS_AT_ONCE):
            rows = rest[start : start + _ROWS_AT_ONCE]
            if self._update(environ, queue, rows, now) != HTTPStatus.ACCEPTED:
                # Sharded, or served by somebody who does not know UPDATE.
                if not all(is_success(self._put(environ, queue, name, now)) for name in rows):
                    return False
        return True

    def _put(self, environ: Environ, queue: str, name: str, now: Timestamp) -> int:
        headers = [("X-Size", "0"), ("X-Content-Type", ASYNC_DELETED), ("X-Etag", EMPTY_ETAG)]
        return self._write(environ, "PUT", queue, name, [*headers, ("Content-Length", "0")], now)

    def _update(self, environ: Environ, queue: str, names: list[str], now: Timestamp) -> int:
        body = json.dumps([added_row(name, now, ASYNC_DELETED, EMPTY_ETAG) for name in names]).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        return self._write(environ, "UPDATE", queue, "", headers, now, body)

    def _write(
        self,
        environ: Environ,
        method: str,
        queue: str,
        name: str,
        headers: list[tuple[str, str]],
        now: Timestamp,
        body: bytes = b"",
    ) -> int:
        place = self._services.container_place(self._queue.account, queue)
        common = [
            ("Host", "localhost"),
            ("X-Timestamp", now.internal),
            ("X-Backend-Storage-Policy-Index", str(_QUEUE_POLICY)),
            *headers,
            *trace_headers(environ),
        ]
        path = f"{place.path}/{quoted(name)}" if name else place.path
        return self._services.write(place, same_for_all(BackendRequest(method, path, common, body))).status
