"""The options of [filter:tempauth], and what they add up to: prefixes, their rules, and the keys of tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from objstore.config.settings import Kind, Problem, Settings, boolean, choice, number, setting, text
from objstore.middleware.tempauth_tokens import fernet_key
from objstore.middleware.tempauth_users import PREFIXES, User, parse_users

KEY_PREFIX = "fernet_key_"
_REQUIRE_GROUP = "_require_group"


def _reseller_prefixes(value: str) -> tuple[str, ...]:
    """'AUTH, SERVICE_' -> ('AUTH_', 'SERVICE_'); '' in quotes is the empty prefix; a repeated one counts once."""
    found: list[str] = []
    for item in value.split(",") if value.strip() else [""]:
        name = item.strip().strip("'\"").rstrip("_")
        prefix = f"{name}_" if name else ""
        if prefix not in found:
            found.append(prefix)
    return tuple(found)


def _fernet_keys(value: str) -> tuple[bytes, ...]:
    return tuple(fernet_key(item.strip()) for item in value.split(",") if item.strip())


reseller_prefixes = Kind(_reseller_prefixes, "prefixes separated by commas")
_keys = Kind(_fernet_keys, "Fernet keys (32 bytes in base64url) separated by commas")


@dataclass(frozen=True)
class TempauthSettings(Settings):
    """Users are lines of the form user_<account>_<user> = <key> [group ...] [storage_url], or user64_ with both names
    in base64. A prefix's own rule is <PREFIX>_require_group = <group>."""

    WILDCARDS: ClassVar[tuple[str, ...]] = (*PREFIXES, KEY_PREFIX)

    reseller_prefix: tuple[str, ...] = setting(
        "AUTH", reseller_prefixes, "Storage accounts begin with one of these and an underscore; tokens with the first."
    )
    require_group: str = setting(
        "", text, "A group that X-Auth-Token or X-Service-Token must have, for prefixes without a rule of their own."
    )
    auth_prefix: str = setting("/auth/", text, "The path of token requests: <auth_prefix>v1.0.")
    token_life: int = setting("86400", number(60), "Seconds for which a token is valid.")
    fernet_keys: tuple[bytes, ...] = setting(
        "",
        _keys,
        "The first makes tokens, all are accepted: to rotate, put a new one in front, later drop the last. "
        "Empty: a key made from the hash secrets of swift.conf.",
    )
    active_fernet_key_id: str = setting(
        "", text, "As in Swift: the id of the fernet_key_<id> line whose key makes tokens.", advanced=True
    )
    accept_unbound_tokens: bool = setting(
        "false",
        boolean,
        "Accept Fernet tokens made by a Swift proxy with the same keys; these stay valid when a user's key is changed.",
        advanced=True,
    )
    storage_url_scheme: str = setting(
        "default", choice("default", "http", "https"), "Scheme of X-Storage-Url; default: that of the request."
    )
    allow_overrides: bool = setting(
        "true", boolean, "Let filters before this one authorize a request (temporary URLs).", advanced=True
    )

    @classmethod
    def from_pairs(
        cls, pairs: Mapping[str, str], *, ignore: frozenset[str] = frozenset()
    ) -> tuple[Self, list[Problem]]:
        rules = {
            key: value for key, value in pairs.items() if key.endswith(_REQUIRE_GROUP) and not key.startswith(PREFIXES)
        }
        rest = {key: value for key, value in pairs.items() if key not in rules}
        settings, problems = super().from_pairs(rest, ignore=ignore)
        settings = dataclasses.replace(settings, extra={**settings.extra, **rules})
        problems += parse_users(settings.extra)[1] + _key_problems(settings) + _rule_problems(settings, rules)
        return settings, problems

    def users(self) -> dict[str, User]:
        return parse_users(self.extra)[0]

    def required_group(self, prefix: str) -> str:
        """The group that accounts under a prefix demand, '' for none."""
        return self.extra.get(prefix.rstrip("_") + _REQUIRE_GROUP, self.require_group).strip()

    def sealing_keys(self) -> list[bytes]:
        """Keys of tokens, the one that makes them first; empty when none is configured."""
        by_id = {
            key[len(KEY_PREFIX) :]: value.strip() for key, value in self.extra.items() if key.startswith(KEY_PREFIX)
        }
        first = [by_id.pop(self.active_fernet_key_id)] if self.active_fernet_key_id in by_id else []
        keys = [*map(fernet_key, first), *self.fernet_keys, *map(fernet_key, by_id.values())]
        return list(dict.fromkeys(keys))


def _key_problems(settings: TempauthSettings) -> list[Problem]:
    found = []
    for option, value in settings.extra.items():
        if option.startswith(KEY_PREFIX):
            try:
                fernet_key(value.strip())
            except ValueError as error:
                found.append(Problem(option, "***", "a Fernet key (32 bytes in base64url)", str(error)))
    active = settings.active_fernet_key_id
    if active and KEY_PREFIX + active not in settings.extra:
        found.append(Problem("active_fernet_key_id", active, f"the id of a line {KEY_PREFIX}<id>"))
    return found


def _rule_problems(settings: TempauthSettings, rules: Mapping[str, str]) -> list[Problem]:
    known = {prefix.rstrip("_") + _REQUIRE_GROUP for prefix in settings.reseller_prefix}
    return [
        Problem(option, value, "the rule of a prefix that stands in reseller_prefix")
        for option, value in rules.items()
        if option not in known
    ]
