"""objstore stat: what is known of an account, a container or an object."""

from __future__ import annotations

import argparse
import json

from objstore.cli.login import add_arguments as add_login
from objstore.cli.remote import nothing_there, place, printable, size_shown, with_account
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.client.account import Account
from objstore.client.place import Place
from objstore.client.session import Headers

EXAMPLE = """\
example:
  objstore stat                          the account: containers, objects, bytes
  objstore stat photos/2026/cat.jpg      an object: size, type, ETag, metadata
  objstore stat photos --json            every header as it came

Exit code 0: it is there; 1: it is not, or the cluster says no.
"""
_SECRET = ("temp-url-key", "x-auth-token", "sync-key")
_SIZES = ("content-length", "x-account-bytes-used", "x-container-bytes-used")
_HIDDEN = frozenset({"date", "connection", "x-trans-id", "x-openstack-request-id", "accept-ranges", "vary"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", type=place, nargs="?", default=Place(), metavar="[objstore:]CONTAINER[/OBJECT]")
    parser.add_argument("--json", action="store_true", help="one JSON object of all headers")
    parser.add_argument("--secrets", action="store_true", help="show keys, too, which are hidden otherwise")
    add_login(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return with_account(arguments, terminal, lambda account: _stat(account, arguments, terminal))


def _stat(account: Account, arguments: argparse.Namespace, terminal: Terminal) -> int:
    where: Place = arguments.place
    headers = account.head(where.path)
    if headers is None:
        raise CommandError(nothing_there(where), code=FAILED)
    if not arguments.secrets:
        headers = {name: value for name, value in headers.items() if not any(secret in name for secret in _SECRET)}
    if arguments.json:
        terminal.say(json.dumps({"account": account.name, "place": str(where), "headers": headers}, indent=2))
        return OK
    for line in _lines(account.name, where, headers):
        terminal.say(line)
    return OK


def _lines(account: str, where: Place, headers: Headers) -> list[str]:
    rows = [("account", account)]
    if where.container:
        rows.append(("container", where.container))
    if where.name:
        rows.append(("object", where.name))
    for name in sorted(set(headers) - _HIDDEN):
        if name == "content-length" and not where.name:
            continue
        value = headers[name]
        if name in _SIZES and value.isdigit() and int(value) >= 1024:
            value = f"{value} ({size_shown(int(value), True)})"
        rows.append((name, value))
    width = max(len(name) for name, _ in rows)
    return [printable(f"{name:>{width}}  {value}") for name, value in rows]
