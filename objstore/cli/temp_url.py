"""objstore temp-url: a link to one object, or to all below a name, for whoever has it, until it expires.

Signed here, with a key of the account (or the container) that its owner may read; where there is none, one is made
after a question. Source: features A5.1, A5.2.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import secrets
import time
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from objstore.cli.expiry import expiry
from objstore.cli.login import add_arguments as add_login
from objstore.cli.remote import place, with_account
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.client.account import Account
from objstore.client.place import Place
from objstore.core.names import quoted
from objstore.core.signatures import DIGEST_BYTES
from objstore.middleware.tempurl_link import signed_query

EXAMPLE = """\
example:
  objstore temp-url photos/2026/cat.jpg                          to read it, for a day
  objstore temp-url photos/inbox/new.jpg --method PUT --expires 1h
  objstore temp-url photos/2026/ --prefix --expires 7d           everything whose name begins with 2026/
  objstore temp-url photos/cat.jpg --ip-range 192.0.2.0/24       only from there

Whoever has the link can use it until it expires, or until the key is changed, which ends all links made with it.
Exit code 0: the link stands on standard output; 1: it could not be made.
"""
_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
_KEY = "X-Account-Meta-Temp-Url-Key"
_KEY_NAMES = ("temp-url-key", "temp-url-key-2")
_KEY_BYTES = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", type=place, metavar="[objstore:]CONTAINER/OBJECT")
    parser.add_argument("--method", choices=_METHODS, default="GET", help="what the link is for (%(default)s)")
    parser.add_argument("--expires", default="1d", metavar="WHEN", help="30m, 7d, 2027-01-31, Unix seconds (1d)")
    parser.add_argument("--prefix", action="store_true", help="every object whose name begins like this")
    parser.add_argument("--ip-range", metavar="CIDR", type=_network, help="only for clients from there")
    parser.add_argument("--digest", choices=sorted(DIGEST_BYTES), default="sha256", help="(%(default)s)")
    parser.add_argument("--make-key", action="store_true", help="make a key without a question if there is none")
    parser.add_argument("--json", action="store_true", help="one JSON object: url, method, expires")
    add_login(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    where: Place = arguments.place
    if not where.container or (not where.name and not arguments.prefix):
        raise CommandError("temp-url needs CONTAINER/OBJECT; for a whole container say --prefix", code=USAGE)
    try:
        expires = expiry(arguments.expires, time.time())
    except ValueError as error:
        raise CommandError(f"--expires {error}", code=USAGE) from None
    return with_account(arguments, terminal, lambda account: _make(account, expires, arguments, terminal))


def _make(account: Account, expires: int, arguments: argparse.Namespace, terminal: Terminal) -> int:
    where: Place = arguments.place
    key = _key(account, where, terminal, makes=arguments.make_key)
    if arguments.method in ("GET", "HEAD") and not arguments.prefix and account.head(where.path) is None:
        terminal.complain(f"{where}: nothing is there yet; the link answers 404 until there is")
    base = urlsplit(account.session.storage_url)
    # The storage URL is quoted; what is signed is not.
    path = f"{unquote(base.path)}/{where.container}/{where.name}"
    query = signed_query(
        arguments.method,
        path,
        expires,
        key,
        arguments.digest,
        prefix=where.name if arguments.prefix else None,
        ip_range=arguments.ip_range,
    )
    url = f"{base.scheme}://{base.netloc}{base.path}{quoted(f'/{where.container}/{where.name}')}?{query}"
    if arguments.json:
        terminal.say(json.dumps({"url": url, "method": arguments.method, "expires": expires}))
        return OK
    terminal.say(url)
    if terminal.stdout.isatty():
        terminal.complain(
            f"good for {arguments.method} until {datetime.fromtimestamp(expires, UTC):%Y-%m-%d %H:%M} UTC"
        )
    return OK


def _key(account: Account, where: Place, terminal: Terminal, *, makes: bool) -> str:
    """The account's, the container's, or a new one of the account. Raises CommandError."""
    found = account.head() or {}
    for name in _KEY_NAMES:
        if found.get(f"x-account-meta-{name}"):
            return found[f"x-account-meta-{name}"]
    container = account.head(f"/{where.container}") or {}
    for name in _KEY_NAMES:
        if container.get(f"x-container-meta-{name}"):
            return container[f"x-container-meta-{name}"]
    if not makes:
        if not terminal.can_ask:
            raise CommandError(
                "the account has no key for links (or you may not read it); have one made with --make-key", code=FAILED
            )
        if not terminal.confirm(f"{account.name} has no key for links; make one?"):
            raise CommandError("no link without a key", code=FAILED)
    key = secrets.token_urlsafe(_KEY_BYTES)
    account.post("", {_KEY: key})
    return key


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
