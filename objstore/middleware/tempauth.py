"""tempauth: users from the ini file, tokens for them, and who may do what (A5.20, A2.6, A1.6).

GET <auth_prefix>v1.0 with X-Auth-User and X-Auth-Key gives a token. Every other request leaves this filter with the
groups of its token in REMOTE_USER and with Access.authorize as the AUTHORIZE service, which the proxy calls once it
knows the ACL that applies. Whom a token names is looked up in the configuration of this very moment: a removed user or
a changed key ends it at once, and groups are never taken from it.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import load_cluster
from objstore.config.errors import ConfigError, located
from objstore.config.settings import reads
from objstore.core import acl
from objstore.core.errors import BadRequest, InvalidName
from objstore.core.names import quoted, text_of
from objstore.http import capabilities
from objstore.http.environ import (
    AUTHORIZE,
    AUTHORIZE_OVERRIDE,
    CACHE,
    OWNER,
    REMOTE_USER,
    RESELLER,
    Environ,
    StartResponse,
    WSGIApp,
    client_path_of,
)
from objstore.http.response import HTML, Response, page
from objstore.http.status import HTTPStatus
from objstore.middleware.refusal import answer, claim, refusal, unauthorized, withdraw_override
from objstore.middleware.tempauth_access import RESELLER_ADMIN, Access
from objstore.middleware.tempauth_settings import TempauthSettings
from objstore.middleware.tempauth_throttle import Throttle
from objstore.middleware.tempauth_tokens import NAMED, Statement, TokenKeys, derived_key, statement_of
from objstore.middleware.tempauth_users import LiveSection, Source, User, Users, UsersAway

_ACCESS_CONTROL = "HTTP_X_ACCOUNT_ACCESS_CONTROL"
_REMOVE_ACCESS_CONTROL = "HTTP_X_REMOVE_ACCOUNT_ACCESS_CONTROL"
_CORE_HEADER = "x-account-sysmeta-core-access-control"
_CORE_KEY = "HTTP_X_ACCOUNT_SYSMETA_CORE_ACCESS_CONTROL"
_KNOWN_TOKENS = 4096
_RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class _Member:
    """A user of the current configuration, with what each request needs of it ready made."""

    user: User
    groups: str


class Tempauth:
    def __init__(
        self,
        app: WSGIApp,
        settings: TempauthSettings,
        *,
        default_key: Callable[[], bytes],
        source: Source | None = None,
        logger: logging.Logger | None = None,
        now: Callable[[], float] = time.time,
        throttle: Throttle | None = None,
        users: Users | None = None,
    ) -> None:
        """default_key: makes the key of tokens when none is configured. source: where the section is read again.
        users: where users are kept; None: in the settings."""
        self._users = users
        self._app = app
        self._now = now
        self._logger = logger or logging.getLogger("objstore.tempauth")
        self._default_key = default_key
        self._throttle = throttle or Throttle()
        self._auth_prefix = "/" + settings.auth_prefix.strip("/") + "/" if settings.auth_prefix.strip("/") else "/"
        self._known: dict[str, Statement] = {}
        self._configure(settings)
        self._live = LiveSection(source, self._reconfigure, now=now, logger=self._logger)

    def _configure(self, settings: TempauthSettings) -> None:
        """All or nothing. Raises ConfigError."""
        keys = TokenKeys(settings.sealing_keys() or [self._default_key()], settings.token_life)
        prefixes = settings.reseller_prefix
        self._settings = settings
        self._keys = keys
        self._prefixes = prefixes
        self._by_length = sorted(prefixes, key=len, reverse=True)
        self._access = Access({prefix: settings.required_group(prefix) for prefix in prefixes})
        self._members = {identity: _Member(user, user.granted(prefixes)) for identity, user in settings.users().items()}
        self._known.clear()

    def _reconfigure(self, pairs: Mapping[str, str]) -> None:
        """New options of the section, all or nothing. Raises ConfigError."""
        known = TempauthSettings.keys()
        own = {
            key: value
            for key, value in pairs.items()
            if key in known or key.startswith(TempauthSettings.WILDCARDS) or key.endswith("_require_group")
        }
        settings, problems = TempauthSettings.from_pairs(own)
        if problems:
            raise ConfigError(located(problems, "tempauth", ""))
        self._configure(settings)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get(AUTHORIZE_OVERRIDE) and not self._settings.allow_overrides:
            withdraw_override(environ)
        if environ.get(AUTHORIZE_OVERRIDE):
            # Only this request was let through: what filters ask on its behalf is still authorized (CVE-2026-71191).
            claim(environ, self._access.authorize)
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        self._live.refresh()
        try:
            return self._call(environ, start_response)
        except UsersAway as error:
            self._logger.error("users cannot be looked up: %s", error)
            away = answer(environ, HTTPStatus.SERVICE_UNAVAILABLE, "Who asks could not be found out; try again.")
            away.headers["retry-after"] = str(_RETRY_AFTER_S)
            return away(environ, start_response)

    def _call(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Raises UsersAway, before anything is asked of the application."""
        if environ["PATH_INFO"].startswith(self._auth_prefix):
            return self._give_token(environ)(environ, start_response)
        token = environ.get("HTTP_X_AUTH_TOKEN", environ.get("HTTP_X_STORAGE_TOKEN"))
        if token and self._is_ours(token):
            groups = self._groups(environ, token)
            if groups is None:
                return refusal(environ)(environ, start_response)
            self._identify(environ, groups)
        claim(environ, self._access.authorize)
        if _ACCESS_CONTROL in environ or _REMOVE_ACCESS_CONTROL in environ:
            try:
                self._take_account_acl(environ)
            except BadRequest as error:
                text = {"content-type": "text/plain; charset=UTF-8"}
                return Response(HTTPStatus.BAD_REQUEST, text, error.reason.encode())(environ, start_response)
        body: Iterable[bytes] = self._app(environ, self._with_account_acl(environ, start_response))
        return body

    # Who asks

    def _is_ours(self, token: str) -> bool:
        return token.startswith(self._prefixes)

    def _identify(self, environ: Environ, groups: str) -> None:
        service = environ.get("HTTP_X_SERVICE_TOKEN")
        if service and self._is_ours(service):
            granted = self._groups(environ, service)
            if granted is not None:
                groups = f"{groups},{granted}"
        environ[REMOTE_USER] = groups
        environ[AUTHORIZE] = self._access.authorize
        if RESELLER_ADMIN in groups and RESELLER_ADMIN in groups.split(","):
            environ[RESELLER] = True

    def _groups(self, environ: Environ, token: str) -> str | None:
        """The groups of a token's user, as they are configured now; None when the token is worth nothing (any more)."""
        statement = self._known.get(token)
        now = self._now()
        if statement is None:
            statement = self._statement(environ, token, now)
        if statement is None or now >= statement.expires:
            self._known.pop(token, None)
            return None
        member = self._member(statement.identity)
        if member is None:
            return None
        if statement.binding:
            return member.groups if hmac.compare_digest(statement.binding, member.user.binding) else None
        return member.groups

    def _member(self, identity: str, *, fresh: bool = False) -> _Member | None:
        """Raises UsersAway."""
        if self._users is None:
            return self._members.get(identity)
        user = self._users.find(identity, fresh=fresh)
        return None if user is None else _Member(user, user.granted(self._prefixes))

    def _statement(self, environ: Environ, token: str, now: float) -> Statement | None:
        for prefix in self._by_length:
            if not token.startswith(prefix):
                continue
            bare = token[len(prefix) :]
            statement = self._keys.read(bare, now)
            if statement is not None:
                if not statement.binding and not self._settings.accept_unbound_tokens:
                    return None
                self._remember(token, statement)
                return statement
            if bare.startswith(NAMED):
                return _named_statement(environ, prefix, token)
        return None

    def _remember(self, token: str, statement: Statement) -> None:
        if len(self._known) >= _KNOWN_TOKENS:
            # The oldest quarter goes: dicts keep the order of insertion.
            for old in list(self._known)[: _KNOWN_TOKENS // 4]:
                del self._known[old]
        self._known[token] = statement

    # Account ACLs

    def _take_account_acl(self, environ: Environ) -> None:
        """Turn the client's header into the system metadata that holds it. Raises BadRequest."""
        text = environ.pop(_ACCESS_CONTROL, None)
        is_removed = environ.pop(_REMOVE_ACCESS_CONTROL, None) is not None
        path = client_path_of(environ)
        if path is None or path.container is not None or environ["REQUEST_METHOD"] not in ("PUT", "POST"):
            return
        environ[_CORE_KEY] = "" if is_removed or text is None else acl.clean_account(text_of(text))

    def _with_account_acl(self, environ: Environ, start_response: StartResponse) -> StartResponse:
        """start_response that shows an account's ACL to its owner."""
        path = client_path_of(environ)
        if path is None or path.account is None or path.container is not None:
            return start_response

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if environ.get(OWNER):
                for name, value in headers:
                    if value and name.lower() == _CORE_HEADER:
                        headers = [*headers, ("X-Account-Access-Control", value)]
                        break
            return start_response(status, headers, *exc_info)

        return start

    # Tokens for keys

    def _give_token(self, environ: Environ) -> Response:
        if environ["REQUEST_METHOD"] != "GET":
            return answer(environ, HTTPStatus.METHOD_NOT_ALLOWED, "Tokens are asked for with GET.")
        version, _, rest = environ["PATH_INFO"][len(self._auth_prefix) :].partition("/")
        if not version:
            return page(HTTPStatus.NOT_FOUND)
        if version == "v1.0":
            name = environ.get("HTTP_X_AUTH_USER") or environ.get("HTTP_X_STORAGE_USER") or ""
            key = environ.get("HTTP_X_AUTH_KEY") or environ.get("HTTP_X_STORAGE_PASS") or ""
            account, colon, user = name.partition(":")
            realm = [account] if colon else ["unknown"]
        elif version == "v1" and rest.count("/") == 1 and rest.endswith("/auth"):
            account = rest.removesuffix("/auth")
            name, key = _credentials_of_account(environ, account)
            _, colon, user = name.partition(":")
            realm = [account]
        else:
            return page(HTTPStatus.BAD_REQUEST, "Expected v1.0 or v1/<account>/auth")
        member = self._member(text_of(f"{account}:{user}"), fresh=True) if colon and user else None
        if not self._is_right(environ, member, key):
            return unauthorized(environ, realm)
        assert member is not None
        return self._token_response(environ, member)

    def _is_right(self, environ: Environ, member: _Member | None, key: str) -> bool:
        """Whether the key is the user's; takes as long for a user that does not exist, and longer after failures."""
        caller = environ.get("REMOTE_ADDR") or ""
        self._throttle.wait(caller)
        if self._users is None:
            expected = member.user.key.encode() if member is not None else b"\0"
            is_right = hmac.compare_digest(expected, key.encode("latin-1", "replace"))
        else:
            is_right = member is not None and _is_text(key) and self._users.is_right(member.user, text_of(key))
        if not is_right:
            self._throttle.failed(caller)
        return is_right

    def _token_response(self, environ: Environ, member: _Member) -> Response:
        fresh = environ.get("HTTP_X_AUTH_NEW_TOKEN", "").lower() in ("true", "1", "yes", "on", "t", "y")
        user = member.user
        # Readers take the second group for the user.
        groups = ",".join(dict.fromkeys([user.account, user.identity, *member.groups.split(",")]))
        bare, seconds = self._keys.issue(groups, user.binding, self._now(), fresh=fresh)
        token = self._prefixes[0] + bare
        headers = {
            "content-type": HTML,
            "x-auth-token": token,
            "x-storage-token": token,
            "x-auth-token-expires": str(seconds),
            "x-storage-url": self._storage_url(environ, user),
        }
        return Response(HTTPStatus.OK, headers)

    def _storage_url(self, environ: Environ, user: User) -> str:
        scheme = self._settings.storage_url_scheme
        if scheme == "default":
            scheme = environ.get("wsgi.url_scheme", "http")
        host = environ.get("HTTP_HOST") or f"{environ.get('SERVER_NAME', 'localhost')}:{environ.get('SERVER_PORT', 80)}"
        url = user.storage_url or f"$HOST/v1/{quoted(self._prefixes[0] + user.account)}"
        return url.replace("$HOST", f"{scheme}://{host}")


def _is_text(wsgi_text: str) -> bool:
    try:
        text_of(wsgi_text)
    except InvalidName:
        return False
    return True


def _credentials_of_account(environ: Environ, account: str) -> tuple[str, str]:
    """(account:user, key) of a request to v1/<account>/auth; ('', key) when the user is another account's."""
    key = environ.get("HTTP_X_STORAGE_PASS") or environ.get("HTTP_X_AUTH_KEY") or ""
    user = environ.get("HTTP_X_STORAGE_USER")
    if user:
        return f"{account}:{user}", key
    name = environ.get("HTTP_X_AUTH_USER") or ""
    return (name if name.partition(":")[0] == account and ":" in name else ""), key


def _named_statement(environ: Environ, prefix: str, token: str) -> Statement | None:
    """The statement that a Swift proxy stored in memcached for a token (formats 7)."""
    cache = environ.get(CACHE)
    value = cache.get(f"{prefix}/token/{token}") if cache is not None else None
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], str):
        return None
    try:
        return statement_of(value[1], int(value[0]))
    except (TypeError, ValueError, OverflowError):
        return None


@reads(TempauthSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Tempauth]:
    settings = settings_for(TempauthSettings, global_conf, local_conf)
    source = Source.find(global_conf.get("__file__", ""), local_conf)
    capabilities.register("tempauth", account_acls=True)

    def default_key() -> bytes:
        secrets = load_cluster(swift_dir_of(global_conf)).secrets
        return derived_key(secrets.prefix + b"\0" + secrets.suffix)

    return lambda app: Tempauth(app, settings, default_key=default_key, source=source)
