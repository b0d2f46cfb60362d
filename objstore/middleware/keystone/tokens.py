"""The token API of Keystone v3, as values: what is asked, and what an answer says. No I/O.

Source: docs.openstack.org/api-ref/identity/v3 "Authentication and token management".
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from objstore.http.identity import Identity

_NAME_CHARACTERS = 255
_ROLES_AT_MOST = 1000


class NotAToken(ValueError):
    """A document that does not say what a token's must. Nothing of it is quoted."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A service user, and the project that its token is for. Each by id, or by name and domain."""

    password: str = field(repr=False)
    user_id: str = ""
    username: str = ""
    user_domain_id: str = ""
    user_domain_name: str = ""
    project_id: str = ""
    project_name: str = ""
    project_domain_id: str = ""
    project_domain_name: str = ""

    def request(self) -> bytes:
        """The body of POST /v3/auth/tokens."""
        user = _named(self.user_id, self.username, self.user_domain_id, self.user_domain_name)
        project = _named(self.project_id, self.project_name, self.project_domain_id, self.project_domain_name)
        identity = {"methods": ["password"], "password": {"user": {**user, "password": self.password}}}
        auth: dict[str, Any] = {"identity": identity}
        if project:
            auth["scope"] = {"project": project}
        return json.dumps({"auth": auth}).encode()


def _named(id_: str, name: str, domain_id: str, domain_name: str) -> dict[str, Any]:
    if id_:
        return {"id": id_}
    if not name:
        return {}
    return {"name": name, "domain": {"id": domain_id} if domain_id else {"name": domain_name}}


def identity_of(body: bytes) -> Identity:
    """The identity in the answer to GET /v3/auth/tokens. Raises NotAToken."""
    try:
        token = json.loads(body)["token"]
        user = token["user"]
        if token.get("application_credential", {}).get("access_rules") is not None:
            # We did not say that we would keep them, so Keystone should not have called the token valid.
            raise NotAToken("a token with access rules, which are not served here")
        project, domain = token.get("project") or {}, token.get("domain") or {}
        return Identity(
            user_id=_text(user, "id"),
            user_name=_text(user, "name"),
            user_domain_id=_text(user["domain"], "id"),
            user_domain_name=_text(user["domain"], "name"),
            roles=_roles(token.get("roles") or []),
            expires=seconds_of(token["expires_at"]),
            project_id=_text(project, "id") if project else "",
            project_name=_text(project, "name") if project else "",
            project_domain_id=_text(project["domain"], "id") if project else "",
            project_domain_name=_text(project["domain"], "name") if project else "",
            domain_id=_text(domain, "id") if domain else "",
            domain_name=_text(domain, "name") if domain else "",
            is_system=(token.get("system") or {}).get("all") is True,
        )
    except NotAToken:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotAToken("not a description of a token") from None


def expiry_of(body: bytes) -> float:
    """The expiry, in Unix seconds, in the answer to POST /v3/auth/tokens. Raises NotAToken."""
    try:
        return seconds_of(json.loads(body)["token"]["expires_at"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotAToken("not a description of a token") from None


def is_refusal(body: bytes) -> bool:
    """Whether the body of a 404 is Keystone's own. That of some other server at a wrong auth_url says nothing about a
    token."""
    try:
        return isinstance(json.loads(body)["error"]["code"], int)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def seconds_of(stamp: str) -> float:
    """'2026-11-07T02:58:43.578887Z' as seconds since 1970. Raises ValueError, TypeError."""
    moment = datetime.datetime.fromisoformat(stamp)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()


def _roles(roles: Any) -> tuple[str, ...]:
    if not isinstance(roles, list) or len(roles) > _ROLES_AT_MOST:
        raise NotAToken("no list of roles, or too long a one")
    return tuple(sorted(_text(role, "name") for role in roles))


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or not value or len(value) > _NAME_CHARACTERS or not value.isprintable():
        raise NotAToken(f"{name}: no name")
    return value
