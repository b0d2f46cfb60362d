"""objstore user rotate-tokens DIR: proxies seal tokens with another key, on all nodes at the same time.

    1. the new key is put behind the others in every proxy's file: it opens tokens, and makes none
    2. a moment later, when every proxy has looked at its file, it is put in front: it makes tokens from now on
    3. of the old ones the last stays, for tokens that were made with it (or none, with --drop-old)

A proxy that makes tokens with the new key is never alone with it, so nobody is asked to log in again. A node that does
not answer in step 1 ends the rotation: a key that opens tokens and makes none does no harm.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable
from functools import partial

from objstore.cli.at_once import within
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.cli.user_file import UserError, UserFile
from objstore.cluster.calls import ASK_S, TokenKey
from objstore.cluster.client import HolderClient, connect, is_of_several
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.members import Member
from objstore.config.errors import ConfigError
from objstore.core.errors import BadRequest, DomainError
from objstore.middleware.tempauth_users import CHECK_INTERVAL_S
from objstore.runtime.fs import Fs

KEPT = 2
"""The key that makes tokens, and the one before it."""
_KEY_BYTES = 32


def change_here(directory: ClusterDirectory, key: TokenKey) -> None:
    """Write a change that another node asks for into this node's file. Raises BadRequest."""
    try:
        UserFile.open(directory.proxy_conf, Fs()).put_token_key(key.key, is_first=key.is_first, keep=key.keep)
    except UserError as error:
        raise BadRequest(str(error)) from None
    except ConfigError as error:
        raise BadRequest(str(error.problems[0])) from None


def rotate(
    directory: ClusterDirectory,
    file: UserFile,
    terminal: Terminal,
    *,
    drop_old: bool,
    wait: Callable[[float], None] = time.sleep,
) -> int:
    """Returns the exit code. wait: until proxies have looked at their files. Raises CommandError: nothing makes tokens
    with the new key then; UserError."""
    new = base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    client = _client(directory)
    opening = TokenKey(new, is_first=False, keep=0)
    # Here first: a file that cannot be changed so ends it before anybody was told.
    file.put_token_key(new, is_first=False, keep=0)
    deaf = _tell_all(client, opening)
    if deaf:
        raise CommandError(*_lines(deaf), "tokens are made as before; when all answer: run it again", code=FAILED)
    wait(2 * CHECK_INTERVAL_S)
    making = TokenKey(new, is_first=True, keep=1 if drop_old else KEPT)
    file.put_token_key(new, is_first=True, keep=making.keep)
    deaf = _tell_all(client, making)
    for line in _lines(deaf):
        terminal.complain(line)
    if deaf:
        terminal.complain("there tokens are made with the old key: when it is back, run it again")
        return FAILED
    terminal.say("tokens are made with a new key on every node")
    terminal.say("whoever had one must log in again" if drop_old else "those made before are good as long as they were")
    return OK


def _client(directory: ClusterDirectory) -> HolderClient | None:
    if not is_of_several(directory):
        return None
    try:
        return connect(directory)
    except DomainError as error:
        raise CommandError(f"nothing was changed: {error}", code=FAILED) from None


def _tell_all(client: HolderClient | None, key: TokenKey) -> dict[str, str]:
    """Nodes that have not heard, and why."""
    if client is None:
        return {}
    others = [node for node in client.members.nodes if node.id != client.me.id]
    asked: dict[str, Callable[[], str]] = {node.name: partial(_tell, client, node, key) for node in others}
    answers = within(asked, 2 * ASK_S)
    problems = {node.name: answers.get(node.name, "no answer") for node in others}
    return {name: problem for name, problem in problems.items() if problem}


def _tell(client: HolderClient, node: Member, key: TokenKey) -> str:
    """Why it could not be told, "" when it was."""
    try:
        client.put_token_key(node, key)
    except DomainError as error:
        return str(error)
    return ""


def _lines(deaf: dict[str, str]) -> list[str]:
    return [f"{node} has not heard of it: {problem}" for node, problem in deaf.items()]
