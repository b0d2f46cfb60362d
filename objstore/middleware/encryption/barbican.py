"""Asking Barbican, OpenStack's key manager, for a secret: a token of Keystone's, the service's address, the payload.

Source: docs.openstack.org/api-ref/identity/v3 "Password authentication with scoped authorization";
docs.openstack.org/barbican/latest/api/reference/secrets.html "GET /v1/secrets/{uuid}/payload".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from objstore.http.outgoing import Outgoing, ServiceError
from objstore.http.status import HTTPStatus
from objstore.middleware.encryption.kmip import NoKey
from objstore.middleware.keystone.service import api_url
from objstore.middleware.keystone.tokens import Credentials

_ANSWER_BYTES = 1 << 20
_SECRET_BYTES = 1 << 14
_ID = re.compile(r"[0-9A-Za-z-]{1,64}\Z")
_SERVICE_TYPE = "key-manager"


@dataclass(frozen=True)
class Barbican:
    """endpoint: '' for what Keystone's catalog says, of a region and an interface (public, internal, admin)."""

    outgoing: Outgoing
    auth_url: str
    credentials: Credentials
    endpoint: str = ""
    region: str = ""
    interface: str = "public"

    def key(self, key_id: str) -> bytes:
        """The payload of a secret. Raises NoKey."""
        if _ID.match(key_id) is None:
            raise NoKey(f"{key_id[:100]!r} is not an id of a secret: expected the UUID at the end of its reference")
        token, endpoint = self._session
        url = f"{endpoint}/secrets/{key_id}/payload"
        headers = [("X-Auth-Token", token), ("Accept", "application/octet-stream")]
        try:
            answer = self.outgoing.request("GET", url, headers, limit_bytes=_SECRET_BYTES)
        except ServiceError as error:
            raise NoKey(str(error)) from None
        if answer.status != HTTPStatus.OK:
            raise NoKey(f"{url}: {answer.status} {_MEANINGS.get(answer.status, 'is not what was asked for')}")
        return answer.body

    @cached_property
    def _session(self) -> tuple[str, str]:
        """(token, address of the v1 API). Raises NoKey."""
        url = f"{api_url(self.auth_url)}/auth/tokens"
        headers = [("Content-Type", "application/json"), ("Accept", "application/json")]
        try:
            answer = self.outgoing.request("POST", url, headers, self.credentials.request(), limit_bytes=_ANSWER_BYTES)
        except ServiceError as error:
            raise NoKey(str(error)) from None
        token = answer.headers.get("x-subject-token", "")
        if answer.status != HTTPStatus.CREATED or not token:
            raise NoKey(f"{url}: {answer.status} {_TOKEN_MEANINGS.get(answer.status, 'is not a token')}")
        endpoint = (self.endpoint or self._catalogued(answer.body)).rstrip("/")
        return token, endpoint if endpoint.endswith("/v1") else f"{endpoint}/v1"

    def _catalogued(self, body: bytes) -> str:
        try:
            catalog = json.loads(body)["token"].get("catalog", [])
            found = [
                endpoint["url"]
                for service in catalog
                if service["type"] == _SERVICE_TYPE
                for endpoint in service["endpoints"]
                if endpoint["interface"] == self.interface and self._is_here(endpoint)
            ]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise NoKey(f"{self.auth_url}: the catalog of services is none") from None
        if not found or not isinstance(found[0], str):
            region = f" of the region {self.region!r}" if self.region else ""
            raise NoKey(
                f"{self.auth_url}: the catalog has no {self.interface} endpoint of a {_SERVICE_TYPE} service{region}; "
                "set barbican_endpoint"
            )
        return found[0]

    def _is_here(self, endpoint: dict[str, Any]) -> bool:
        return not self.region or self.region in (endpoint.get("region_id"), endpoint.get("region"))


_MEANINGS = {
    HTTPStatus.UNAUTHORIZED: "says that our token is none",
    HTTPStatus.FORBIDDEN: "says that our user may not read it; it needs the role creator, or to be on its ACL",
    HTTPStatus.NOT_FOUND: "says that there is no such secret",
    HTTPStatus.NOT_ACCEPTABLE: "says that it is no secret of bytes; store it as application/octet-stream",
}
_TOKEN_MEANINGS = {
    HTTPStatus.UNAUTHORIZED: "says that our user or password is wrong",
    HTTPStatus.NOT_FOUND: "says that there is no Keystone; check auth_endpoint",
}
