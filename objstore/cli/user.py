"""objstore user add|list|passwd|remove|key|push|rotate-tokens DIR: users, in the proxy's [filter:tempauth]."""

from __future__ import annotations

import argparse
import getpass
import json
import secrets

from objstore.cli import token_keys
from objstore.cli.place import add_directory, existing
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.cli.user_file import NewUser, UserError, UserFile, parse_name
from objstore.cli.user_nodes import tell_other_nodes
from objstore.cluster.client import is_of_several
from objstore.cluster.directory import ClusterDirectory
from objstore.middleware.tempauth_users import ADMIN
from objstore.runtime.fs import Fs

EXAMPLE = """\
example:
  objstore user add ~/cluster photos:alice                    an administrator of the account AUTH_photos
  objstore user add ~/cluster photos:bob --no-groups          sees what an ACL gives him
  objstore user passwd ~/cluster photos:bob                   asks for the new key
  objstore user list ~/cluster
  objstore user push ~/cluster photos:bob                     once more to the other nodes, one of which was down
  objstore user rotate-tokens ~/cluster                       tokens are sealed with another key from now on

A running proxy takes changes over within a second. Keys are shown on a terminal, or when asked for: objstore user key.
"""
_KEY_BYTES = 18


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("add", "list", "passwd", "remove", "key", "push", "rotate-tokens"))
    add_directory(parser)
    parser.add_argument("user", metavar="ACCOUNT:USER", nargs="?", help="all but list and rotate-tokens need it")
    parser.add_argument("--key", help="add, passwd: the key; else one is asked for or made")
    parser.add_argument("--group", action="append", dest="groups", help="add: a group (.admin); may be repeated")
    parser.add_argument("--no-groups", action="store_const", const=[], dest="groups", help="add: no group at all")
    parser.add_argument("--drop-old", action="store_true", help="rotate-tokens: end all tokens that were given out")
    parser.add_argument("--json", action="store_true", help="list: one JSON list")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    if arguments.drop_old and arguments.action != "rotate-tokens":
        raise CommandError("--drop-old goes with user rotate-tokens only", code=USAGE)
    directory = existing(arguments)
    file = UserFile.open(directory.proxy_conf, Fs())
    try:
        if arguments.action == "rotate-tokens":
            return token_keys.rotate(directory, file, terminal, drop_old=arguments.drop_old)
        code = _run(arguments, terminal, directory, file)
        if arguments.action in ("add", "passwd", "remove", "push"):
            return tell_other_nodes(directory, file, *parse_name(arguments.user), terminal)
        return code
    except UserError as error:
        raise CommandError(str(error), code=FAILED) from None


def _run(arguments: argparse.Namespace, terminal: Terminal, directory: ClusterDirectory, file: UserFile) -> int:
    if arguments.action == "list":
        _list(file, arguments.json, terminal)
        return OK
    if not arguments.user:
        raise CommandError(f"objstore user {arguments.action} needs ACCOUNT:USER", code=2)
    account, name = parse_name(arguments.user)
    if arguments.action == "key":
        terminal.say(file.find(account, name).key)
        return OK
    if arguments.action == "push":
        file.find(account, name)
    elif arguments.action == "remove":
        # On other nodes it may still be, where one was down.
        (file.discard if is_of_several(directory) else file.remove)(account, name)
    elif arguments.action == "add":
        groups = (ADMIN,) if arguments.groups is None else tuple(arguments.groups)
        user = NewUser(account, name, arguments.key or secrets.token_urlsafe(_KEY_BYTES), groups)
        file.add(user)
        _show_key(user, directory, arguments.key is None, terminal)
    else:
        file.find(account, name)
        user = NewUser(account, name, _new_key(arguments, terminal))
        file.change_key(account, name, user.key)
        _show_key(user, directory, arguments.key is None and not terminal.shows_secrets, terminal)
    return OK


def _list(file: UserFile, as_json: bool, terminal: Terminal) -> None:
    users = [{"account": user.account, "user": user.name, "groups": list(user.groups)} for user in file.users()]
    if as_json:
        terminal.say(json.dumps(users, indent=2))
        return
    for user in file.users():
        terminal.say(f"{user.identity}  {' '.join(user.groups)}".rstrip())


def _new_key(arguments: argparse.Namespace, terminal: Terminal) -> str:
    """Given, typed twice on a terminal, or made."""
    if arguments.key:
        return str(arguments.key)
    if not terminal.shows_secrets:
        return secrets.token_urlsafe(_KEY_BYTES)
    key = getpass.getpass("new key: ")
    if getpass.getpass("once more: ") != key:
        raise CommandError("the two keys differ; nothing was changed", code=FAILED)
    return key


def _show_key(user: NewUser, directory: ClusterDirectory, is_made: bool, terminal: Terminal) -> None:
    if not is_made:
        return
    if terminal.shows_secrets:
        terminal.say(f"{user}: key {user.key}")
    else:
        terminal.say(f"{user}: a key was made; show it with: objstore user key {directory.root} {user}")
