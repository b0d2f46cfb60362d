"""objstore rm: objects, everything below a name, or a whole container."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from contextlib import suppress

from objstore.cli.login import add_arguments as add_login
from objstore.cli.progress_lines import ProgressLines
from objstore.cli.remote import place, printable, with_account
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.client.account import Account, Row
from objstore.client.errors import Refused
from objstore.client.place import Place
from objstore.client.removal import Remover, remove_container
from objstore.client.work import Kind, Progress, Workers

EXAMPLE = """\
example:
  objstore rm photos/2026/cat.jpg            one object; of a large one its segments, too
  objstore rm -r photos/2026                 everything below photos/2026/, after a question
  objstore rm -r --yes photos                the container, too

Segments stay where the container keeps versions, which may still be read, and with --keep-segments.
Exit code 0: gone; 1: some are not, or there was none.
"""
_AT_ONCE = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("places", type=place, nargs="+", metavar="[objstore:]CONTAINER[/NAME]")
    parser.add_argument("-r", "--recursive", action="store_true", help="everything below NAME; all of a container")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("--keep-segments", action="store_true", help="of large objects, delete the manifest alone")
    parser.add_argument("--json", action="store_true", help="one JSON object of what was done")
    add_login(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    for where in arguments.places:
        if not where.container:
            raise CommandError("rm needs a container, or an object in one", code=USAGE)
        if where.is_directory and not arguments.recursive:
            raise CommandError(f"{where}: all of it is deleted with -r", code=USAGE)
    return with_account(arguments, terminal, lambda account: _remove_all(account, arguments, terminal))


def _remove_all(account: Account, arguments: argparse.Namespace, terminal: Terminal) -> int:
    gone, errors = 0, []
    for where in arguments.places:
        count, failed = _remove(account, where, arguments, terminal)
        gone += count
        errors += failed
    if arguments.json:
        terminal.say(json.dumps({"deleted": gone, "errors": [{"place": name, "why": why} for name, why in errors]}))
    else:
        terminal.say(f"{gone} deleted" + (f", {len(errors)} failed" if errors else ""))
    for name, why in errors:
        terminal.complain(printable(f"{name}: {why}"))
    return FAILED if errors else OK


Errors = list[tuple[str, str]]


def _remove(account: Account, where: Place, arguments: argparse.Namespace, terminal: Terminal) -> tuple[int, Errors]:
    container = account.head(f"/{where.container}")
    if container is None:
        return 0, [(str(where), "no such container")]
    remover = Remover(account, container, keeps_segments=arguments.keep_segments)
    if arguments.recursive:
        return _remove_tree(account, remover, where, arguments, terminal)
    removed = remover.one(where)
    if removed is None:
        return 0, [(str(where), "no such object")]
    return removed.count, list(removed.errors)


def _remove_tree(
    account: Account, remover: Remover, where: Place, arguments: argparse.Namespace, terminal: Terminal
) -> tuple[int, Errors]:
    rows = _rows(account, where)
    first = next(rows, None)
    if first is None and where.name:
        return 0, [(str(where), "nothing has this name, or begins with it and a slash")]
    if not arguments.yes:
        _ask(where, terminal)
    gone, errors = _run(account, remover, where, itertools.chain([first] if first else [], rows), terminal)
    if not where.name and not errors:
        remove_container(account, where.container)
        _remove_if_empty(account, where.segments_container)
    return gone, errors


def _remove_if_empty(account: Account, container: str) -> None:
    """Of a container that is gone the one of its segments, unless there is something in it."""
    with suppress(Refused):
        account.delete(f"/{container}")


def _run(
    account: Account, remover: Remover, where: Place, rows: Iterator[Row], terminal: Terminal
) -> tuple[int, Errors]:
    progress = Progress()
    workers = Workers(_AT_ONCE, account.session.stop, progress)
    lines = ProgressLines(terminal, progress, unit="requests")
    gone, errors = 0, Errors()
    try:
        for done in workers.run(remover.jobs(where.container, rows), lines.draw):
            gone += done.size_bytes if not done.why or done.kind is Kind.FAILED else 0
            if done.kind is Kind.FAILED:
                errors.append((done.source, done.why))
    finally:
        lines.clear()
    return gone, errors


def _rows(account: Account, where: Place) -> Iterator[Row]:
    """The object of this name, and everything below it."""
    if where.name and not where.is_directory:
        yield from (row for row in account.objects(where.container, where.name, limit=1) if row.name == where.name)
    yield from account.objects(where.container, where.below)


def _ask(where: Place, terminal: Terminal) -> None:
    what = printable(str(where))
    if not terminal.can_ask:
        raise CommandError(f"{what}: nobody to ask whether all of it may go; say --yes", code=USAGE)
    question = (
        f"delete everything in {what}, and the container" if not where.name else f"delete everything below {what}"
    )
    if not terminal.confirm(f"{question}?"):
        raise CommandError("nothing was deleted", code=FAILED)
