"""cache (egg name memcache): puts the CACHE service into every request.

memcached where servers are configured, here or in <swift_dir>/memcache.conf as Swift has it; else an LRU of this
process. Source: features B4.14; formats 7.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.cache.connection import address_of
from objstore.cache.memcached import MemcachedCache, MemcachedLimits
from objstore.cache.memory import MemoryCache
from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.errors import ConfigError, located
from objstore.config.inifile import read_ini
from objstore.config.settings import Kind, Settings, boolean, choice, decimal, number, reads, setting, text
from objstore.http.environ import CACHE, CacheService, Environ, StartResponse, WSGIApp


def _servers(value: str) -> tuple[str, ...]:
    servers = tuple(item.strip() for item in value.split(",") if item.strip())
    for server in servers:
        address_of(server)
    return servers


_server_list = Kind(_servers, "host:port separated by commas")


@dataclass(frozen=True)
class CacheSettings(Settings):
    memcache_servers: tuple[str, ...] = setting(
        "",
        _server_list,
        "The memcached servers; empty: those of memcache.conf beside swift.conf, else a cache in each worker.",
    )
    memcache_max_connections: int = setting("2", number(1), "Connections of each worker to each server.")
    connect_timeout: float = setting("0.3", decimal(0.001), "Seconds to connect to a memcached server.", advanced=True)
    pool_timeout: float = setting("1.0", decimal(0.001), "Seconds to wait for a free connection.", advanced=True)
    io_timeout: float = setting("2.0", decimal(0.001), "Seconds to wait for the answer to one command.", advanced=True)
    tries: int = setting("3", number(1), "Servers to try for one command.", advanced=True)
    error_suppression_limit: int = setting("10", number(1), "Errors after which a server is left alone.", advanced=True)
    error_suppression_interval: float = setting(
        "60", decimal(1), "Seconds for which a failing server is left alone.", advanced=True
    )
    memcache_serialization_support: str = setting(
        "2", choice("2"), "2: JSON. The older forms were pickles and are not supported.", advanced=True
    )
    local_cache_entries: int = setting("10000", number(1), "Entries of a worker's own cache, without memcached.")
    tls_enabled: bool = setting("false", boolean, "Speak TLS with memcached.", advanced=True)
    tls_cafile: str = setting("", text, "Certificates to trust; empty: the system's.", advanced=True)
    tls_certfile: str = setting("", text, "Our certificate, where memcached asks for one.", advanced=True)
    tls_keyfile: str = setting("", text, "Its key.", advanced=True)


class Cache:
    def __init__(self, app: WSGIApp, cache: CacheService) -> None:
        self._app = app
        self._cache = cache

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ[CACHE] = self._cache
        body: Iterable[bytes] = self._app(environ, start_response)
        return body


def make_cache(settings: CacheSettings) -> CacheService:
    if not settings.memcache_servers:
        return MemoryCache(settings.local_cache_entries)
    limits = MemcachedLimits(
        connect_timeout_s=settings.connect_timeout,
        io_timeout_s=settings.io_timeout,
        pool_timeout_s=settings.pool_timeout,
        connections_max=settings.memcache_max_connections,
        tries=settings.tries,
        error_limit=settings.error_suppression_limit,
        error_interval_s=settings.error_suppression_interval,
    )
    return MemcachedCache(settings.memcache_servers, limits, tls=_tls(settings))


def _tls(settings: CacheSettings) -> ssl.SSLContext | None:
    if not settings.tls_enabled:
        return None
    context = ssl.create_default_context(cafile=settings.tls_cafile or None)
    if settings.tls_certfile:
        context.load_cert_chain(settings.tls_certfile, settings.tls_keyfile or None)
    return context


@reads(CacheSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Cache]:
    if "memcache_servers" not in local_conf:
        local_conf = {**_shared_conf(global_conf), **local_conf}
    cache = make_cache(settings_for(CacheSettings, global_conf, local_conf))
    return lambda app: Cache(app, cache)


def _shared_conf(global_conf: dict[str, str]) -> dict[str, str]:
    """[memcache] of memcache.conf, of which only the options that this filter knows count."""
    path = swift_dir_of(global_conf) / "memcache.conf"
    if not path.exists():
        return {}
    pairs = read_ini(path).pairs("memcache")
    own = {key: value for key, value in pairs.items() if key in CacheSettings.keys()}
    _, problems = CacheSettings.from_pairs(own)
    if problems:
        raise ConfigError(located(problems, str(path), "memcache"))
    return own
