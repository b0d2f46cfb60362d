"""Who may do what under tempauth: the groups of the user against the account, its ACL and the container's ACL.

The proxy calls authorize() once it knows the container's ACL; the user's groups stand in REMOTE_USER by then.
Source: features A1.6, A2.6, A5.20.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.core import acl
from objstore.core.names import ClientPath
from objstore.http.access import container_acl
from objstore.http.environ import INFO, OWNER, REMOTE_USER, Environ
from objstore.http.request import Request
from objstore.http.response import Response
from objstore.middleware.reseller import ResellerPrefixes

RESELLER_ADMIN, RESELLER_READER = ".reseller_admin", ".reseller_reader"
CORE_SYSMETA = "core-access-control"
_READS = ("GET", "HEAD")


class Access:
    """required: by reseller prefix, the group that its accounts demand, '' for none."""

    def __init__(self, required: Mapping[str, str]) -> None:
        self._required = required
        self._prefixes = ResellerPrefixes(required)

    def authorize(self, request: Request) -> Response | None:
        """None lets the request through; a response refuses it. Sets OWNER."""
        return self._prefixes.authorize(request, self._is_granted)

    def _is_granted(self, request: Request, path: ClientPath, prefix: str) -> bool:
        environ = request.environ
        user = environ.get(REMOTE_USER)
        if not user:
            return False
        groups = frozenset(user.split(","))
        if self._is_granted_by_groups(request, path, prefix, groups):
            return True
        return not groups.isdisjoint(container_acl(environ).groups)

    def _is_granted_by_groups(self, request: Request, path: ClientPath, prefix: str, groups: frozenset[str]) -> bool:
        """Rights that come from the user's own groups, or from the account's ACL."""
        assert path.account is not None
        environ, method = request.environ, request.method
        bare = path.account[len(prefix) :]
        if bare and not bare.startswith("."):
            if RESELLER_ADMIN in groups:
                environ[OWNER] = True
                return True
            if RESELLER_READER in groups and method in _READS:
                return True
        if path.container is None and method in ("PUT", "DELETE"):
            return False  # Making and deleting accounts is for reseller admins.
        required = self._required[prefix]
        if path.account in groups and (not required or required in groups):
            environ[OWNER] = True
            return True
        return self._is_granted_by_account(environ, path, method, groups)

    def _is_granted_by_account(self, environ: Environ, path: ClientPath, method: str, groups: frozenset[str]) -> bool:
        info = environ.get(INFO)
        if info is None:
            return False
        stored = info.account(environ, path.account).sysmeta.get(CORE_SYSMETA)
        if not stored:
            return False
        levels = acl.parse_account(stored)
        if groups & levels.admin:
            environ[OWNER] = True
            return True
        if groups & levels.read_write and (path.container is not None or method in _READS):
            return True
        return bool(groups & levels.read_only) and method in _READS
