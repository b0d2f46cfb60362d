"""healthcheck: /healthcheck answers OK while this process answers at all, for load balancers (A5.18).

Any method will do: HAProxy asks with OPTIONS unless told otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, reads, setting, text
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.response import Response
from objstore.http.status import HTTPStatus

_PATH = "/healthcheck"


@dataclass(frozen=True)
class HealthcheckSettings(Settings):
    disable_path: str = setting(
        "", text, "Answer 503 while a file of this path exists: take a server out of rotation before its restart."
    )


class Healthcheck:
    def __init__(self, app: WSGIApp, settings: HealthcheckSettings) -> None:
        self._app = app
        self._disable_path = settings.disable_path

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != _PATH:
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        if self._disable_path and os.path.exists(self._disable_path):
            answer = Response(HTTPStatus.SERVICE_UNAVAILABLE, {"content-type": "text/plain"}, b"DISABLED BY FILE")
        else:
            answer = Response(HTTPStatus.OK, {"content-type": "text/plain"}, b"OK")
        return answer(environ, start_response)


@reads(HealthcheckSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Healthcheck]:
    settings = settings_for(HealthcheckSettings, global_conf, local_conf)
    return lambda app: Healthcheck(app, settings)
