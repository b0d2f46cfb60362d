"""A stand-in for Keystone and Barbican in one server: a token for a password, and payloads of secrets.

Source: docs.openstack.org/api-ref/identity/v3; docs.openstack.org/barbican/latest/api/reference/secrets.html.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.http import running_server

PASSWORD = "planted-service-password"
TOKEN = "planted-token"


@dataclass
class FakeBarbican:
    """payloads: by UUID. catalog: of the token's answer; None: one with this server. status: given for any secret."""

    url: str = ""
    payloads: dict[str, bytes] = field(default_factory=dict)
    catalog: object = None
    status: int = 0
    asked: list[str] = field(default_factory=list)

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        self.asked.append(path)
        body = environ["wsgi.input"].read()
        status, headers, answer = self._token(body) if path == "/v3/auth/tokens" else self._payload(environ, path)
        start_response(f"{status} Status", [*headers, ("Content-Length", str(len(answer)))])
        return [answer]

    def _token(self, body):
        auth = json.loads(body)["auth"]
        user = auth["identity"]["password"]["user"]
        if (user["name"], user["password"]) != ("swift", PASSWORD):
            return 401, [], b"{}"
        assert auth["scope"]["project"]["name"] == "service"
        catalog = self.catalog
        if catalog is None:
            endpoints = [
                {"interface": "internal", "region_id": "one", "url": "http://127.0.0.1:1"},
                {"interface": "public", "region_id": "other", "url": "http://127.0.0.1:1"},
                {"interface": "public", "region_id": "one", "url": self.url},
            ]
            catalog = [{"type": "image", "endpoints": endpoints}, {"type": "key-manager", "endpoints": endpoints}]
        return 201, [("X-Subject-Token", TOKEN)], json.dumps({"token": {"catalog": catalog}}).encode()

    def _payload(self, environ, path):
        assert environ["HTTP_X_AUTH_TOKEN"] == TOKEN and environ["HTTP_ACCEPT"] == "application/octet-stream"
        parts = path.split("/")
        payload = (
            self.payloads.get(parts[3]) if parts[:3] == ["", "v1", "secrets"] and parts[4:] == ["payload"] else None
        )
        if self.status or payload is None:
            return self.status or 404, [], b"planted words"
        return 200, [("Content-Type", "application/octet-stream")], payload


@contextmanager
def running_barbican(tls=None, **options) -> Iterator[FakeBarbican]:
    barbican = FakeBarbican(**options)
    with running_server(barbican, tls=tls) as server:
        barbican.url = f"{'https' if tls else 'http'}://{server.host}:{server.port}"
        yield barbican
