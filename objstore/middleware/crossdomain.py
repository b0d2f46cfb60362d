"""crossdomain: GET /crossdomain.xml, which tells Flash and its like which sites may use this cluster. Feature A5.9."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, reads, setting, text
from objstore.http import capabilities
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.response import Response
from objstore.http.status import HTTPStatus

PATH = "/crossdomain.xml"
_FRAME = """\
<?xml version="1.0"?>
<!DOCTYPE cross-domain-policy SYSTEM "http://www.adobe.com/xml/dtds/cross-domain-policy.dtd" >
<cross-domain-policy>
{}
</cross-domain-policy>"""


@dataclass(frozen=True)
class CrossdomainSettings(Settings):
    cross_domain_policy: str = setting(
        '<allow-access-from domain="*" secure="false" />', text, "The lines inside the policy, as XML."
    )


class Crossdomain:
    def __init__(self, app: WSGIApp, settings: CrossdomainSettings) -> None:
        self._app = app
        self._body = _FRAME.format(settings.cross_domain_policy).encode()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == PATH and environ["REQUEST_METHOD"] == "GET":
            return Response(HTTPStatus.OK, {"content-type": "application/xml"}, self._body)(environ, start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body


@reads(CrossdomainSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Crossdomain]:
    settings = settings_for(CrossdomainSettings, global_conf, local_conf)
    capabilities.register("crossdomain")
    return lambda app: Crossdomain(app, settings)
