"""authtoken: asks Keystone who a token's user is, and puts the answer into the environ (features A5.21).

X-Auth-Token (or X-Storage-Token) and X-Service-Token are each looked up in the cache, else at Keystone. What a client
says about who it is has been removed by then (http/identity.py). A bad token is 401 here, or goes on as nobody's where
delay_auth_decision leaves the decision to keystoneauth. While Keystone is away a token that is not cached gets 503 and
Retry-After: it is neither good nor bad.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from objstore.config.boot import settings_for
from objstore.config.settings import reads
from objstore.core.headers import environ_key
from objstore.http.environ import AUTHORIZE_OVERRIDE, CACHE, REMOTE_USER, Environ, StartResponse, WSGIApp
from objstore.http.identity import Identity, forget, tell
from objstore.http.outgoing import Outgoing
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus
from objstore.middleware.keystone.authtoken_settings import AuthtokenSettings
from objstore.middleware.keystone.cache import TokenCache
from objstore.middleware.keystone.service import Keystone, KeystoneAway
from objstore.runtime.single_flight import GivenUp, SingleFlight

_RETRY_AFTER_S = 5
_TOKEN_KEYS = (environ_key("x-auth-token"), environ_key("x-storage-token"))
_SERVICE_KEY = environ_key("x-service-token")


class Authtoken:
    def __init__(
        self,
        app: WSGIApp,
        settings: AuthtokenSettings,
        keystone: Keystone,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._delays = settings.delay_auth_decision
        self._service_roles = frozenset(role.lower() for role in settings.service_token_roles)
        self._requires_service_roles = settings.service_token_roles_required
        self._challenge = f'Keystone uri="{settings.public_url}"'
        self._keystone = keystone
        self._cache = TokenCache(
            (settings.memcache_secret_key or settings.password).encode(), settings.token_cache_time, now, monotonic
        )
        self._now = now
        self._asked: SingleFlight[Identity | None] = SingleFlight()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        forget(environ)
        body: Iterable[bytes]
        if environ.get(AUTHORIZE_OVERRIDE) or environ.get(REMOTE_USER):
            # A filter before this one knows who asks: a token beside that is not Keystone's business.
            body = self._app(environ, start_response)
            return body
        try:
            refusal = self._identify(environ)
        except (KeystoneAway, GivenUp):
            refusal = page(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The identity service does not answer; the token could not be checked.",
                {"retry-after": str(_RETRY_AFTER_S)},
            )
        if refusal is not None:
            if environ["REQUEST_METHOD"] == "HEAD":
                refusal.body = b""
            return refusal(environ, start_response)
        body = self._app(environ, self._with_challenge(start_response))
        return body

    def _identify(self, environ: Environ) -> Response | None:
        """Put who asks into the environ. None lets the request go on; a response refuses it. Raises KeystoneAway."""
        token = next((environ[key] for key in _TOKEN_KEYS if environ.get(key)), "")
        service_token = environ.get(_SERVICE_KEY, "")
        service = self._service(environ, service_token) if service_token else None
        may_be_over = service is not None and service.has_role(self._service_roles)
        user = self._whose(environ, token, allow_expired=may_be_over) if token else None
        if not self._delays and (user is None or (service_token and service is None)):
            return page(
                HTTPStatus.UNAUTHORIZED,
                "A token is needed, and this is none or is over.",
                {"www-authenticate": self._challenge},
            )
        tell(environ, user)
        if service_token:
            tell(environ, service, is_service=True)
        return None

    def _service(self, environ: Environ, token: str) -> Identity | None:
        service = self._whose(environ, token)
        if service is not None and self._requires_service_roles and not service.has_role(self._service_roles):
            return None
        return service

    def _whose(self, environ: Environ, token: str, *, allow_expired: bool = False) -> Identity | None:
        """None for a token that is worth nothing. Raises KeystoneAway, GivenUp."""
        if not (token.isascii() and token.isprintable() and " " not in token):
            return None
        name = self._cache.name(token, allow_expired=allow_expired)
        if self._cache.is_bad(name):
            return None
        shared = environ.get(CACHE)
        identity = self._cache.find(name, shared)
        if identity is None:
            identity = self._asked.run(name, lambda: self._keystone.validate(token, allow_expired=allow_expired))
            self._cache.keep(name, identity, shared, allow_expired=allow_expired)
        if identity is not None and not allow_expired and identity.expires <= self._now():
            return None
        return identity

    def _with_challenge(self, start_response: StartResponse) -> StartResponse:
        """start_response that tells whoever is refused further in where tokens come from."""

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if status.startswith("401"):
                headers = [*headers, ("Www-Authenticate", self._challenge)]
            return start_response(status, headers, *exc_info)

        return start


@reads(AuthtokenSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Authtoken]:
    settings = settings_for(AuthtokenSettings, global_conf, local_conf)
    outgoing = Outgoing(
        trust=settings.trust,
        connect_timeout_s=settings.http_connect_timeout,
        timeout_s=settings.http_request_timeout,
    )
    keystone = Keystone(
        outgoing,
        settings.auth_url,
        settings.credentials,
        timeout_s=settings.http_request_timeout,
        tries=1 + settings.http_request_max_retries,
    )
    return lambda app: Authtoken(app, settings, keystone)
