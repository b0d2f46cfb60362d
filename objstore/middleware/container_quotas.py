"""container_quotas: a container takes no more bytes or objects than its owner allowed it.

    X-Container-Meta-Quota-Bytes, X-Container-Meta-Quota-Count     set by the owner, checked when they are set

What a container with a quota holds is asked for each upload; uploads at the same time may go past it together. One of
unknown length ends when it has sent more than was left (quota_body).
Source: feature A2.7; Swift API guide, "Container quotas".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, reads
from objstore.core.names import ClientPath
from objstore.core.quota import is_exceeded, is_settable, limit_of
from objstore.http import capabilities
from objstore.http.access import denial
from objstore.http.environ import INFO, Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus
from objstore.middleware.quota_body import hold_to_quota

EXCEEDED = "Upload exceeds quota."
_SET = {"HTTP_X_CONTAINER_META_QUOTA_BYTES": "bytes", "HTTP_X_CONTAINER_META_QUOTA_COUNT": "count"}


@dataclass(frozen=True)
class ContainerQuotasSettings(Settings):
    pass


class ContainerQuotas:
    def __init__(self, app: WSGIApp) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        refused = None
        if environ["REQUEST_METHOD"] in ("PUT", "POST"):
            path = client_path_of(environ)
            if path is not None and path.container is not None:
                refused = _setting_refusal(environ) if path.obj is None else _upload_refusal(environ, path)
        body: Iterable[bytes] = (refused or self._app)(environ, start_response)
        return body


def _setting_refusal(environ: Environ) -> Response | None:
    for key, unit in _SET.items():
        if key in environ and not is_settable(environ[key]):
            return page(HTTPStatus.BAD_REQUEST, f"Invalid {unit} quota: expected a whole number, or nothing.")
    return None


def _upload_refusal(environ: Environ, path: ClientPath) -> Response | None:
    if environ["REQUEST_METHOD"] != "PUT":
        return None
    assert path.account is not None and path.container is not None
    infos = environ[INFO]
    meta = infos.container(environ, path.account, path.container).meta
    most_bytes, most_objects = limit_of(meta, "quota-bytes"), limit_of(meta, "quota-count")
    if most_bytes is None and most_objects is None:
        return None
    info = infos.container(environ, path.account, path.container, fresh=True)
    request = Request(environ)
    size = request.content_length or 0
    if is_exceeded(most_bytes, info.bytes_used, size) or is_exceeded(most_objects, info.object_count, 1):
        return over_quota(request, info.write_acl)
    if most_bytes is not None and request.content_length is None:
        hold_to_quota(environ, most_bytes - info.bytes_used)
    return None


def over_quota(request: Request, acl: str | None) -> Response:
    """413, for who may write there; others learn nothing about quotas."""
    return denial(request, acl) or page(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, EXCEEDED)


@reads(ContainerQuotasSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], ContainerQuotas]:
    settings_for(ContainerQuotasSettings, global_conf, local_conf)
    capabilities.register("container_quotas")
    return ContainerQuotas
