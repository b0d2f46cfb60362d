"""The users of a directory as users of tempauth: who they are, and which rights their groups give them.

A user of an account is somebody in the account's group of members, or of administrators. Nothing that stands in the
directory becomes a group here by its mere name: groups of rights are named by options, and a name that reads as a right
(AUTH_test, test:tester, .admin) is none.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from objstore.cache.memory import MemoryCache
from objstore.middleware.ldap.settings import LdapauthSettings
from objstore.middleware.ldap.wire import Entry, LdapAway, LdapConnection, LdapServer, check_filter, escaped
from objstore.middleware.tempauth_access import RESELLER_ADMIN, RESELLER_READER
from objstore.middleware.tempauth_users import ADMIN, User
from objstore.runtime import green
from objstore.runtime.green import TimedOut
from objstore.runtime.single_flight import GivenUp, SingleFlight

T = TypeVar("T")
_NAME_CHARACTERS = 255
_GROUPS_AT_MOST = 1000
_KNOWN = 4096
_NO_ATTRIBUTES = ("1.1",)


@dataclass(frozen=True, slots=True)
class _Known:
    """The directory's answer about a name: a user, or that there is none."""

    user: User | None


class People:
    """The Users of tempauth.py, out of a directory. Used by green threads of one process."""

    def __init__(
        self, settings: LdapauthSettings, server: LdapServer, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises ValueError for filters that are not valid."""
        self._settings = settings
        self._server = server
        self._known = MemoryCache(_KNOWN, now)
        self._asked: SingleFlight[User | None] = SingleFlight()
        self._idle: list[LdapConnection] = []
        self._room = green.Semaphore(settings.connections)
        check_filter(settings.user_filter.format(user="x"))
        check_filter(settings.group_filter.format(dn="x", user="x"))

    def find(self, identity: str, *, fresh: bool = False) -> User | None:
        """A user of an account as it is now, or was rights_life ago; None when there is none. Raises LdapAway."""
        known: _Known | None = None if fresh else self._known.get(identity)
        if known is not None:
            return known.user
        user = self._asked_once(identity)
        if self._settings.rights_life:
            self._known.set(identity, _Known(user), self._settings.rights_life)
        return user

    def is_right(self, user: User, key: str) -> bool:
        """Whether a password is the user's, as the directory says. Raises LdapAway."""
        if not key or "\0" in key:
            return False
        with self._permit():
            entry = self._with_idle(lambda connection: self._entry(connection, user.name))
            if entry is None:
                return False
            # A connection of its own: it is the user's from here on, and nobody else may ask with those rights.
            connection = LdapConnection(self._server)
            try:
                return connection.bind(entry.dn, key)
            finally:
                connection.close()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    def _asked_once(self, identity: str) -> User | None:
        try:
            return self._asked.run(identity, lambda: self._look_up(identity))
        except GivenUp:
            raise LdapAway(f"{self._server}: the question was given up") from None

    def _look_up(self, identity: str) -> User | None:
        account, _, name = identity.partition(":")
        if not (_is_name(account) and _is_name(name) and self._is_plain(account)):
            return None
        with self._permit():
            return self._with_idle(lambda connection: self._user(connection, account, name))

    def _user(self, connection: LdapConnection, account: str, name: str) -> User | None:
        entry = self._entry(connection, name)
        if entry is None:
            return None
        groups = self._rights(account, self._groups(connection, entry, name))
        if groups is None:
            return None
        return User(account, name, "", groups, None, self._binding(entry, account, name))

    def _entry(self, connection: LdapConnection, name: str) -> Entry | None:
        """The entry of a user; None when there is none, or more than one."""
        settings = self._settings
        found = connection.search(
            settings.user_base,
            settings.user_filter.format(user=escaped(name)),
            settings.identity_attributes or _NO_ATTRIBUTES,
            at_most=1,
        )
        return found[0] if len(found) == 1 else None

    def _groups(self, connection: LdapConnection, entry: Entry, name: str) -> frozenset[str]:
        settings = self._settings
        attribute = settings.group_attribute
        filter_ = settings.group_filter.format(dn=escaped(entry.dn), user=escaped(name))
        found = connection.search(settings.group_base, filter_, (attribute,), at_most=_GROUPS_AT_MOST)
        if len(found) > _GROUPS_AT_MOST:
            raise LdapAway(f"{self._server}: {entry.dn!r} is in more than {_GROUPS_AT_MOST} groups")
        return frozenset(value for group in found for value in group.attributes.get(attribute.lower(), ()))

    def _rights(self, account: str, groups: frozenset[str]) -> tuple[str, ...] | None:
        """The groups of tempauth; None for who is not of the account, whatever else they may do: whoever logs in to an
        account is meant by ACLs that name it."""
        settings = self._settings
        is_admin = settings.admin_group.format(account=account) in groups
        if not is_admin and settings.member_group.format(account=account) not in groups:
            return None
        rights = [ADMIN] if is_admin else []
        if settings.reseller_admin_group in groups:
            rights.append(RESELLER_ADMIN)
        if settings.reseller_reader_group in groups:
            rights.append(RESELLER_READER)
        return (*rights, *(group for group in settings.extra_groups if group in groups and self._is_plain(group)))

    def _is_plain(self, group: str) -> bool:
        """Whether a group's name reads as nothing but a group."""
        prefixes = tuple(prefix for prefix in self._settings.reseller_prefix if prefix)
        return not (group.startswith((".", *prefixes)) or ":" in group or "," in group)

    def _binding(self, entry: Entry, account: str, name: str) -> str:
        """What ends a token when it changes: the entry's DN, and the attributes that tell one user or password from
        the next."""
        facts = [entry.dn]
        for attribute in self._settings.identity_attributes:
            facts += [attribute, *entry.attributes.get(attribute.lower(), ())]
        key = f"objstore ldap token of {account}:{name}".encode()
        return hmac.new(key, "\0".join(facts).encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:32]

    # Connections

    def _permit(self) -> _Permit:
        return _Permit(self._room, self._server)

    def _with_idle(self, call: Callable[[LdapConnection], T]) -> T:
        connection = self._connection()
        try:
            result = call(connection)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return result

    def _connection(self) -> LdapConnection:
        """One that looks users up: idle, else new."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.close()
        connection = LdapConnection(self._server)
        settings = self._settings
        try:
            if settings.bind_dn and not connection.bind(settings.bind_dn, settings.bind_password):
                raise LdapAway(f"{self._server}: refuses bind_dn {settings.bind_dn!r} with the password configured")
        except BaseException:
            connection.close()
            raise
        return connection


class _Permit:
    """Room for one conversation; whoever has waited too long for it is told that the directory is away."""

    def __init__(self, room: green.Semaphore, server: LdapServer) -> None:
        self._room = room
        self._server = server

    def __enter__(self) -> None:
        try:
            with green.deadline(self._server.timeout_s):
                self._room.acquire()
        except TimedOut:
            raise LdapAway(f"{self._server}: too many wait for it") from None

    def __exit__(self, *_: object) -> None:
        self._room.release()


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _NAME_CHARACTERS and text.isprintable() and "," not in text and not text.startswith(".")
