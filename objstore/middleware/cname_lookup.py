"""cname_lookup: hosts of other people's domains that are aliases of ours: www.customer.example with a CNAME to
container.account.storage.example is served as that, by domain_remap behind this filter.

Aliases of aliases are followed up to lookup_depth. What is found stands in the cache under cname-<domain> (formats 7),
for as long as the name server allows; what leads nowhere is remembered for a moment, too, because anybody can send any
Host. A host that leads nowhere is refused. Source: feature A5.8; Swift's documentation of the middleware.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from objstore.cache.memory import MemoryCache
from objstore.config.boot import settings_for
from objstore.config.settings import Kind, Settings, decimal, names, number, reads, setting
from objstore.http import capabilities
from objstore.http.environ import CACHE, CacheService, Environ, StartResponse, WSGIApp
from objstore.http.response import Response, plain
from objstore.http.status import HTTPStatus
from objstore.runtime.dns_query import PORT, Alias, CannotAsk, Server, alias_of, system_servers

_LONGEST_S, _SHORTEST_S, _NOWHERE_S = 3600, 1, 30
_AT_ONCE = 64
"""Questions under way in a worker; more than that is nobody's real traffic."""
_IS_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*").fullmatch
_log = logging.getLogger("objstore.cname-lookup")


def _servers(value: str) -> tuple[Server, ...]:
    return tuple(_server(item.strip()) for item in value.split(",") if item.strip())


def _server(item: str) -> Server:
    address, port = item, str(PORT)
    if item.startswith("["):
        address, _, port = item[1:].partition("]")
        port = port.removeprefix(":") or str(PORT)
    elif item.count(":") == 1:
        address, _, port = item.partition(":")
    if not 0 < int(port) < 65536:
        raise ValueError(f"{port} is not a port")
    return str(ipaddress.ip_address(address)), int(port)


@dataclass(frozen=True)
class CnameLookupSettings(Settings):
    storage_domain: tuple[str, ...] = setting(
        "example.com", names, "Domains of this cluster; other host names are looked up."
    )
    lookup_depth: int = setting("1", number(1, 10), "How many aliases in a row are followed.")
    nameservers: tuple[Server, ...] = setting(
        "",
        Kind(_servers, "addresses, each with :port if it is not 53"),
        "The name servers to ask; empty: those of this machine.",
    )
    lookup_timeout: float = setting("2", decimal(0.001, 60), "Seconds to wait for each name server.")


Lookup = Callable[[str], Alias]
"""The alias of a name. Raises CannotAsk."""


class CnameLookup:
    def __init__(self, app: WSGIApp, settings: CnameLookupSettings, lookup: Lookup) -> None:
        self._app = app
        self._domains = tuple(domain.lower().strip(".") for domain in settings.storage_domain)
        self._depth = settings.lookup_depth
        self._lookup = lookup
        self._own_cache = MemoryCache(1000)
        self._asking = 0

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        host, colon, port = environ.get("HTTP_HOST", "").partition(":")
        host = host.lower().rstrip(".")
        refused: Response | None = None
        if host and not self._is_ours(host) and not _is_address(environ["HTTP_HOST"], host):
            found = self._resolved(environ, host) if _IS_HOST(host) else _refusal(host)
            if isinstance(found, Response):
                refused = found
            else:
                environ["HTTP_HOST"] = f"{found}{colon}{port}"
        body: Iterable[bytes] = (refused or self._app)(environ, start_response)
        return body

    def _is_ours(self, host: str) -> bool:
        return any(host == domain or host.endswith("." + domain) for domain in self._domains)

    def _resolved(self, environ: Environ, host: str) -> str | Response:
        """The host of ours that it stands for, or the refusal."""
        cache = environ.get(CACHE) or self._own_cache
        name = host
        for _ in range(self._depth):
            known = cache.get(f"cname-{name}")
            if not isinstance(known, str):
                if self._asking >= _AT_ONCE:
                    return plain(HTTPStatus.SERVICE_UNAVAILABLE, "Too many names are being looked up.")
                try:
                    known = self._looked_up(cache, name)
                except CannotAsk as error:
                    _log.warning("host=%r name=%r error=%s: not looked up", host, name, error)
                    return plain(HTTPStatus.SERVICE_UNAVAILABLE, f"The name {host} cannot be looked up now.")
            if not known or known == name or not _IS_HOST(known):
                break
            if self._is_ours(known):
                return known
            name = known
        return _refusal(host)

    def _looked_up(self, cache: CacheService, name: str) -> str:
        """Raises CannotAsk."""
        self._asking += 1
        try:
            alias = self._lookup(name)
        finally:
            self._asking -= 1
        ttl_s = min(max(alias.ttl_s, _SHORTEST_S), _LONGEST_S) if alias.name else _NOWHERE_S
        cache.set(f"cname-{name}", alias.name, ttl_s)
        return alias.name


def _refusal(host: str) -> Response:
    return plain(HTTPStatus.BAD_REQUEST, f"The host {host[:253]!r} is not a domain of this store, and no alias of one.")


def _is_address(whole: str, host: str) -> bool:
    """Whether the Host header names an address, which nobody can look up."""
    if whole.startswith("["):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def _lookup_by(servers: Sequence[Server], timeout_s: float) -> Lookup:
    return lambda name: alias_of(name, servers, timeout_s)


@reads(CnameLookupSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], CnameLookup]:
    settings = settings_for(CnameLookupSettings, global_conf, local_conf)
    capabilities.register("cname_lookup", lookup_depth=settings.lookup_depth)
    lookup = _lookup_by(settings.nameservers or system_servers(), settings.lookup_timeout)
    return lambda app: CnameLookup(app, settings, lookup)
