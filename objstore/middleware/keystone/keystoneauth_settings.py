"""The options of [filter:keystoneauth]: prefixes of accounts, and which roles may do what under each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from objstore.config.settings import Problem, Settings, boolean, names, setting, text
from objstore.middleware.tempauth_settings import reseller_prefixes

_PER_PREFIX = ("operator_roles", "service_roles", "project_reader_roles")
_NO_PREFIX = "''"


@dataclass(frozen=True, slots=True)
class PrefixRoles:
    """Roles that count under one reseller prefix, in lower case. service: empty: no X-Service-Token is asked for."""

    operator: frozenset[str]
    service: frozenset[str]
    reader: frozenset[str]


@dataclass(frozen=True)
class KeystoneauthSettings(Settings):
    """operator_roles, service_roles and project_reader_roles may be given for one prefix alone:
    SERVICE_service_roles = service; for the empty prefix two single quotes stand before the name."""

    reseller_prefix: tuple[str, ...] = setting(
        "AUTH", reseller_prefixes, "Accounts are one of these, an underscore and the id of a Keystone project."
    )
    operator_roles: tuple[str, ...] = setting(
        "admin, swiftoperator", names, "Who has one of these roles on a project may do everything in its account."
    )
    service_roles: tuple[str, ...] = setting(
        "", names, "If there are any, operators also need an X-Service-Token with one of these roles."
    )
    project_reader_roles: tuple[str, ...] = setting(
        "", names, "Who has one of these roles on a project may read everything in its account."
    )
    reseller_admin_role: str = setting(
        "ResellerAdmin", text, "Who has this role on any project may do everything, and make and delete accounts."
    )
    system_reader_roles: tuple[str, ...] = setting(
        "",
        names,
        "Who has one of these roles on anything may read every account: a name that is used for nothing else.",
    )
    default_domain_id: str = setting("default", text, "The domain in which names may stand in ACLs.")
    allow_names_in_acls: bool = setting(
        "true",
        boolean,
        "Names of projects and users count in ACLs, when project, user and account are all in the default domain. "
        "No is better wherever no old ACLs need it: names can be given to others.",
    )
    is_admin: bool = setting(
        "false",
        boolean,
        "Deprecated: a user who has the name of the project, and any role on it, is an operator.",
        advanced=True,
    )
    allow_overrides: bool = setting(
        "true", boolean, "Let filters before this one authorize a request (temporary URLs).", advanced=True
    )

    @classmethod
    def from_pairs(
        cls, pairs: Mapping[str, str], *, ignore: frozenset[str] = frozenset()
    ) -> tuple[Self, list[Problem]]:
        own = {key: value for key, value in pairs.items() if key.endswith(_PER_PREFIX) and key not in _PER_PREFIX}
        rest = {key: value for key, value in pairs.items() if key not in own}
        settings, problems = super().from_pairs(rest, ignore=ignore)
        settings = dataclasses.replace(settings, extra={**settings.extra, **own})
        known = {_key(prefix, option) for prefix in settings.reseller_prefix for option in _PER_PREFIX}
        problems += [
            Problem(key, value, "roles of a prefix that stands in reseller_prefix")
            for key, value in own.items()
            if key not in known
        ]
        return settings, problems

    def roles(self, prefix: str) -> PrefixRoles:
        """prefix: one of reseller_prefix."""
        return PrefixRoles(*(self._roles(prefix, option) for option in _PER_PREFIX))

    def _roles(self, prefix: str, option: str) -> frozenset[str]:
        given = self.extra.get(_key(prefix, option))
        found = getattr(self, option) if given is None else names.parse(given)
        return lower(found)


def lower(roles: tuple[str, ...]) -> frozenset[str]:
    return frozenset(role.lower() for role in roles)


def _key(prefix: str, option: str) -> str:
    return (prefix or _NO_PREFIX) + option
