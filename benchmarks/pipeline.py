"""What the filters of the default pipeline cost a request: python -m benchmarks.pipeline [REQUESTS]

One process, no sockets: environs as our server makes them, an application that authorizes and answers at once. Prints
CPU microseconds per request for the whole pipeline and for each filter added to those inside it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from objstore.cache.memory import MemoryCache
from objstore.core.info import AccountInfo, ContainerInfo
from objstore.core.limits import Limits
from objstore.http import environ as keys
from objstore.http.environ import Environ, Outcome, WSGIApp
from objstore.http.request import Request
from objstore.http.subrequest import BytesInput
from objstore.middleware.cache import Cache
from objstore.middleware.catch_errors import CatchErrors, CatchErrorsSettings
from objstore.middleware.copy import Copy
from objstore.middleware.dlo import Dlo, DloSettings
from objstore.middleware.gatekeeper import Gatekeeper, GatekeeperSettings
from objstore.middleware.healthcheck import Healthcheck, HealthcheckSettings
from objstore.middleware.listing_formats import ListingFormats
from objstore.middleware.proxy_logging import ProxyLogging, ProxyLoggingSettings
from objstore.middleware.slo.filter import Slo
from objstore.middleware.slo.settings import SloSettings
from objstore.middleware.symlink import Symlink, SymlinkSettings
from objstore.middleware.tempauth import Tempauth
from objstore.middleware.tempauth_settings import TempauthSettings
from objstore.middleware.versioning.filter import VersionedWrites
from objstore.middleware.versioning.settings import VersionedWritesSettings

HEADERS = [
    ("Content-Type", "application/octet-stream"),
    ("Content-Length", "4096"),
    ("Etag", "d41d8cd98f00b204e9800998ecf8427e"),
    ("Last-Modified", "Fri, 01 Jan 2027 00:00:00 GMT"),
    ("X-Timestamp", "1800000000.00000"),
    ("X-Object-Meta-Mtime", "1800000000.0"),
    ("Accept-Ranges", "bytes"),
]


def application(environ: Environ, start_response: Any) -> tuple[bytes, ...]:
    authorize = environ.get(keys.AUTHORIZE)
    if authorize is not None:
        assert authorize(Request(environ)) is None
    start_response("200 OK", HEADERS)
    return (b"x",)


class Discard(logging.Handler):
    """Formats a record, as a handler does, and drops it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


def tempauth(app: WSGIApp) -> Tempauth:
    settings, _ = TempauthSettings.from_pairs({"user_test_tester": "testing .admin"})
    return Tempauth(app, settings, default_key=lambda: bytes(32))


def logging_filter(app: WSGIApp) -> ProxyLogging:
    logger = logging.Logger("access")
    logger.addHandler(Discard())
    return ProxyLogging(app, ProxyLoggingSettings(), logger=logger)


class Infos:
    """An InfoService whose answers are cached."""

    def account(self, environ: Environ, account: str) -> AccountInfo:
        return AccountInfo(200)

    def container(self, environ: Environ, account: str, container: str) -> ContainerInfo:
        return _CONTAINER


_CONTAINER = ContainerInfo(200)
_INFOS = Infos()

FILTERS: tuple[tuple[str, Callable[[WSGIApp], WSGIApp]], ...] = (
    ("symlink", lambda app: Symlink(app, SymlinkSettings())),
    ("versioned_writes", lambda app: VersionedWrites(app, VersionedWritesSettings(), Limits())),
    ("dlo", lambda app: Dlo(app, DloSettings(), 10000)),
    ("slo", lambda app: Slo(app, SloSettings())),
    ("copy", lambda app: Copy(app, Limits())),
    ("tempauth", tempauth),
    ("listing_formats", ListingFormats),
    ("cache", lambda app: Cache(app, MemoryCache())),
    ("proxy-logging", logging_filter),
    ("healthcheck", lambda app: Healthcheck(app, HealthcheckSettings())),
    ("gatekeeper", lambda app: Gatekeeper(app, GatekeeperSettings())),
    ("catch_errors", lambda app: CatchErrors(app, CatchErrorsSettings())),
)


def environ(token: str) -> Environ:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/v1/AUTH_test/container/a/photo.jpg",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "HTTP_HOST": "127.0.0.1:8080",
        "HTTP_USER_AGENT": "rclone/v1.60.1",
        "HTTP_X_AUTH_TOKEN": token,
        "HTTP_ACCEPT_ENCODING": "gzip",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesInput(),
        "objstore.raw_target": "/v1/AUTH_test/container/a/photo.jpg",
        "objstore.finish": [],
        keys.INFO: _INFOS,
    }


def cost_us(app: WSGIApp, token: str, requests: int) -> float:
    """CPU time of one request less that of making its environ; best of three."""
    outcome = Outcome(200, 0, 4096, 0.001, 0.001, True)
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        for _ in range(requests):
            environ(token)
        making = time.process_time() - started
        started = time.process_time()
        for _ in range(requests):
            one = environ(token)
            app(one, lambda status, headers: None)
            for callback in one["objstore.finish"]:
                callback(outcome)
        best = min(best, (time.process_time() - started - making) / requests * 1e6)
    return best


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    given = environ("")
    given.update(PATH_INFO="/auth/v1.0", HTTP_X_AUTH_USER="test:tester", HTTP_X_AUTH_KEY="testing")
    heads: list[dict[str, str]] = []
    tempauth(application)(given, lambda status, headers: heads.append(dict(headers)))
    token = heads[0]["X-Auth-Token"]
    app: WSGIApp = application
    before = cost_us(app, token, requests)
    print(f"{'application alone':20} {before:6.1f} us")
    for name, wrap in FILTERS:
        app = wrap(app)
        now = cost_us(app, token, requests)
        print(f"{name:20} {now - before:6.1f} us   pipeline so far {now:6.1f} us")
        before = now


if __name__ == "__main__":
    main()
