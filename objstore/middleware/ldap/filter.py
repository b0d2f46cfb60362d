"""ldapauth: tempauth's tokens and rights, with users, passwords and groups out of an LDAP directory.

GET <auth_prefix>v1.0 with X-Auth-User: account:user and the password as X-Auth-Key. A token proves who asks, as
tempauth's does (doc/decisions/0006-tokens.md): rights are those that the directory gives now, asked again every
rights_life seconds. While the directory is away, users that are known go on for so long and others get 503.
"""

from __future__ import annotations

from collections.abc import Callable

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import load_cluster
from objstore.config.errors import ConfigError, located
from objstore.config.settings import Problem, reads
from objstore.http import capabilities
from objstore.http.environ import WSGIApp
from objstore.middleware.ldap.settings import LdapauthSettings
from objstore.middleware.tempauth import Tempauth
from objstore.middleware.tempauth_tokens import derived_key
from objstore.middleware.tempauth_users import Users


@reads(LdapauthSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Tempauth]:
    settings = settings_for(LdapauthSettings, global_conf, local_conf)
    people = _people(settings, global_conf.get("__file__", "") or "configuration")
    capabilities.register("ldapauth", account_acls=True)

    def default_key() -> bytes:
        secrets = load_cluster(swift_dir_of(global_conf)).secrets
        return derived_key(b"ldapauth\0" + secrets.prefix + b"\0" + secrets.suffix)

    return lambda app: Tempauth(app, settings, default_key=default_key, users=people)


def _people(settings: LdapauthSettings, file: str) -> Users:
    """The users of the directory. file: where the settings stand, for errors. Raises ConfigError."""
    try:
        # Here, so that nobody needs the library who does not use the filter.
        from objstore.middleware.ldap.people import People
        from objstore.middleware.ldap.wire import LdapServer
    except ImportError as error:
        missing = Problem("use", "ldapauth", "the package ldap3: pip install 'objstore[ldap]'", str(error))
        raise ConfigError(located([missing], file, "filter:ldapauth")) from None
    host, port = settings.address
    server = LdapServer(
        host,
        port,
        settings.trust.context() if settings.has_tls else None,
        settings.start_tls and not settings.is_ldaps,
        settings.connect_timeout,
        settings.timeout,
    )
    try:
        return People(settings, server)
    except ValueError as error:
        wrong = Problem(
            "user_filter", settings.user_filter, "filters as RFC 4515 has them, here and in group_filter", str(error)
        )
        raise ConfigError(located([wrong], file, "filter:ldapauth")) from None
