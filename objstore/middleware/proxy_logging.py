"""proxy-logging: one line in the access log for every request, when its answer is out.

It stands twice in a pipeline: the outer one logs what clients ask, the inner one, right before the proxy, what filters
ask on their own (their `source`). A request is logged once: the first of the two that sees it marks it. A client's
answer is not touched: the server says at the end how it went. Where a StatsD server is configured, it is told as well
(access_metrics.py). Source: features B5.12, B5.13.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from objstore.config.boot import settings_for
from objstore.config.settings import Kind, boolean, choice, decimal, number, reads, setting, text
from objstore.config.statsd import StatsdSettings, metric_prefix
from objstore.http.body import Sink
from objstore.http.environ import RAW_TARGET, SOURCE, Environ, Outcome, StartResponse, WSGIApp, on_finish
from objstore.middleware.access_line import DEFAULT_TEMPLATE, Disclosure, Exchange, LineTemplate
from objstore.middleware.access_metrics import metrics_of
from objstore.middleware.statsd import sender_of
from objstore.runtime.logs import LineRecord
from objstore.runtime.metrics import Statsd

LOGGED = "objstore.logged"
"""The SOURCE of the request that a proxy-logging has marked: a subrequest has another one and is logged again."""
_OWN = "client"


def _template(value: str) -> str:
    LineTemplate(value, Disclosure())
    return value


def _header_names(value: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in value.split(",") if name.strip())


def _unless_empty(kind: Kind) -> Kind:
    return Kind(lambda value: kind.parse(value) if value else None, f"{kind.expected}, or nothing")


_line = Kind(_template, "a template of known fields")
_names = Kind(_header_names, "header names separated by commas")
_methods = Kind(
    lambda value: tuple(name.strip().upper() for name in value.split(",") if name.strip()),
    "methods separated by commas",
)
_port = _unless_empty(number(1, 65535))
_rate = _unless_empty(decimal(0, 1))


@dataclass(frozen=True)
class ProxyLoggingSettings(StatsdSettings):
    log_msg_template: str = setting(
        DEFAULT_TEMPLATE, _line, "The access line, with fields in braces; {path.anonymized} is the hash of a field."
    )
    log_anonymization_method: str = setting(
        "md5", choice("md5", "sha1", "sha224", "sha256", "sha384", "sha512"), "Hash function of .anonymized fields."
    )
    log_anonymization_salt: str = setting("", text, "Salt of those hashes.")
    reveal_sensitive_prefix: int = setting("16", number(0), "Characters of a token or signature that may be logged.")
    access_log_headers: bool = setting("false", boolean, "Log the headers of requests, too.")
    access_log_headers_only: tuple[str, ...] = setting("", _names, "Log only these of them.")
    log_statsd_valid_http_methods: tuple[str, ...] = setting(
        "GET,HEAD,POST,PUT,DELETE,COPY,OPTIONS",
        _methods,
        "Methods that StatsD is told by name; others are BAD_METHOD.",
        advanced=True,
    )
    access_log_statsd_host: str = setting("", text, "As log_statsd_host, for requests alone.", advanced=True)
    access_log_statsd_port: int | None = setting("", _port, "As log_statsd_port, for requests.", advanced=True)
    access_log_statsd_default_sample_rate: float | None = setting(
        "", _rate, "As log_statsd_default_sample_rate, for requests.", advanced=True
    )
    access_log_statsd_sample_rate_factor: float | None = setting(
        "", _rate, "As log_statsd_sample_rate_factor, for requests.", advanced=True
    )
    access_log_statsd_metric_prefix: str = setting(
        "", metric_prefix, "As log_statsd_metric_prefix, for requests.", advanced=True
    )
    access_log_name: str = setting("objstore.access", text, "Name of the logger of access lines.", advanced=True)
    access_log_level: str = setting(
        "info", choice("debug", "info", "warning", "error", "critical"), "Level of access lines.", advanced=True
    )

    @property
    def statsd(self) -> StatsdSettings:
        """Where requests are told: log_statsd_… with what access_log_statsd_… says otherwise."""
        given: dict[str, Any] = {  # Of the types that the fields have.
            "log_statsd_host": self.access_log_statsd_host or None,
            "log_statsd_port": self.access_log_statsd_port,
            "log_statsd_default_sample_rate": self.access_log_statsd_default_sample_rate,
            "log_statsd_sample_rate_factor": self.access_log_statsd_sample_rate_factor,
            "log_statsd_metric_prefix": self.access_log_statsd_metric_prefix or None,
        }
        return replace(self, **{name: value for name, value in given.items() if value is not None})


class ProxyLogging:
    """statsd: who is told how requests went; None for nobody."""

    def __init__(
        self,
        app: WSGIApp,
        settings: ProxyLoggingSettings,
        *,
        logger: logging.Logger | None = None,
        now: Callable[[], float] = time.time,
        statsd: Statsd | None = None,
    ) -> None:
        self._app = app
        self._logger = logger or logging.getLogger(settings.access_log_name)
        self._level = logging.getLevelNamesMapping()[settings.access_log_level.upper()]
        self._now = now
        self._statsd = statsd
        self._methods = frozenset(settings.log_statsd_valid_http_methods)
        disclosure = Disclosure(
            settings.reveal_sensitive_prefix,
            settings.log_anonymization_method.upper(),
            settings.log_anonymization_salt,
            settings.access_log_headers,
            settings.access_log_headers_only,
        )
        self._template = LineTemplate(settings.log_msg_template, disclosure)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        source = environ.get(SOURCE)
        if environ.get(LOGGED) == (source or _OWN) or not (self._statsd or self._logger.isEnabledFor(self._level)):
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        environ[LOGGED] = source or _OWN
        if source:
            return self._internal(environ, start_response)
        exchange = self._begun(environ)

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            exchange.headers = headers
            return start_response(status, headers, *exc_info)

        def finished(outcome: Outcome) -> None:
            exchange.outcome = outcome
            self._log(exchange)
            # What filters ask is part of what clients asked: only of that StatsD is told.
            if self._statsd is not None:
                self._statsd.event(*metrics_of(exchange, self._methods))
            # The environ holds this callback: without a cut, every request would be a cycle for the collector.
            exchange.environ = {}

        on_finish(environ, finished)
        body = self._app(environ, start)
        return body

    def _log(self, exchange: Exchange) -> None:
        if self._statsd is not None and not self._logger.isEnabledFor(self._level):
            return
        # Not logger.log(): it would walk the stack to find the line it was called from, which is always this one.
        line = self._template.line(exchange)
        self._logger.handle(LineRecord(self._logger.name, self._level, line))

    def _begun(self, environ: Environ) -> Exchange:
        """The exchange so far, with copies of what filters below may change in the environ."""
        target = environ.get(RAW_TARGET) or environ["PATH_INFO"]
        return Exchange(environ, environ["REQUEST_METHOD"], target, self._now(), _NOTHING_YET, [])

    def _internal(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """A subrequest: the server knows nothing of it, so its body is watched here."""
        exchange = self._begun(environ)
        outcome = exchange.outcome = Outcome(0, 0, 0, 0.0, 0.0, True)

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            exchange.headers = headers
            outcome.status = int(status[:3])
            outcome.first_byte_s = self._now() - exchange.started_s
            return start_response(status, headers, *exc_info)

        def finished() -> None:
            outcome.elapsed_s = self._now() - exchange.started_s
            outcome.bytes_received = int(environ.get("CONTENT_LENGTH") or 0)
            self._log(exchange)

        body = self._app(environ, start)
        if hasattr(body, "transfer"):
            return _WatchedTransfer(body, outcome, finished, exchange.headers)
        return _Watched(body, outcome, finished)


_NOTHING_YET = Outcome(0, 0, 0, 0.0, 0.0, False)


class _Watched:
    """A body that says when it is over. Closed before its end it counts as complete: a filter had enough."""

    __slots__ = ("_body", "_outcome", "_finished")

    def __init__(self, body: Any, outcome: Outcome, finished: Callable[[], None]) -> None:
        self._body = body
        self._outcome = outcome
        self._finished: Callable[[], None] | None = finished

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._body:
                self._outcome.bytes_sent += len(piece)
                yield piece
        except Exception:  # Noted for the log line, and raised again.
            self._outcome.is_complete = False
            raise
        finally:
            self._end()

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._end()

    def _end(self) -> None:
        finished, self._finished = self._finished, None
        if finished is not None:
            finished()


class _WatchedTransfer(_Watched):
    """As _Watched, for a body that can send itself (http/body.py)."""

    __slots__ = ("_length",)

    def __init__(
        self, body: Any, outcome: Outcome, finished: Callable[[], None], headers: list[tuple[str, str]]
    ) -> None:
        super().__init__(body, outcome, finished)
        self._length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)

    def transfer(self, sink: Sink) -> None:
        try:
            self._body.transfer(sink)
            self._outcome.bytes_sent = self._length
        except Exception:  # Noted for the log line, and raised again.
            self._outcome.is_complete = False
            raise
        finally:
            self._end()


@reads(ProxyLoggingSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], ProxyLogging]:
    settings = settings_for(ProxyLoggingSettings, global_conf, local_conf)
    statsd = sender_of(settings.statsd)
    return lambda app: ProxyLogging(app, settings, statsd=statsd)
