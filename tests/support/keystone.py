"""A stand-in for Keystone: its v3 token API over real HTTP or HTTPS, with users and tokens as a test makes them.

Source: docs.openstack.org/api-ref/identity/v3 "Authentication and token management".
"""

from __future__ import annotations

import datetime
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from objstore.runtime import green
from tests.support.http import running_server

SERVICE_PASSWORD = "planted-service-password"
_REASONS = {200: "OK", 201: "Created", 204: "No Content", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
_VALIDATORS = {"service", "admin"}


@dataclass
class Token:
    description: dict[str, Any]
    expires: float


@dataclass
class FakeKeystone:
    """users: people who log in themselves, {name: (password, roles)}; object_store: the endpoint that they are told.
    url: of the API without /v3. asked: (method, X-Subject-Token or '') of each request. answer: given instead of
    everything else, as (status, headers, body). hold: called before each answer."""

    url: str = ""
    now: Any = time.time
    life_s: float = 3600.0
    password: str = SERVICE_PASSWORD
    service_roles: tuple[str, ...] = ("service",)
    users: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    object_store: str = ""
    tokens: dict[str, Token] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    answer: tuple[int, list[tuple[str, str]], bytes] | None = None
    hold: Any = None

    def issue(
        self,
        user="alice",
        project="p1",
        roles=("admin",),
        *,
        user_domain="default",
        project_domain="default",
        user_id=None,
        project_id=None,
        life_s=None,
        **more,
    ) -> str:
        """A new token. project None: for no project. Ids are the names with -id unless given."""
        expires = self.now() + (self.life_s if life_s is None else life_s)
        description: dict[str, Any] = {
            "methods": ["password"],
            "user": {"id": user_id or f"{user}-id", "name": user, "domain": _domain(user_domain)},
            "expires_at": _stamp(expires),
            "issued_at": _stamp(self.now()),
            "audit_ids": [secrets.token_urlsafe(16)],
            **more,
        }
        if project is not None:
            description["project"] = {
                "id": project_id or f"{project}-id",
                "name": project,
                "domain": _domain(project_domain),
            }
        if roles:
            description["roles"] = [{"id": f"{role}-id", "name": role} for role in roles]
        token = f"gAAAAA{secrets.token_urlsafe(90)}"
        self.tokens[token] = Token(description, expires)
        return token

    def revoke(self, token: str) -> None:
        del self.tokens[token]

    def validations(self) -> int:
        return sum(method == "GET" for method, _ in self.asked)

    def __call__(self, environ, start_response):
        method = environ["REQUEST_METHOD"]
        body = environ["wsgi.input"].read()
        self.asked.append((method, environ.get("HTTP_X_SUBJECT_TOKEN", "")))
        if self.hold is not None:
            self.hold()
        status, headers, answer = self.answer or self._answer(environ, method, body)
        start_response(f"{status} {_REASONS.get(status, 'Status')}", [*headers, ("Content-Length", str(len(answer)))])
        return [answer]

    def _answer(self, environ, method, body):
        if environ["PATH_INFO"] != "/v3/auth/tokens":
            return _refusal(404, "no such resource")
        if method == "POST":
            return self._authenticate(json.loads(body))
        asker = self._valid(environ.get("HTTP_X_AUTH_TOKEN", ""))
        if asker is None:
            return _refusal(401, "The request you have made requires authentication.")
        if not {role["name"] for role in asker.description.get("roles", ())} & _VALIDATORS:
            return _refusal(403, "You are not authorized to perform the requested action.")
        subject = environ.get("HTTP_X_SUBJECT_TOKEN", "")
        allows_expired = "allow_expired=1" in environ["QUERY_STRING"]
        token = self.tokens.get(subject) if allows_expired else self._valid(subject)
        if token is None:
            return _refusal(404, "Could not find token.")
        if method == "DELETE":
            self.revoke(subject)
            return 204, [], b""
        return _described(200, subject, token)

    def _valid(self, text: str) -> Token | None:
        token = self.tokens.get(text)
        return token if token is not None and token.expires > self.now() else None

    def _authenticate(self, request):
        auth = request["auth"]
        assert auth["identity"]["methods"] == ["password"]
        user = auth["identity"]["password"]["user"]
        if user.get("name") in self.users:
            return self._authenticate_person(user, auth["scope"]["project"])
        if (user.get("name"), user.get("domain"), user["password"]) != ("swift", {"id": "default"}, self.password):
            return _refusal(401, "The request you have made requires authentication.")
        project = auth["scope"]["project"]
        assert project == {"name": "service", "domain": {"id": "default"}}, project
        text = self.issue("swift", "service", self.service_roles)
        return _described(201, text, self.tokens[text])

    def _authenticate_person(self, user, project):
        password, roles = self.users[user["name"]]
        if user["password"] != password:
            return _refusal(401, "The request you have made requires authentication.")
        endpoint = {"id": "e", "interface": "public", "region": "r", "region_id": "r", "url": self.object_store}
        catalog = [{"id": "s", "name": "swift", "type": "object-store", "endpoints": [endpoint]}]
        text = self.issue(user["name"], project["name"], roles, catalog=catalog)
        return _described(201, text, self.tokens[text])


def _described(status, text, token):
    body = json.dumps({"token": token.description}).encode()
    return status, [("X-Subject-Token", text), ("Content-Type", "application/json")], body


def _refusal(code, message):
    body = {"error": {"code": code, "message": message, "title": _REASONS[code]}}
    return code, [("Content-Type", "application/json")], json.dumps(body).encode()


def _domain(name):
    return {"id": name, "name": name.title()}


def _stamp(seconds):
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


@contextmanager
def running_keystone(tls=None, **options) -> Iterator[FakeKeystone]:
    keystone = FakeKeystone(**options)
    with running_server(keystone, tls=tls) as server:
        keystone.url = f"{'https' if tls else 'http'}://{server.host}:{server.port}"
        yield keystone


@contextmanager
def keystone_process(**users: str) -> Iterator[str]:
    """A stand-in in a process of its own, for tests that wait without a hub; its address. users: name to password; each
    is admin of the project asked for."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.keystone", json.dumps(users)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.stdin.close()
            process.wait(60)


def _main() -> None:
    users = {name: (password, ("admin",)) for name, password in json.loads(sys.argv[1]).items()}
    with running_keystone(users=users) as keystone:
        print(keystone.url, flush=True)
        # Until whoever started it closes the pipe, or is gone.
        green.wait_readable(sys.stdin.fileno())


if __name__ == "__main__":
    _main()
