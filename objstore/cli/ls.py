"""objstore ls: containers, or objects of one, as a directory would show them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from objstore.cli.login import add_arguments as add_login
from objstore.cli.remote import nothing_there, place, printable, size_shown, with_account
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.client.account import Account, Row
from objstore.client.errors import Refused
from objstore.client.place import Place
from objstore.http.status import HTTPStatus

EXAMPLE = """\
example:
  objstore ls                                    containers
  objstore ls photos                             of one container; what is below a slash is one line
  objstore ls -l objstore:photos/2026/           with sizes and times; objstore: may be left out here
  objstore ls -R photos --json                   every object, one JSON object per line
  objstore ls photos --prefix 2026-              whatever begins like this

Exit code 0: listed, perhaps nothing; 1: no such container or object, or the cluster says no.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", type=place, nargs="?", default=Place(), metavar="[objstore:]CONTAINER[/NAME]")
    parser.add_argument("-l", "--long", action="store_true", help="size, time and content type in front of names")
    parser.add_argument("-h", "--human", action="store_true", help="sizes as 1.5K, 20M")
    parser.add_argument("-R", "--recursive", action="store_true", help="everything below, not rolled up")
    parser.add_argument("--prefix", help="only names below NAME that begin like this")
    parser.add_argument("--delimiter", default="/", help="where names are rolled up (%(default)s)")
    parser.add_argument("--json", action="store_true", help="a JSON object per line")
    parser.add_argument("--help", action="help", help="show this help and end")
    add_login(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return with_account(arguments, terminal, lambda account: _run(account, arguments, terminal))


def _run(account: Account, arguments: argparse.Namespace, terminal: Terminal) -> int:
    try:
        return _list(account, arguments, terminal)
    except Refused as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise CommandError(nothing_there(Place(arguments.place.container)), code=FAILED) from None


def _list(account: Account, arguments: argparse.Namespace, terminal: Terminal) -> int:
    where: Place = arguments.place
    is_any = False
    for row in _rows(account, arguments):
        is_any = True
        terminal.stdout.write(_line(row, arguments, is_container=not where.container) + "\n")
    if not is_any and where.name and not where.is_directory:
        raise CommandError(
            f"{printable(str(where))}: nothing has this name, or begins with it and a slash", code=FAILED
        )
    return OK


def _rows(account: Account, arguments: argparse.Namespace) -> Iterator[Row]:
    where: Place = arguments.place
    delimiter = "" if arguments.recursive else arguments.delimiter
    if not where.container:
        yield from account.containers(arguments.prefix or "")
    elif arguments.prefix is not None or where.is_directory:
        yield from account.objects(where.container, where.below + (arguments.prefix or ""), delimiter)
    else:
        # Of all names with this beginning the name itself comes first.
        yield from (row for row in account.objects(where.container, where.name, limit=1) if row.name == where.name)
        yield from account.objects(where.container, where.below, delimiter)


def _line(row: Row, arguments: argparse.Namespace, *, is_container: bool) -> str:
    if arguments.json:
        return json.dumps(_facts(row, is_container))
    name = printable(row.name)
    if not arguments.long:
        return name
    size = size_shown(row.size_bytes, arguments.human)
    if row.is_directory:
        return f"{'-':>14}  {'-':19}  {'-':24}  {name}"
    if is_container:
        return f"{size:>14}  {row.count:>12} objects  {name}"
    return f"{size:>14}  {row.last_modified[:19]:19}  {printable(row.content_type):24}  {name}"


def _facts(row: Row, is_container: bool) -> dict[str, object]:
    if row.is_directory:
        return {"directory": row.name}
    if is_container:
        return {"name": row.name, "bytes": row.size_bytes, "objects": row.count}
    return {
        "name": row.name,
        "bytes": row.size_bytes,
        "etag": row.etag,
        "content_type": row.content_type,
        "last_modified": row.last_modified,
        "is_large": row.is_manifest,
    }
