"""The users in [filter:tempauth] of a proxy's file, read and edited in place; every other line stays as it is.

user_<account>_<user> = <key> [group ...]
user64_<account>_<user> = …          both names in base64 without padding, for names with _ or other characters
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from objstore.config.errors import ConfigError, ConfigProblem
from objstore.config.factories import used
from objstore.config.inifile import Entry, IniFile, read_ini
from objstore.middleware.tempauth_tokens import fernet_key
from objstore.middleware.tempauth_users import User, option_for, parse_users
from objstore.runtime.fs import Fs

TEMPAUTH = "tempauth"
_TOKEN_KEYS = "fernet_keys"


class UserError(Exception):
    """The change cannot be made; the text is one line for people."""


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user as a new line of the file will have it."""

    account: str
    name: str
    key: str
    groups: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.account}:{self.name}"

    @property
    def value(self) -> str:
        return " ".join((self.key, *self.groups))


class UserFile:
    """The users of one proxy configuration. Changes are written at once, whole, with the mode the file had."""

    def __init__(self, ini: IniFile, section: str, fs: Fs) -> None:
        self._ini = ini
        self._section = section
        self._fs = fs

    @classmethod
    def open(cls, path: Path, fs: Fs) -> UserFile:
        """Raises ConfigError when there is no tempauth filter in it."""
        ini = read_ini(path)
        for section, entries in ini.sections.items():
            use = entries.get("use")
            if section.startswith("filter:") and use is not None and used(use.value).name == TEMPAUTH:
                return cls(ini, section, fs)
        raise ConfigError([ConfigProblem(str(path), "filter:tempauth", "use", "", "use = egg:objstore#tempauth")])

    def users(self) -> list[User]:
        return [user for user, _ in self._entries()]

    def find(self, account: str, name: str) -> User:
        """Raises UserError when there is no such user."""
        return self._find(account, name)[0]

    def add(self, user: NewUser) -> None:
        """Raises UserError when it is there already, or cannot be written as a line."""
        if any(known.identity == str(user) for known in self.users()):
            raise UserError(f"{user} is there already; change its key with: objstore user passwd")
        _check(user)
        line = f"{option_for(user.account, user.name)} = {user.value}"
        last = max((entry for _, entry in self._entries()), key=lambda entry: entry.line, default=None)
        use = self._ini.entries(self._section)["use"]
        after = last if last is not None and last.file == use.file else use
        self._edit(after.file, lambda lines: lines.insert(after.line, line))

    def change_key(self, account: str, name: str, key: str) -> None:
        """Replace the key of a user; groups and storage URL stay. Raises UserError."""
        _check(NewUser(account, name, key))
        _, entry = self._find(account, name)
        value = " ".join((key, *entry.value.split()[1:]))

        def replace(lines: list[str]) -> None:
            lines[entry.line - 1] = f"{entry.key} = {value}"

        self._edit(entry.file, replace)

    def put(self, user: NewUser) -> None:
        """Have a user with this very line, whether it was there or not. Raises UserError."""
        _check(user)
        if not any(known.identity == str(user) for known in self.users()):
            self.add(user)
            return
        _, entry = self._find(user.account, user.name)

        def replace(lines: list[str]) -> None:
            lines[entry.line - 1] = f"{entry.key} = {user.value}"

        self._edit(entry.file, replace)

    def discard(self, account: str, name: str) -> None:
        """As remove(), but the user need not exist."""
        if any(known.identity == f"{account}:{name}" for known in self.users()):
            self.remove(account, name)

    def line(self, account: str, name: str) -> str | None:
        """Key and groups of a user, as they stand in the file; None when there is no such user."""
        return next((entry.value for user, entry in self._entries() if user.identity == f"{account}:{name}"), None)

    def remove(self, account: str, name: str) -> None:
        """Raises UserError when there is no such user."""
        _, entry = self._find(account, name)
        self._edit(entry.file, lambda lines: lines.pop(entry.line - 1))

    def put_token_key(self, key: str, *, is_first: bool, keep: int) -> None:
        """Have a key in fernet_keys: in front it makes tokens, at the end it opens them only. keep: how many keys stay;
        0: all. Raises UserError."""
        entries = self._ini.entries(self._section)
        entry = entries.get(_TOKEN_KEYS)
        by_id = next((option for option in entries if option.startswith("fernet_key_")), None)
        if entry is None or by_id is not None:
            raise UserError(
                f"{self._ini.path}: [{self._section}] has {by_id or f'no {_TOKEN_KEYS}'}: change its keys by hand, or "
                f"give it a line {_TOKEN_KEYS} = KEY (32 random bytes in base64url) on every node"
            )
        if "\n" in entry.value:
            raise UserError(f"{entry.file}:{entry.line}: written on several lines; edit it by hand")
        try:
            fernet_key(key)
        except ValueError as error:
            raise UserError(f"{_TOKEN_KEYS}: {error}") from None
        others = [known for item in entry.value.split(",") if (known := item.strip()) not in ("", key)]
        keys = [key, *others] if is_first else [*others, key]
        line = f"{entry.key} = {', '.join(keys[:keep] if keep else keys)}"

        def replace(lines: list[str]) -> None:
            lines[entry.line - 1] = line

        self._edit(entry.file, replace)

    def _find(self, account: str, name: str) -> tuple[User, Entry]:
        for user, entry in self._entries():
            if user.identity == f"{account}:{name}":
                if "\n" in entry.value:
                    raise UserError(f"{entry.file}:{entry.line}: written on several lines; edit it by hand")
                return user, entry
        known = ", ".join(user.identity for user in self.users())
        raise UserError(f"no user {account}:{name}; there are: {known or 'none'}")

    def _entries(self) -> Iterator[tuple[User, Entry]]:
        for option, entry in self._ini.entries(self._section).items():
            users, _ = parse_users({option: entry.value})
            for user in users.values():
                yield user, entry

    def _edit(self, file: Path, change: Callable[[list[str]], object]) -> None:
        lines = file.read_text(encoding="utf-8").split("\n")
        change(lines)
        self._fs.replace_file(str(file), "\n".join(lines).encode(), mode=file.stat().st_mode & 0o777)
        self._ini = read_ini(self._ini.path)


def parse_name(text: str) -> tuple[str, str]:
    """account:user, as clients write it. Raises UserError."""
    account, colon, name = text.partition(":")
    if not colon or not account or not name:
        raise UserError(f"{text!r}: expected ACCOUNT:USER")
    return account, name


def _check(user: NewUser) -> None:
    if option_for(user.account, user.name) not in _accepted(user):
        raise UserError(f"{user}: no commas or control characters in names, no colon in an account")
    if not user.key or len(user.key.split()) != 1 or user.key.strip() != user.key:
        raise UserError("a key may not be empty or contain white space")
    for group in user.groups:
        if len(group.split()) != 1 or "," in group:
            raise UserError(f"group {group!r}: no white space, no comma")


def _accepted(user: NewUser) -> dict[str, str]:
    """The line of a user if tempauth would read this very user from it."""
    option = option_for(user.account, user.name)
    users, _ = parse_users({option: user.value})
    return {option: user.value} if str(user) in users else {}
