"""The options of [filter:ldapauth]: where the directory is, how users and groups are found in it; and tempauth's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self
from urllib.parse import urlsplit

from objstore.config.settings import Kind, Problem, boolean, decimal, names, number, setting, text
from objstore.http.outgoing import Trust
from objstore.middleware.tempauth_settings import KEY_PREFIX, TempauthSettings
from objstore.middleware.tempauth_users import User

_PORTS = {"ldap": 389, "ldaps": 636}
_FIELD = re.compile(r"\{([^{}]*)\}")


def _url(value: str) -> str:
    if value:
        parts = urlsplit(value)
        if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or parts.path not in ("", "/"):
            raise ValueError("")
        _ = parts.port
    return value


def _template(*fields: str) -> Kind:
    """A text with {fields}: of these, and of no others."""

    def parse(value: str) -> str:
        unknown = [found for found in _FIELD.findall(value) if found not in fields]
        if unknown or "{" in _FIELD.sub("", value) or "}" in _FIELD.sub("", value):
            raise ValueError(f"only {{{'}, {'.join(fields)}}} may stand in braces")
        return value

    return Kind(parse, f"text with {', '.join('{' + field + '}' for field in fields)}")


_ldap_url = Kind(_url, "ldap://host, ldaps://host, with :port where it is another")


@dataclass(frozen=True)
class LdapauthSettings(TempauthSettings):
    """Users and rights come from the directory: a user may log in to an account as member or as administrator, for
    which it is in the directory's group of that name. A prefix's own rule is <PREFIX>_require_group = <group>."""

    WILDCARDS: ClassVar[tuple[str, ...]] = (KEY_PREFIX,)

    ldap_url: str = setting("", _ldap_url, "The directory; ldaps:// speaks TLS from the first byte.")
    start_tls: bool = setting("true", boolean, "With ldap://: start TLS before anything else is sent.")
    allow_plaintext: bool = setting(
        "false",
        boolean,
        "Allow connections without any TLS: passwords then cross the network in clear text.",
        advanced=True,
    )
    cafile: str = setting("", text, "Authorities that sign the directory's certificate, in PEM; empty: the system's.")
    certfile: str = setting("", text, "Our certificate, where the directory asks for one.", advanced=True)
    keyfile: str = setting("", text, "The private key of certfile; empty: certfile has it too.", advanced=True)
    insecure: bool = setting(
        "false", boolean, "Accept any certificate without checking it: for tests only.", advanced=True
    )
    bind_dn: str = setting(
        "", text, "The user as whom people are looked up; empty: anonymously, where the directory allows that."
    )
    bind_password: str = setting("", text, "The password of bind_dn.")
    user_base: str = setting("", text, "Where users are, such as ou=people,dc=example,dc=org.")
    user_filter: str = setting(
        "(uid={user})", _template("user"), "The filter that finds a user's entry; it must match exactly one."
    )
    group_base: str = setting("", text, "Where groups are, such as ou=groups,dc=example,dc=org.")
    group_filter: str = setting(
        "(member={dn})",
        _template("dn", "user"),
        "The filter that finds a user's groups; for posixGroup: (memberUid={user}).",
    )
    group_attribute: str = setting("cn", text, "The attribute that holds a group's name.")
    member_group: str = setting(
        "{account}", _template("account"), "The group of an account's members: they are let in where ACLs name them."
    )
    admin_group: str = setting(
        "{account}-admins", _template("account"), "The group of an account's administrators, who own it."
    )
    reseller_admin_group: str = setting("", text, "The group of those who may do everything; empty: nobody.")
    reseller_reader_group: str = setting("", text, "The group of those who may read everything; empty: nobody.")
    extra_groups: tuple[str, ...] = setting(
        "", names, "Further groups of the directory that count here, for require_group and ACLs."
    )
    identity_attributes: tuple[str, ...] = setting(
        "entryUUID, pwdChangedTime, objectGUID, pwdLastSet",
        names,
        "A token ends when one of these changes in its user's entry.",
        advanced=True,
    )
    rights_life: float = setting(
        "60",
        decimal(0),
        "Seconds until the directory is asked again about a user; one who is removed there keeps access for as long.",
    )
    connect_timeout: float = setting("3", decimal(0.01), "Seconds to connect, TLS included.")
    timeout: float = setting("5", decimal(0.01), "Seconds to wait for the directory's next bytes.")
    connections: int = setting("4", number(1), "Conversations of a worker with the directory at once.")

    @classmethod
    def from_pairs(
        cls, pairs: Mapping[str, str], *, ignore: frozenset[str] = frozenset()
    ) -> tuple[Self, list[Problem]]:
        settings, problems = super().from_pairs(pairs, ignore=ignore)
        problems += [
            Problem(key, "", expected)
            for key, expected in (
                ("ldap_url", "the directory's address"),
                ("user_base", "the DN below which users are"),
                ("group_base", "the DN below which groups are"),
            )
            if not getattr(settings, key) and not any(problem.key == key for problem in problems)
        ]
        if settings.accept_unbound_tokens:
            problems.append(Problem("accept_unbound_tokens", "yes", "no: nothing would end such tokens"))
        if "{user}" not in settings.user_filter:
            problems.append(Problem("user_filter", settings.user_filter, "a filter with {user} in it"))
        if "{account}" not in settings.admin_group or "{account}" not in settings.member_group:
            problems.append(Problem("admin_group", settings.admin_group, "{account} in member_group and admin_group"))
        if bool(settings.bind_dn) != bool(settings.bind_password):
            problems.append(Problem("bind_dn", settings.bind_dn, "bind_dn and bind_password, or neither"))
        if settings.ldap_url and not (settings.has_tls or settings.allow_plaintext):
            problems.append(
                Problem("start_tls", "no", "yes, or ldaps://: passwords would cross the network in the clear")
            )
        if not problems and settings.trust != Trust():
            try:
                settings.trust.context()
            except ValueError as error:
                problems.append(Problem("cafile", settings.cafile, "files that can be used", str(error)))
        return settings, problems

    def users(self) -> dict[str, User]:
        return {}

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.ldap_url)
        return parts.hostname or "", parts.port or _PORTS[parts.scheme]

    @property
    def is_ldaps(self) -> bool:
        return self.ldap_url.startswith("ldaps:")

    @property
    def has_tls(self) -> bool:
        return self.is_ldaps or self.start_tls

    @property
    def trust(self) -> Trust:
        return Trust(self.cafile or None, self.insecure, self.certfile or None, self.keyfile or None)
