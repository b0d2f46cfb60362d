"""Access control lists: v1 of containers (a comma list) and v2 of accounts (JSON). Pure rules, no requests.

A v1 list is text: `account`, `account:user` and other group names; `.r:host`, `.r:.domain`, `.r:*` and `.r:-host` for
referrers, of which the last that matches decides; `.rlistings` lets those referrers list too. It is cleaned when it is
set, and stored and shown in that form. Referrers may only read. Source: features A1.6, A2.6; formats 7.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from objstore.core.errors import BadRequest

REFERRER = ".r:"
LISTINGS = ".rlistings"
ADMIN, READ_WRITE, READ_ONLY = "admin", "read-write", "read-only"
_LEVELS = (ADMIN, READ_WRITE, READ_ONLY)
_REFERRER_SPELLINGS = frozenset({".r", ".ref", ".referer", ".referrer"})
_UNKNOWN_HOST = "unknown"


@dataclass(frozen=True, slots=True)
class ContainerAcl:
    """A parsed v1 list. referrers are in order, without `.r:`; groups is everything else."""

    referrers: tuple[str, ...] = ()
    groups: frozenset[str] = frozenset()

    @property
    def allows_listing(self) -> bool:
        return LISTINGS in self.groups

    def admits_referrer(self, referrer: str | None) -> bool:
        return bool(self.referrers) and referrer_allowed(referrer, self.referrers)


def clean(text: str, *, for_writing: bool) -> str:
    """The stored form of a v1 list: no blanks, no empty entries, one spelling of referrers. Raises BadRequest."""
    entries = (entry.strip() for entry in text.split(","))
    return ",".join(_clean_entry(entry, for_writing) for entry in entries if entry)


def _clean_entry(entry: str, for_writing: bool) -> str:
    designation, colon, value = (part.strip() for part in entry.partition(":"))
    if not colon or not designation.startswith("."):
        return entry
    if designation not in _REFERRER_SPELLINGS:
        raise BadRequest(f"Unknown designator {designation!r} in ACL: {entry!r}")
    if for_writing:
        raise BadRequest(f"Referrers not allowed in write ACL: {entry!r}")
    negation = "-" if value.startswith("-") else ""
    host = value.removeprefix("-").strip()
    if host.startswith("*") and host != "*":
        host = host[1:].strip()
        if host.startswith(("*", "-")):
            # One character less would make everybody, or nobody, of what is no host.
            raise BadRequest(f"{value!r} is no host or domain in ACL: {entry!r}")
    if not host or host == ".":
        raise BadRequest(f"No host/domain value after referrer designation in ACL: {entry!r}")
    return f"{REFERRER}{negation}{host}"


@lru_cache(maxsize=1024)
def parse(text: str | None) -> ContainerAcl:
    """A cleaned v1 list; None and '' allow nothing."""
    if not text:
        return ContainerAcl()
    entries = text.split(",")
    return ContainerAcl(
        tuple(entry[len(REFERRER) :] for entry in entries if entry.startswith(REFERRER)),
        frozenset(entry for entry in entries if entry and not entry.startswith(REFERRER)),
    )


def referrer_allowed(referrer: str | None, rules: Iterable[str]) -> bool:
    """Whether the host of a Referer header may read; the last rule that speaks of it decides."""
    host = _host_of(referrer)
    allowed = False
    for rule in rules:
        pattern = rule.removeprefix("-")
        if pattern == "*" or pattern == host or (pattern.startswith(".") and host.endswith(pattern)):
            allowed = not rule.startswith("-")
    return allowed


def _host_of(referrer: str | None) -> str:
    try:
        return urlsplit(referrer or "").hostname or _UNKNOWN_HOST
    except ValueError:
        return _UNKNOWN_HOST


@dataclass(frozen=True, slots=True)
class AccountAcl:
    """A parsed v2 list: who may administer, write and read an account. Names are groups of the auth system."""

    admin: frozenset[str] = frozenset()
    read_write: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()


_NOBODY = AccountAcl()


def clean_account(text: str) -> str:
    """The stored form of a v2 list: compact JSON, keys sorted; '' when it grants nothing. Raises BadRequest."""
    if not text.strip():
        return ""
    levels = {level: names for level, names in _account_levels(text).items() if names}
    return json.dumps(levels, separators=(",", ":"), sort_keys=True) if levels else ""


@lru_cache(maxsize=1024)
def parse_account(text: str | None) -> AccountAcl:
    """A stored v2 list. What cannot be read allows nothing."""
    if not text:
        return _NOBODY
    try:
        levels = _account_levels(text)
    except BadRequest:
        return _NOBODY
    return AccountAcl(*(frozenset(levels.get(level, ())) for level in _LEVELS))


def _account_levels(text: str) -> Mapping[str, list[str]]:
    try:
        levels = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest("X-Account-Access-Control is not JSON") from None
    if not isinstance(levels, dict):
        raise BadRequest("X-Account-Access-Control: expected a JSON object")
    for level, names in levels.items():
        if level not in _LEVELS:
            raise BadRequest(f"X-Account-Access-Control: unknown key {level!r}; expected one of {', '.join(_LEVELS)}")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadRequest(f"X-Account-Access-Control: {level!r} must be a list of names")
    return levels
