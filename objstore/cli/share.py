"""objstore share add|list|revoke: who else may read or write a container, by its access control lists.

Large objects keep their segments in a container of their own, which is shared and revoked along with the one meant.
Source: features A2.6; Swift API guide, "Access Control Lists".
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from objstore.cli.login import add_arguments as add_login
from objstore.cli.remote import place, printable, with_account
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.client.account import Account
from objstore.client.place import Place, segments_container
from objstore.core.acl import LISTINGS, REFERRER

EXAMPLE = """\
example:
  objstore share add photos --to family:bob            this user may read what is in the container
  objstore share add photos --to family --write        all users of the account family, reading and writing
  objstore share add photos --public                   everybody, without logging in
  objstore share list photos
  objstore share revoke photos --to family:bob         or --public, or --all

Exit code 0: done; 1: it could not be done.
"""
_READ, _WRITE = "X-Container-Read", "X-Container-Write"
_PUBLIC = (f"{REFERRER}*", LISTINGS)
_TRIES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("add", "list", "revoke"))
    parser.add_argument("place", type=place, metavar="[objstore:]CONTAINER")
    parser.add_argument("--to", action="append", default=[], metavar="ACCOUNT[:USER]", help="may be repeated")
    parser.add_argument("--public", action="store_true", help="everybody may read and list")
    parser.add_argument("--write", action="store_true", help="add: they may write and delete, too; revoke: only that")
    parser.add_argument("--all", action="store_true", help="revoke: everybody's rights")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="list: one JSON object")
    add_login(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    where: Place = arguments.place
    if not where.container or where.name:
        raise CommandError(f"{where}: rights are those of a container; a single object: objstore temp-url", code=USAGE)
    wrong = [name for name in arguments.to if not name or "," in name or name.startswith(".") or name != name.strip()]
    if wrong:
        raise CommandError(f"{wrong[0]!r}: expected ACCOUNT or ACCOUNT:USER", code=USAGE)
    if arguments.action == "list":
        return with_account(arguments, terminal, lambda account: _list(account, where, arguments.json, terminal))
    if not (arguments.to or arguments.public or (arguments.all and arguments.action == "revoke")):
        raise CommandError(f"share {arguments.action} needs --to ACCOUNT[:USER] or --public", code=USAGE)
    if arguments.public and arguments.write and arguments.action == "add":
        raise CommandError("a container that everybody may write is not made here", code=USAGE)
    return with_account(arguments, terminal, lambda account: _change(account, arguments, terminal))


@dataclass(frozen=True, slots=True)
class Rights:
    """Entries of the two lists, in their order."""

    read: tuple[str, ...]
    write: tuple[str, ...]

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Rights:
        return cls(_entries(headers, _READ), _entries(headers, _WRITE))

    def headers(self) -> dict[str, str]:
        return {_READ: ",".join(self.read), _WRITE: ",".join(self.write)}


def _entries(headers: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(entry for entry in headers.get(name.lower(), "").split(",") if entry)


def _list(account: Account, where: Place, as_json: bool, terminal: Terminal) -> int:
    rights = Rights.of(_headers(account, where.container))
    if as_json:
        facts = {"container": where.container, "read": list(rights.read), "write": list(rights.write)}
        terminal.say(json.dumps({**facts, "public": _PUBLIC[0] in rights.read}))
        return OK
    for what, entries in (("read", rights.read), ("write", rights.write)):
        for entry in entries:
            terminal.say(printable(f"{what:5}  {_shown(entry)}"))
    if not rights.read and not rights.write:
        terminal.say("shared with nobody")
    return OK


def _shown(entry: str) -> str:
    if entry == _PUBLIC[0]:
        return f"{entry}  (everybody)"
    return f"{entry}  (and they may list)" if entry == LISTINGS else entry


def _change(account: Account, arguments: argparse.Namespace, terminal: Terminal) -> int:
    container = arguments.place.container
    is_add = arguments.action == "add"
    if is_add and arguments.public:
        _warn(container, arguments, terminal)
    change = _added if is_add else _revoked
    _apply(account, container, lambda rights: change(rights, arguments))
    segments = segments_container(container)
    if account.head(f"/{segments}") is not None:
        _apply(account, segments, lambda rights: change(rights, arguments))
    if is_add:
        for name in arguments.to:
            terminal.say(printable(f"{name} reads it with: objstore ls --account {account.name} {arguments.place}"))
        if arguments.public:
            terminal.say(f"{account.session.storage_url}/{container}")
    return OK


def _warn(container: str, arguments: argparse.Namespace, terminal: Terminal) -> None:
    terminal.complain(
        f"everybody who reaches the cluster will read and list {printable(container)}, without logging in"
    )
    if arguments.yes:
        return
    if not terminal.can_ask:
        raise CommandError("nobody to ask whether that is meant; say --yes", code=USAGE)
    if not terminal.confirm("go on?"):
        raise CommandError("nothing was changed", code=FAILED)


def _added(rights: Rights, arguments: argparse.Namespace) -> Rights:
    public = _PUBLIC if arguments.public else ()
    read = dict.fromkeys([*rights.read, *arguments.to, *public])
    write = dict.fromkeys([*rights.write, *(arguments.to if arguments.write else ())])
    return Rights(tuple(read), tuple(write))


def _revoked(rights: Rights, arguments: argparse.Namespace) -> Rights:
    if arguments.all:
        return Rights(rights.read if arguments.write else (), ())
    gone = {*arguments.to, *(_PUBLIC if arguments.public else ())}
    read = rights.read if arguments.write else tuple(entry for entry in rights.read if entry not in gone)
    return Rights(read, tuple(entry for entry in rights.write if entry not in gone))


def _apply(account: Account, container: str, change: Callable[[Rights], Rights]) -> None:
    """Read, change, write; and look whether it stands there, because somebody else may have done the same."""
    for _ in range(_TRIES):
        before = Rights.of(_headers(account, container))
        wanted = change(before)
        if wanted == before:
            return
        account.post(f"/{container}", wanted.headers())
    if change(Rights.of(_headers(account, container))) != Rights.of(_headers(account, container)):
        raise CommandError(f"{container}: somebody else is changing its rights; do it again", code=FAILED)


def _headers(account: Account, container: str) -> Mapping[str, str]:
    headers = account.head(f"/{container}")
    if headers is None:
        raise CommandError(f"{printable(container)}: no such container", code=FAILED)
    return headers
