"""GET /info: what this cluster can do and within which limits. Source: features A5.10, A5.17.

The signed view (?swiftinfo_sig=…&swiftinfo_expires=…) also shows sections for administrators: HMAC-SHA1 with admin_key
of "METHOD\\nexpires\\n/info"; a HEAD may show the signature of a GET.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import asdict

from objstore import __version__
from objstore.config.cluster import Cluster
from objstore.http import capabilities
from objstore.http.request import Request
from objstore.http.response import HTML, Response, page
from objstore.http.status import HTTPStatus
from objstore.proxy.settings import ProxySettings
from objstore.runtime.clock import Clock

PATH = "/info"
MAX_REQUEST_LINE = 8192
_INFO_JSON = "application/json; charset=UTF-8"


def register(cluster: Cluster, settings: ProxySettings) -> None:
    """The proxy's own section."""
    limits = asdict(cluster.limits)
    limits["valid_api_versions"] = list(cluster.limits.valid_api_versions)
    limits.pop("auto_create_account_prefix")
    policies = []
    for policy in cluster.policies:
        if policy.is_deprecated:
            continue
        entry: dict[str, object] = {"name": policy.name, "aliases": ", ".join(policy.names)}
        if policy.is_default:
            entry["default"] = True
        policies.append(entry)
    if len(policies) == 1:
        policies[0]["default"] = True
    capabilities.register(
        "swift",
        version=__version__,
        strict_cors_mode=settings.strict_cors_mode,
        policies=policies,
        allow_account_management=settings.allow_account_management,
        account_autocreate=settings.account_autocreate,
        allow_open_expired=settings.allow_open_expired,
        max_request_line=MAX_REQUEST_LINE,
        **limits,
    )


class Discovery:
    def __init__(self, settings: ProxySettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def respond(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(HTTPStatus.OK, {"content-type": HTML, "allow": "HEAD, GET, OPTIONS"})
        if request.method not in ("GET", "HEAD"):
            return page(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": "GET, HEAD, OPTIONS"})
        if not self._settings.expose_info:
            return page(HTTPStatus.FORBIDDEN)
        signature, expires = request.query.get("swiftinfo_sig", ""), request.query.get("swiftinfo_expires", "")
        is_admin = bool(signature or expires)
        if is_admin and not self._is_signed(request.method, signature, expires):
            return page(HTTPStatus.FORBIDDEN)
        found = capabilities.collect(admin=is_admin, disallowed=self._settings.disallowed_sections)
        body = json.dumps(found).encode()
        headers = {"content-type": _INFO_JSON, "content-length": str(len(body))}
        return Response(HTTPStatus.OK, headers, b"" if request.method == "HEAD" else body)

    def _is_signed(self, method: str, signature: str, expires: str) -> bool:
        key = self._settings.admin_key
        if not key or not (expires.isascii() and expires.isdigit() and len(expires) < 20):
            return False
        if int(expires) < self._clock.now().seconds:
            return False
        methods = ("GET", "HEAD") if method == "HEAD" else (method,)
        valid = [
            hmac.new(key.encode(), f"{each}\n{expires}\n{PATH}".encode(), hashlib.sha1).hexdigest() for each in methods
        ]
        given = signature.encode("utf-8", "surrogateescape")
        # Every one is compared, so that the time does not tell which method was signed.
        return any([hmac.compare_digest(given, each.encode()) for each in valid])
