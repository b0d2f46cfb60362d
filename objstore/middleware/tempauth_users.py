"""The users of tempauth, as the ini file declares them, and their table kept up to date while the server runs.

    user_<account>_<user> = <key> [group ...] [storage_url]
    user64_<account in base64>_<user in base64> = ...       padding dropped; for names with blanks or underscores

A word with :// is the storage URL. Groups .admin, .reseller_admin and .reseller_reader carry rights. Source: A5.20.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from objstore.config.errors import ConfigError
from objstore.config.inifile import IniFile, read_ini
from objstore.config.settings import Problem
from objstore.core.errors import DomainError

PREFIXES = ("user_", "user64_")
ADMIN = ".admin"
_EXPECTED = "<key> [group ...] [storage_url]"
CHECK_INTERVAL_S = 1.0


class UsersAway(DomainError):
    """Whoever knows the users does not answer: nothing is known about one."""


@dataclass(frozen=True, slots=True)
class User:
    """binding: what a token must carry to be this user's; it changes with the key and does not tell it."""

    account: str
    name: str
    key: str
    groups: tuple[str, ...]
    storage_url: str | None
    binding: str

    @property
    def identity(self) -> str:
        return f"{self.account}:{self.name}"

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.groups

    def granted(self, prefixes: Collection[str]) -> str:
        """Every group the user is in, comma separated: account, account:user, its own, and for an admin the storage
        accounts it owns under each reseller prefix.

        Under an empty prefix the account's name is a storage account too: only admins are then in that group.
        """
        groups = [self.account, self.identity, *(group for group in self.groups if group != ADMIN)]
        if not self.is_admin and "" in prefixes:
            groups.remove(self.account)
        if self.is_admin:
            owned = [prefix + self.account for prefix in prefixes]
            if self.storage_url:
                owned.append(self.storage_url.rstrip("/").rpartition("/")[2])
            groups += [account for account in owned if account not in groups]
        return ",".join(groups)


class Users(Protocol):
    """A store of users other than the ini file (middleware/ldap)."""

    def find(self, identity: str, *, fresh: bool = False) -> User | None:
        """A user by account:user, as it is now (fresh) or was a moment ago; its key is not told. Raises UsersAway."""

    def is_right(self, user: User, key: str) -> bool:
        """Whether a key is the user's. Raises UsersAway."""


def parse_users(pairs: Mapping[str, str]) -> tuple[dict[str, User], list[Problem]]:
    """Users by identity, and what is wrong with the user lines that cannot be read. Other keys are skipped."""
    users: dict[str, User] = {}
    problems: list[Problem] = []
    for option, value in pairs.items():
        if not option.startswith(PREFIXES):
            continue
        try:
            user = _user(option, value)
        except ValueError as error:
            # The value holds a key: it is never repeated.
            problems.append(Problem(option, "***", _EXPECTED, str(error)))
        else:
            users[user.identity] = user
    return users, problems


def _user(option: str, value: str) -> User:
    account, name = _names(option)
    key, *words = value.split() or [""]
    if not key:
        raise ValueError("the key is missing")
    urls = [word for word in words if "://" in word]
    groups = tuple(word for word in words if "://" not in word)
    binding = hmac.new(key.encode(), f"objstore token of {account}:{name}".encode(), hashlib.sha256).hexdigest()[:32]
    return User(account, name, key, groups, urls[0] if urls else None, binding)


def _names(option: str) -> tuple[str, str]:
    kind, _, rest = option.partition("_")
    account, _, name = rest.partition("_")
    if kind == "user64":
        account, name = _unbase64(account), _unbase64(name)
    if not account or not name:
        raise ValueError("the option must name an account and a user: user_<account>_<user>")
    if any(character in account + name for character in ",\n\r\0") or ":" in account:
        raise ValueError("names of accounts and users may not hold commas or control characters, accounts no colon")
    return account, name


def _unbase64(text: str) -> str:
    try:
        padded = text.replace("-", "+") + "=" * (-len(text) % 4)
        return base64.b64decode(padded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeError):
        raise ValueError("user64_ wants both names in base64 of UTF-8") from None


def option_for(account: str, name: str) -> str:
    """The option that declares a user: plain where the names allow it, user64_ elsewhere."""
    if account.isalnum() and account.isascii() and name.replace("_", "").isalnum() and name.isascii():
        return f"user_{account}_{name}"
    encoded = (base64.b64encode(part.encode()).decode().rstrip("=") for part in (account, name))
    return "user64_" + "_".join(encoded)


class Source:
    """Where a section of an ini file (or of a conf.d directory) stands, to be read again when it changes.

    section: found by its content, for PasteDeploy does not tell a factory its name.
    """

    def __init__(self, path: Path, section: str) -> None:
        self.path = path
        self.section = section

    @classmethod
    def find(cls, file: str, local_conf: Mapping[str, str]) -> Source | None:
        """The section that uses tempauth and has these options; None when there is no such file or section."""
        if not file:
            return None
        try:
            ini = read_ini(Path(file))
        except ConfigError:
            return None
        for name in ini.sections:
            pairs = ini.pairs(name)
            has_options = all(pairs.get(key) == value for key, value in local_conf.items())
            if has_options and pairs.get("use", "").endswith("#tempauth"):
                return cls(Path(file), name)
        return None

    def signature(self) -> tuple[tuple[int, int, int], ...]:
        """Changes when a file does. Raises OSError."""
        files = sorted(self.path.glob("*.conf")) if self.path.is_dir() else [self.path]
        return tuple((status.st_mtime_ns, status.st_size, status.st_ino) for status in map(os.stat, files))

    def pairs(self) -> dict[str, str]:
        """Raises ConfigError, and LookupError when the section is gone."""
        ini: IniFile = read_ini(self.path)
        if self.section not in ini.sections:
            raise LookupError(f"no section [{self.section}]")
        return ini.pairs(self.section)


class LiveSection:
    """A section whose options follow the file: looked at once a second at most, and only while somebody asks.

    When the file cannot be read or used, the last good value stays and the reason is logged once.
    """

    def __init__(
        self,
        source: Source | None,
        apply: Callable[[Mapping[str, str]], None],
        *,
        now: Callable[[], float],
        logger: logging.Logger,
    ) -> None:
        """apply: takes the new options; raises ConfigError when they cannot be used."""
        self._source = source
        self._apply = apply
        self._now = now
        self._logger = logger
        self._checked = now()
        self._seen = self._signature()

    def refresh(self) -> None:
        now = self._now()
        if self._source is None or 0 <= now - self._checked < CHECK_INTERVAL_S:
            return
        self._checked = now
        signature = self._signature()
        if signature is None or signature == self._seen:
            return
        self._seen = signature
        try:
            self._apply(self._source.pairs())
        except (ConfigError, LookupError, OSError) as error:
            self._logger.error(
                "file=%s section=%s: changed but not usable, the users it had stay: %s",
                self._source.path,
                self._source.section,
                error,
            )
        else:
            self._logger.info("file=%s section=%s: users read again", self._source.path, self._source.section)

    def _signature(self) -> tuple[tuple[int, int, int], ...] | None:
        if self._source is None:
            return None
        try:
            return self._source.signature()
        except OSError:
            return None
