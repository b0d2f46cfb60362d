"""Reseller prefixes, such as `AUTH_`: which auth filter is responsible for an account, and what all of them ask alike.

An auth filter is responsible for the accounts whose names begin with one of its prefixes. What a user may do there is
the filter's own affair (tempauth_access, keystone/access); the rest of the decision is the same for all, and is here.
Source: features A1.6, A2.6; docs.openstack.org/swift/latest/overview_auth.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from objstore.core.names import ClientPath
from objstore.http.access import container_acl
from objstore.http.environ import OWNER, client_path_of
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus
from objstore.middleware.refusal import refusal

IsGranted = Callable[[Request, ClientPath, str], bool]
"""(request, its path, the reseller prefix of its account): whether the user who asks may do this. The path has an
account. A grant to the account's owner sets OWNER in the environ."""


class ResellerPrefixes:
    """The prefixes of one auth filter. One may be empty: then every account has a prefix."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        self._longest_first = sorted(prefixes, key=len, reverse=True)

    def prefix_of(self, account: str) -> str | None:
        """The longest prefix that the account's name begins with; None when the account is another filter's."""
        return next((prefix for prefix in self._longest_first if account.startswith(prefix)), None)

    def authorize(self, request: Request, is_granted: IsGranted) -> Response | None:
        """None lets the request through; a response refuses it. OWNER is set, to False unless is_granted sets it.

        Referrers that the container's ACL names may read objects, and list them where the ACL says so; preflights are
        for everybody. 404 without an account, 401 or 403 otherwise.
        """
        environ = request.environ
        environ[OWNER] = False
        path = client_path_of(environ)
        if path is None or path.account is None:
            return page(HTTPStatus.NOT_FOUND)
        if request.method == "OPTIONS":
            return None
        prefix = self.prefix_of(path.account)
        if prefix is None:
            return refusal(environ)
        if is_granted(request, path, prefix):
            return None
        acl = container_acl(environ)
        if acl.admits_referrer(environ.get("HTTP_REFERER")) and (path.obj is not None or acl.allows_listing):
            return None
        return refusal(environ)
