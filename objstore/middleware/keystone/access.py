"""Who may do what under keystoneauth: the roles of a token on its project, and the container's ACL.

The proxy calls authorize() once it knows the ACL; who asks stands in the environ by then (http/identity.py). ACLs name
ids: `project:user`, `project:*`, `*:user`, `*:*`, and roles on the account's own project. Names count for ids only
among those who are all in the default domain, where they mean what they meant before there were domains.
Source: features A5.21, A2.6; docs.openstack.org/swift/latest/overview_acl.html and overview_auth.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from objstore.core.acl import ContainerAcl
from objstore.core.names import ClientPath
from objstore.http.access import container_acl
from objstore.http.environ import INFO, OWNER, Environ
from objstore.http.identity import IDENTITY, SERVICE_IDENTITY, Identity
from objstore.http.request import Request
from objstore.http.response import Response
from objstore.middleware.keystone.keystoneauth_settings import KeystoneauthSettings, PrefixRoles, lower
from objstore.middleware.reseller import ResellerPrefixes

PROJECT_DOMAIN = "project-domain-id"
"""The system metadata of an account that holds the domain of its project."""
_READS = ("GET", "HEAD")
_ANYBODY = "*"


class Access:
    def __init__(self, settings: KeystoneauthSettings) -> None:
        self._prefixes = ResellerPrefixes(settings.reseller_prefix)
        self._roles = {prefix: settings.roles(prefix) for prefix in settings.reseller_prefix}
        self._reseller_admin = lower((settings.reseller_admin_role,)) if settings.reseller_admin_role else frozenset()
        self._system_readers = lower(settings.system_reader_roles)
        self._default_domain = settings.default_domain_id
        self._allows_names = settings.allow_names_in_acls
        self._same_name_is_operator = settings.is_admin

    def prefix_of(self, account: str) -> str | None:
        """The reseller prefix of an account; None when the account is another filter's."""
        return self._prefixes.prefix_of(account)

    def is_reseller(self, identity: Identity) -> bool:
        """Whether a user administers every account."""
        return identity.has_role(self._reseller_admin)

    def is_own(self, identity: Identity, account: str) -> bool:
        """Whether an account is that of the token's project."""
        prefix = self.prefix_of(account)
        return prefix is not None and bool(identity.project_id) and account == prefix + identity.project_id

    def authorize(self, request: Request) -> Response | None:
        """None lets the request through; a response refuses it. Sets OWNER."""
        return self._prefixes.authorize(request, self._is_granted)

    def _is_granted(self, request: Request, path: ClientPath, prefix: str) -> bool:
        assert path.account is not None
        environ, method = request.environ, request.method
        identity: Identity | None = environ.get(IDENTITY)
        if identity is None:
            return False
        if not path.account[len(prefix) :].startswith("."):
            # Under an empty prefix the system's own accounts, which begin with a dot, are nobody's.
            if self.is_reseller(identity):
                environ[OWNER] = True
                return True
            if method in _READS and identity.has_role(self._system_readers):
                return True
        if path.container is None and method in ("PUT", "DELETE"):
            return False  # Making and deleting accounts is for reseller admins.
        if self.is_own(identity, path.account) and self._is_granted_by_roles(environ, method, prefix, identity):
            return True
        return self._is_granted_by_acl(environ, path.account, identity, container_acl(environ))

    def _is_granted_by_roles(self, environ: Environ, method: str, prefix: str, identity: Identity) -> bool:
        """Rights in the account of one's own project."""
        roles = self._roles[prefix]
        if not _has_service(environ, roles):
            return False
        if identity.has_role(roles.operator) or (self._same_name_is_operator and _is_called_as_project(identity)):
            environ[OWNER] = True
            return True
        return method in _READS and identity.has_role(roles.reader)

    def _is_granted_by_acl(self, environ: Environ, account: str, identity: Identity, rules: ContainerAcl) -> bool:
        if not rules.groups:
            return False
        if not rules.groups.isdisjoint(_pairs((identity.project_id,), (identity.user_id,))):
            return True
        if self.is_own(identity, account) and identity.has_role(_roles_in(rules)):
            return True
        if not self._allows_names or rules.groups.isdisjoint(_named(identity)):
            return False
        return self._are_all_in_default_domain(environ, account, identity)

    def _are_all_in_default_domain(self, environ: Environ, account: str, identity: Identity) -> bool:
        default = self._default_domain
        if identity.user_domain_id != default or (identity.project_id and identity.project_domain_id != default):
            return False
        if self.is_own(identity, account):
            return True
        info = environ.get(INFO)
        # Every account that was made or changed by a token of its project says its domain. One that does not is as old
        # as the ACLs that names are kept for: it was made before there were domains.
        return info is not None and info.account(environ, account).sysmeta.get(PROJECT_DOMAIN, default) == default


def _has_service(environ: Environ, roles: PrefixRoles) -> bool:
    if not roles.service:
        return True
    service: Identity | None = environ.get(SERVICE_IDENTITY)
    return service is not None and service.has_role(roles.service)


def _is_called_as_project(identity: Identity) -> bool:
    return bool(
        identity.roles
        and identity.user_name == identity.project_name
        and identity.user_domain_id == identity.project_domain_id
    )


def _roles_in(rules: ContainerAcl) -> frozenset[str]:
    """Entries that can only be roles."""
    return frozenset(entry.lower() for entry in rules.groups if ":" not in entry and not entry.startswith("."))


def _named(identity: Identity) -> frozenset[str]:
    """The entries that mean a user by names, or by a name and an id."""
    return _pairs((identity.project_id, identity.project_name), (identity.user_id, identity.user_name))


def _pairs(projects: tuple[str, ...], users: tuple[str, ...]) -> frozenset[str]:
    """Every `project:user` that means a user. A name with a colon or a comma, or `*` itself, could be read as something
    else: it means nobody."""
    return frozenset(
        f"{project}:{user}" for project in (_ANYBODY, *_plain(projects)) for user in (_ANYBODY, *_plain(users))
    )


def _plain(names: tuple[str, ...]) -> Iterator[str]:
    return (name for name in names if name and name != _ANYBODY and ":" not in name and "," not in name)
