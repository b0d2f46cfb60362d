"""keystoneauth: what users of Keystone may do with accounts, which belong to its projects (features A5.21).

authtoken, before it, has found out who asks. This filter leaves Access.authorize as the AUTHORIZE service for accounts
under its reseller prefixes, for the proxy to call; accounts of others it leaves to a filter behind it. The domain of a
project is kept with its account (X-Account-Sysmeta-Project-Domain-Id), because ACLs ask for it when nobody of that
project is there to say it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from objstore.config.boot import settings_for
from objstore.config.settings import reads
from objstore.core.errors import InvalidName
from objstore.core.headers import environ_key
from objstore.core.names import ClientPath, quoted, wsgi_of
from objstore.http import capabilities
from objstore.http.environ import (
    AUTHORIZE_OVERRIDE,
    INFO,
    REMOTE_USER,
    RESELLER,
    Environ,
    StartResponse,
    WSGIApp,
    client_path_of,
)
from objstore.http.identity import IDENTITY, Identity
from objstore.http.response import page
from objstore.http.status import HTTPStatus
from objstore.middleware.keystone.access import PROJECT_DOMAIN, Access
from objstore.middleware.keystone.keystoneauth_settings import KeystoneauthSettings
from objstore.middleware.refusal import claim, leave_unclaimed, withdraw_override

_ACCESS_CONTROL = environ_key("x-account-access-control")
_DOMAIN_KEY = environ_key(f"x-account-sysmeta-{PROJECT_DOMAIN}")


class Keystoneauth:
    def __init__(self, app: WSGIApp, settings: KeystoneauthSettings) -> None:
        self._app = app
        self._access = Access(settings)
        self._allows_overrides = settings.allow_overrides

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body: Iterable[bytes]
        if _ACCESS_CONTROL in environ and self._means_account_acl(environ):
            refusal = page(HTTPStatus.NOT_IMPLEMENTED, "Accounts of Keystone projects have no ACLs of their own.")
            return refusal(environ, start_response)
        if environ.get(AUTHORIZE_OVERRIDE) and not self._allows_overrides:
            withdraw_override(environ)
        # Also where this request was let through: what filters ask on its behalf is still authorized (CVE-2026-71191).
        self._prepare(environ)
        body = self._app(environ, start_response)
        return body

    def _means_account_acl(self, environ: Environ) -> bool:
        """Whether a client sets the ACL of an account of ours: taken in silence it would be believed to count."""
        path = _path(environ)
        return (
            path is not None
            and path.account is not None
            and path.container is None
            and environ["REQUEST_METHOD"] in ("PUT", "POST")
            and self._access.prefix_of(path.account) is not None
        )

    def _prepare(self, environ: Environ) -> None:
        path = _path(environ)
        identity: Identity | None = environ.get(IDENTITY)
        if identity is not None and self._access.is_reseller(identity):
            # Now: filters behind ask before the proxy has anything authorized.
            environ[RESELLER] = True
        if path is not None and path.account is not None and self._access.prefix_of(path.account) is None:
            leave_unclaimed(environ)
            return
        claim(environ, self._access.authorize)
        if identity is None or path is None or path.account is None:
            return
        # An id, quoted: what stands here must never read as one of tempauth's groups.
        environ[REMOTE_USER] = f"keystone:{quoted(identity.user_id)}"
        if path.obj is None and environ["REQUEST_METHOD"] in ("PUT", "POST"):
            self._keep_domain(environ, path.account, identity)

    def _keep_domain(self, environ: Environ, account: str, identity: Identity) -> None:
        """Have the account's next change, or its making, say the domain of its project, where nothing says it yet."""
        info = environ.get(INFO)
        if info is None or not self._access.is_own(identity, account):
            return
        if info.account(environ, account).sysmeta.get(PROJECT_DOMAIN) is None:
            environ[_DOMAIN_KEY] = wsgi_of(identity.project_domain_id)


def _path(environ: Environ) -> ClientPath | None:
    """None also for names that are not UTF-8: whoever looks at them next refuses them."""
    try:
        return client_path_of(environ)
    except InvalidName:
        return None


@reads(KeystoneauthSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Keystoneauth]:
    settings = settings_for(KeystoneauthSettings, global_conf, local_conf)
    capabilities.register("keystoneauth")
    return lambda app: Keystoneauth(app, settings)
