"""Who one is, and how that becomes a storage URL and a token: questions and answers, without the network.

PasswordV1     GET <auth URL>, X-Auth-User, X-Auth-Key            Swift API guide, "Authenticate": TempAuth
KeystoneV3     POST <auth URL>/auth/tokens, scoped to a project   Keystone API v3, "Password authentication"
Given          both are known
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from objstore.client.errors import ClientError
from objstore.http.status import is_success


@dataclass(frozen=True, slots=True)
class Answer:
    """headers: names lower case, values text. attempts: how often the request was made."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Question:
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Storage:
    """url: of the account, without a slash at its end."""

    url: str
    token: str


class Login(Protocol):
    @property
    def question(self) -> Question | None:
        """The request that logs in; None where nothing has to be asked."""
        ...

    def storage(self, answer: Answer) -> Storage:
        """Raises ClientError."""
        ...


@dataclass(frozen=True, slots=True)
class PasswordV1:
    url: str
    user: str
    key: str = field(repr=False)

    @property
    def question(self) -> Question:
        return Question("GET", self.url, {"X-Auth-User": self.user, "X-Auth-Key": self.key})

    def storage(self, answer: Answer) -> Storage:
        url, token = answer.headers.get("x-storage-url", ""), answer.headers.get("x-auth-token", "")
        if not is_success(answer.status) or not url or not token:
            raise _not_let_in(self.url, self.user, answer.status)
        return Storage(url.rstrip("/"), token)


@dataclass(frozen=True, slots=True)
class KeystoneV3:
    """Domains and the project: by name, or by id where that is known. region: '' for the first."""

    url: str
    user: str
    password: str = field(repr=False)
    project: Mapping[str, Any]
    user_domain: Mapping[str, str]
    region: str = ""

    @property
    def question(self) -> Question:
        user = {"name": self.user, "domain": dict(self.user_domain), "password": self.password}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": dict(self.project)}}}
        url = self.url.rstrip("/")
        url = url if url.endswith("/v3") else f"{url}/v3"
        return Question("POST", f"{url}/auth/tokens", {"Content-Type": "application/json"}, json.dumps(body).encode())

    def storage(self, answer: Answer) -> Storage:
        token = answer.headers.get("x-subject-token", "")
        if not is_success(answer.status) or not token:
            raise _not_let_in(self.url, self.user, answer.status)
        try:
            url = self._endpoint(json.loads(answer.body)["token"]["catalog"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ClientError(f"{self.url}: the answer to the login has no catalog that can be read") from None
        if not url:
            where = f" in region {self.region}" if self.region else ""
            raise ClientError(f"{self.url}: the catalog has no public endpoint of an object-store{where}")
        return Storage(url.rstrip("/"), token)

    def _endpoint(self, catalog: Any) -> str:
        for service in catalog:
            for endpoint in service["endpoints"] if service.get("type") == "object-store" else ():
                here = endpoint.get("region_id") or endpoint.get("region") or ""
                if endpoint.get("interface") == "public" and self.region in ("", here):
                    return str(endpoint["url"])
        return ""


@dataclass(frozen=True, slots=True)
class Given:
    url: str
    token: str = field(repr=False)

    @property
    def question(self) -> None:
        return None

    def storage(self, answer: Answer) -> Storage:
        return Storage(self.url.rstrip("/"), self.token)


def _not_let_in(url: str, user: str, status: int) -> ClientError:
    return ClientError(f"{url}: user {user} is not let in (answered {status})")
