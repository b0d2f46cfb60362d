"""ratelimit: so many writes a second to a container of a size, so many container changes a second in an account.

A request that comes too early waits; one that would wait too long is refused with 498. What a bulk request or a form
asks for counts one by one. The counters stand in
memcached, as a running clock in milliseconds (formats 7); without it each worker limits by itself.

    container_ratelimit_<objects> = <PUT, POST, DELETE of objects a second>, container_listing_ratelimit_<objects>
    account_ratelimit = <PUT and DELETE of containers a second>
    X-Account-Sysmeta-Global-Write-Ratelimit = WHITELIST | BLACKLIST | <writes a second>, set by operators' tools

Source: feature A5.11; Swift admin guide, "Rate limiting".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from objstore.config.boot import settings_for
from objstore.config.errors import ConfigError, located
from objstore.config.settings import Problem, Settings, decimal, names, number, reads, setting
from objstore.core.names import ClientPath
from objstore.core.rates import RateTable, wait_ms
from objstore.http import capabilities
from objstore.http.environ import CACHE, INFO, SOURCE, CacheService, Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.response import plain
from objstore.http.status import BLACKLISTED, RATE_LIMITED
from objstore.runtime import green

_OBJECT_WRITES = frozenset({"PUT", "POST", "DELETE"})
_CONTAINER_CHANGES = frozenset({"PUT", "DELETE"})
_GLOBAL = "global-write-ratelimit"
_ONE_BY_ONE = frozenset({"BD", "EA", "FP"})
"""Sources of requests that a client would make itself, had it not sent many at once: lists, archives, forms."""
_CONTAINER, _LISTING = "container_ratelimit_", "container_listing_ratelimit_"


@dataclass(frozen=True)
class RatelimitSettings(Settings):
    WILDCARDS: ClassVar[tuple[str, ...]] = (_CONTAINER, _LISTING)
    account_ratelimit: float = setting(
        "0", decimal(0), "Containers that an account may make or delete a second; 0: no limit."
    )
    account_whitelist: tuple[str, ...] = setting("", names, "Accounts without limits.")
    account_blacklist: tuple[str, ...] = setting("", names, "Accounts that are refused.")
    max_sleep_time_seconds: float = setting(
        "60", decimal(0), "Seconds for which a request is held back at most; one that would wait longer is refused."
    )
    rate_buffer_seconds: int = setting(
        "5", number(0), "Burst that is allowed after a pause: as much as the rate gives in so many seconds."
    )
    clock_accuracy: int = setting(
        "1000",
        number(1000, 1000),
        "Precision of the counters; other values of Swift's setting are not supported.",
        advanced=True,
    )

    def table(self, prefix: str) -> RateTable:
        """The rates of keys with this prefix. Raises ValueError."""
        return RateTable.of((_size(key, prefix), _rate(value)) for key, value in self._of(prefix))

    def problems(self) -> Iterator[Problem]:
        for prefix in self.WILDCARDS:
            for key, value in self._of(prefix):
                try:
                    _size(key, prefix), _rate(value)
                except ValueError:
                    yield Problem(key, value, f"{prefix}<objects> = <requests a second>")

    def _of(self, prefix: str) -> Iterator[tuple[str, str]]:
        return ((key, value) for key, value in self.extra.items() if key.startswith(prefix))


def _size(key: str, prefix: str) -> int:
    text = key.removeprefix(prefix)
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise ValueError(text)
    return rate


@dataclass(frozen=True, slots=True)
class _Limit:
    """key: of the counter. rate: requests a second."""

    key: str
    rate: float


class Ratelimit:
    def __init__(
        self,
        app: WSGIApp,
        settings: RatelimitSettings,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = green.sleep,
    ) -> None:
        """now: wall seconds, because workers and machines share the counters."""
        self._app = app
        self._settings = settings
        self._writes = settings.table(_CONTAINER)
        self._listings = settings.table(_LISTING)
        self._max_ms = int(settings.max_sleep_time_seconds * 1000)
        self._slack_ms = settings.rate_buffer_seconds * 1000
        self._now = now
        self._sleep = sleep

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = client_path_of(environ)
        source = environ.get(SOURCE)
        if path is not None and path.account is not None and (source is None or source in _ONE_BY_ONE):
            status = self._hold_back(environ, path)
            if status:
                return plain(status, _WHY[status])(environ, start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _hold_back(self, environ: Environ, path: ClientPath) -> int:
        """Wait for this request's turn; the status of a refusal, or 0."""
        method = environ["REQUEST_METHOD"]
        is_listing = method == "GET" and path.container is not None and path.obj is None
        if method not in _OBJECT_WRITES and not (is_listing and self._listings.points):
            return 0
        account = path.account or ""
        said = environ[INFO].account(environ, account).sysmeta.get(_GLOBAL, "")
        if said == "WHITELIST" or account in self._settings.account_whitelist:
            return 0
        if said == "BLACKLIST" or account in self._settings.account_blacklist:
            self._sleep(1)  # Whoever comes again at once costs at least no more than this.
            return BLACKLISTED
        cache = environ.get(CACHE)
        if cache is None:
            return 0
        waits = []
        for limit in self._limits(environ, path, method, said):
            wait = self._wait_ms(cache, limit)
            if wait is None:
                return RATE_LIMITED
            waits.append(wait)
        longest = max(waits, default=0)
        if longest:
            self._sleep(longest / 1000)
        return 0

    def _limits(self, environ: Environ, path: ClientPath, method: str, said: str) -> Iterator[_Limit]:
        account, container = path.account, path.container
        if container is None:
            return
        if path.obj is None and method in _CONTAINER_CHANGES and self._settings.account_ratelimit:
            yield _Limit(f"ratelimit/{account}", self._settings.account_ratelimit)
        table = self._writes if path.obj is not None else self._listings if method == "GET" else None
        if table is not None and table.points:
            rate = table.rate(environ[INFO].container(environ, account, container).object_count)
            if rate is not None:
                kind = "ratelimit" if path.obj is not None else "ratelimit_listing"
                yield _Limit(f"{kind}/{account}/{container}", rate)
        if said and method in _OBJECT_WRITES:
            try:
                yield _Limit(f"ratelimit/global-write/{account}", _rate(said))
            except ValueError:
                return

    def _wait_ms(self, cache: CacheService, limit: _Limit) -> int | None:
        """The wait under one limit; None when it is too long, and then nothing is counted."""
        cost = max(1, round(1000 / limit.rate))
        now = int(self._now() * 1000)
        running = cache.incr(limit.key, cost, ttl_s=self._max_ms / 1000 + 3600)
        if running is None:
            return 0
        wait = wait_ms(running, now, cost, self._slack_ms)
        if wait is None:
            cache.set(limit.key, now + cost, ttl_s=self._max_ms / 1000 + 3600)
            return 0
        if wait > self._max_ms:
            cache.incr(limit.key, -cost)
            return None
        return wait


_WHY = {
    RATE_LIMITED: "Slow down",
    BLACKLISTED: "Your account has been blacklisted",
}


@reads(RatelimitSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Ratelimit]:
    settings = settings_for(RatelimitSettings, global_conf, local_conf)
    problems = list(settings.problems())
    if problems:
        raise ConfigError(located(problems, global_conf.get("__file__", "configuration"), "ratelimit"))
    capabilities.register(
        "ratelimit",
        account_ratelimit=settings.account_ratelimit,
        max_sleep_time_seconds=settings.max_sleep_time_seconds,
        container_ratelimits=[list(point) for point in settings.table(_CONTAINER).points],
        container_listing_ratelimits=[list(point) for point in settings.table(_LISTING).points],
    )
    return lambda app: Ratelimit(app, settings)
