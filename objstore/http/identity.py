"""Who asks, as an identity service confirmed it: a value in the environ, and headers for filters of others.

authtoken puts it there and keystoneauth judges by it; the headers are the contract of Keystone's own middleware
(docs.openstack.org/keystonemiddleware/latest/middlewarearchitecture.html) and are never believed here: whatever a
client sends under these names is removed, and none of them goes on to a backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from objstore.core.headers import environ_key
from objstore.core.names import wsgi_of
from objstore.http.environ import Environ

IDENTITY = "objstore.identity"
"""Identity of X-Auth-Token; absent when there is none."""
SERVICE_IDENTITY = "objstore.service_identity"
"""Identity of X-Service-Token."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and what the token is for. Project and domain fields are '' when it is for none.

    roles: names, sorted. expires: seconds since 1970. is_system: the token is for the whole deployment.
    """

    user_id: str
    user_name: str
    user_domain_id: str
    user_domain_name: str
    roles: tuple[str, ...]
    expires: float
    project_id: str = ""
    project_name: str = ""
    project_domain_id: str = ""
    project_domain_name: str = ""
    domain_id: str = ""
    domain_name: str = ""
    is_system: bool = False

    def has_role(self, wanted: frozenset[str]) -> bool:
        """wanted: names in lower case. Keystone does not tell names of roles apart by their case."""
        return any(role.lower() in wanted for role in self.roles)


_FACTS = ("user_id", "user_name", "user_domain_id", "user_domain_name")
_SCOPE = ("project_id", "project_name", "project_domain_id", "project_domain_name", "domain_id", "domain_name")


def _header(fact: str, prefix: str = "") -> str:
    return f"x-{prefix}{fact.replace('_', '-')}"


_OF_OTHERS = (
    "x-service-catalog",
    "x-is-admin-project",
    "x-tenant-id",
    "x-tenant-name",
    "x-tenant",
    "x-user",
    "x-role",
    "openstack-system-scope",
)
"""Further names of that contract, some long deprecated: nobody here sets them, and no client may."""

IDENTITY_HEADERS = frozenset(
    [_header(fact, prefix) for prefix in ("", "service-") for fact in (*_FACTS, *_SCOPE, "roles", "identity_status")]
    + list(_OF_OTHERS)
)
"""Lower-case names."""
_KEYS = frozenset(map(environ_key, IDENTITY_HEADERS))
_STATUS, _SERVICE_STATUS = environ_key("x-identity-status"), environ_key("x-service-identity-status")


def forget(environ: Environ) -> None:
    """Remove whatever a client says about who it is."""
    if not _KEYS.isdisjoint(environ):
        for key in _KEYS & environ.keys():
            del environ[key]


def tell(environ: Environ, identity: Identity | None, *, is_service: bool = False) -> None:
    """Put an identity into the environ; None: a token came and is worth nothing (any more)."""
    if identity is None:
        environ[_SERVICE_STATUS if is_service else _STATUS] = "Invalid"
        return
    environ[SERVICE_IDENTITY if is_service else IDENTITY] = identity
    environ.update(_told(identity, is_service))


@lru_cache(maxsize=1024)
def _told(identity: Identity, is_service: bool) -> dict[str, str]:
    """What the headers say, by environ key. The same few thousand users ask again and again."""
    prefix = "service-" if is_service else ""
    facts = {name: getattr(identity, name) for name in (*_FACTS, *_SCOPE)}
    facts["roles"] = ",".join(role for role in identity.roles if "," not in role)
    told = {environ_key(_header(name, prefix)): wsgi_of(value) for name, value in facts.items() if value}
    return {_SERVICE_STATUS if is_service else _STATUS: "Confirmed", **told}
