"""What the commands for users have in common: an account while they run, places as arguments, names as lines."""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Callable

from objstore.cli.login import account_of
from objstore.cli.terminal import FAILED, CommandError, Terminal
from objstore.client.account import Account
from objstore.client.errors import ClientError, Stopped
from objstore.client.place import Place, parse

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def with_account(arguments: argparse.Namespace, terminal: Terminal, run: Callable[[Account], int]) -> int:
    """Log in when it is needed, run, close. Raises CommandError for what the cluster or the network says."""
    if isinstance(terminal.stdout, io.TextIOWrapper):
        # Names are any text, and a terminal of another encoding than UTF-8 is no reason to end in the middle.
        terminal.stdout.reconfigure(errors="backslashreplace")
    account = account_of(arguments, terminal)
    try:
        return run(account)
    except Stopped:
        raise KeyboardInterrupt from None
    except ClientError as error:
        raise CommandError(printable(str(error)), code=FAILED) from None
    finally:
        account.session.close()


def place(text: str) -> Place:
    """A type for argparse."""
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def nothing_there(where: Place) -> str:
    """What to say of a place that does not exist, or that is hidden from this user."""
    kind = "object" if where.name else "container" if where.container else "account"
    return f"{printable(str(where))}: there is no such {kind}"


def printable(text: str) -> str:
    """A name as part of a line: what ends lines, moves the cursor or turns the direction of writing is escaped."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def size_shown(count: int, is_human: bool) -> str:
    """Bytes; is_human: of 1024 upwards with a unit, in at most six characters."""
    if not is_human or count < 1024:
        return str(count)
    size = float(count)
    for unit in "KMGTPE":
        size /= 1024
        if size < 999.5 or unit == "E":
            break
    return f"{size:.1f}{unit}" if size < 9.95 else f"{size:.0f}{unit}"
