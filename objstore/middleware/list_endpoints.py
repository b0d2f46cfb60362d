"""list_endpoints: on which servers an account, a container or an object lies, for programs that go to the data.

    GET /endpoints/[v1/]account[/container[/object]]    ["http://ip:port/device/partition/account/…", …]
    GET /endpoints/v2/account[/container[/object]]      {"endpoints": [the same], "headers": {…}}

The headers of v2 have to be sent along: they name the storage policy. Where something would lie is told whether it is
there or not; only an object needs its container, which has the policy. The addresses of servers are nobody else's
business: only this machine and reseller administrators are answered. Source: feature A5.19; Swift's documentation of
the middleware.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import load_cluster
from objstore.config.settings import Settings, reads, setting, text
from objstore.core.hashing import HashSecrets
from objstore.core.names import client_path, quoted
from objstore.http.environ import INFO, Environ, StartResponse, WSGIApp
from objstore.http.response import JSON, Response, page
from objstore.http.status import HTTPStatus
from objstore.middleware.operator_access import refusal
from objstore.ring.fileformat import RingFileError
from objstore.ring.model import Node, Ring
from objstore.ring.reload import ReloadingRing

_ACCOUNT, _CONTAINER, _OBJECT = "account", "container", "object"
_POLICY_HEADER = "X-Backend-Storage-Policy-Index"
_IS_VERSION = re.compile(r"v[0-9]+(\.[0-9]+)?").fullmatch
_V1, _V2 = ("v1", "v1.0"), ("v2", "v2.0")

RingOf = Callable[[str], Ring]
"""By the name of its file without .ring.gz. Raises RingFileError."""


@dataclass(frozen=True)
class ListEndpointsSettings(Settings):
    """Tells programs that run beside the data where it lies; answers this machine and reseller administrators only."""

    list_endpoints_path: str = setting("/endpoints/", text, "The path at which it answers.")


class ListEndpoints:
    def __init__(self, app: WSGIApp, settings: ListEndpointsSettings, secrets: HashSecrets, ring_of: RingOf) -> None:
        self._app = app
        self._root = "/" + settings.list_endpoints_path.strip("/")
        self._secrets = secrets
        self._ring_of = ring_of

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if not path.startswith(self._root + "/"):
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        answer = refusal(environ) or self._answer(environ, path[len(self._root) :])
        return answer(environ, start_response)

    def _answer(self, environ: Environ, rest: str) -> Response:
        """rest: what follows the root, from its slash on."""
        if environ["REQUEST_METHOD"] != "GET":
            return page(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is answered here.", {"allow": "GET"})
        first = rest.split("/", 2)[1]
        version = first if _IS_VERSION(first) else ""
        if version and version not in (*_V1, *_V2):
            return page(HTTPStatus.BAD_REQUEST, f"Unknown version {version}; known are v1 and v2.")
        path = client_path(rest if version else f"/v1{rest}")
        if path is None or path.account is None:
            why = f"Expected {self._root}/[version/]account[/container[/object]]"
            return page(HTTPStatus.BAD_REQUEST, why)
        ring_name, headers = _ACCOUNT, {}
        if path.obj is not None and path.container is not None:
            info = environ[INFO].container(environ, path.account, path.container)
            if not info.exists:
                return page(HTTPStatus.NOT_FOUND, "There is no such container, so no policy to tell the servers by.")
            ring_name = f"{_OBJECT}-{info.policy_index}" if info.policy_index else _OBJECT
            headers = {_POLICY_HEADER: str(info.policy_index)}
        elif path.container is not None:
            ring_name = _CONTAINER
        try:
            ring = self._ring_of(ring_name)
        except RingFileError as error:
            return page(HTTPStatus.SERVICE_UNAVAILABLE, f"The ring cannot be read: {error}")
        names = [name for name in (path.account, path.container, path.obj) if name is not None]
        partition = ring.partition(self._secrets.digest(*names))
        urls = [_url(node, partition, names) for node in ring.primaries(partition)]
        return _json(urls if version not in _V2 else {"endpoints": urls, "headers": headers})


def _url(node: Node, partition: int, names: list[str]) -> str:
    ip, port = node.address
    host = f"[{ip}]" if ":" in ip else ip
    return f"http://{host}:{port}" + quoted("/".join(["", node.name, str(partition), *names]))


def _json(found: list[str] | Mapping[str, object]) -> Response:
    return Response(HTTPStatus.OK, {"content-type": JSON}, json.dumps(found).encode())


@reads(ListEndpointsSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], ListEndpoints]:
    settings = settings_for(ListEndpointsSettings, global_conf, local_conf)
    swift_dir = swift_dir_of(global_conf)
    cluster = load_cluster(swift_dir)
    names = [
        _ACCOUNT,
        _CONTAINER,
        *(f"{_OBJECT}-{policy.index}" if policy.index else _OBJECT for policy in cluster.policies),
    ]
    rings = {name: ReloadingRing(swift_dir / f"{name}.ring.gz") for name in names}
    return lambda app: ListEndpoints(app, settings, cluster.secrets, lambda name: rings[name].current)
