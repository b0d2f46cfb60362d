"""What a storage server tells StatsD of its requests. Stands around the pipeline, and only where a StatsD server is
configured. Source: features B5.12, and https://docs.openstack.org/swift/latest/metrics/object_server.html and its like

    <server>.<method>.timing             milliseconds of a request that was answered, 404 included
    <server>.<method>.errors.timing      the same of one that failed: bad request, conflict, not mounted, full disk …
    object-server.PUT.<device>.timing    milliseconds per kB of a PUT's body, of every device: a sick one stands out

server: account-server, container-server, object-server.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from objstore.http.environ import Environ, Outcome, StartResponse, WSGIApp, on_finish
from objstore.http.status import HTTPStatus
from objstore.runtime.metrics import Statsd, name_part, timed

METHODS = frozenset(("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "REPLICATE", "SSYNC", "UPDATE"))


class RequestMetrics:
    """app: whose requests are timed. role: object-server and its like."""

    def __init__(self, app: WSGIApp, statsd: Statsd, role: str) -> None:
        self._app = app
        self._statsd = statsd
        self._role = role

    def __call__(self, environ: Environ, start_response: StartResponse) -> Any:
        on_finish(environ, partial(self._finished, environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        return self._app(environ, start_response)

    def _finished(self, method: str, path: str, outcome: Outcome) -> None:
        if method not in METHODS:
            return
        # A proxy that hangs up early has had enough of an answer; that is no error.
        is_error = outcome.status >= HTTPStatus.BAD_REQUEST and outcome.status != HTTPStatus.NOT_FOUND
        metrics = [timed(f"{self._role}.{method}{'.errors' if is_error else ''}.timing", outcome.elapsed_s)]
        if method == "PUT" and self._role == "object-server" and not is_error and outcome.bytes_received:
            # Only of an answered PUT: its device exists, so nobody can make up names.
            device = name_part(path.lstrip("/").partition("/")[0])
            metrics.append(
                timed(f"{self._role}.PUT.{device}.timing", outcome.elapsed_s * 1000 / outcome.bytes_received)
            )
        self._statsd.event(*metrics)
