"""Users on several machines: every node's proxy has its own file, and a change made on one is told to the others.

One line at a time: what another node's file has besides is not touched. Nobody is told later: a node that was down is
named, and the change is sent again by `objstore user push`, a removal by removing once more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from objstore.cli.at_once import within
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.cli.user_file import NewUser, UserError, UserFile
from objstore.cluster.calls import ASK_S, UserLine
from objstore.cluster.client import HolderClient, connect, is_of_several
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.members import Member
from objstore.config.errors import ConfigError
from objstore.core.errors import BadRequest, DomainError
from objstore.runtime.fs import Fs


def change_here(directory: ClusterDirectory, line: UserLine) -> None:
    """What another node says about a user, into this node's file. Raises BadRequest."""
    try:
        file = UserFile.open(directory.proxy_conf, Fs())
        if line.value is None:
            file.discard(line.account, line.user)
            return
        key, *groups = line.value.split() or [""]
        file.put(NewUser(line.account, line.user, key, tuple(groups)))
    except UserError as error:
        raise BadRequest(str(error)) from None
    except ConfigError as error:
        raise BadRequest(str(error.problems[0])) from None


def tell_other_nodes(directory: ClusterDirectory, file: UserFile, account: str, name: str, terminal: Terminal) -> int:
    """Tell every other node how a user is in this node's file now. Returns the exit code: FAILED when some did not
    hear; raises CommandError when nobody can be told."""
    if not is_of_several(directory):
        return OK
    try:
        client = connect(directory)
    except DomainError as error:
        raise CommandError(f"changed here, on no other node: {error}", code=FAILED) from None
    line = UserLine(account, name, file.line(account, name))
    others = [node for node in client.members.nodes if node.id != client.me.id]
    asked: dict[str, Callable[[], str]] = {node.name: partial(_tell, client, node, line) for node in others}
    answers = within(asked, 2 * ASK_S)
    problems = {node.name: answers.get(node.name, "no answer") for node in others}
    deaf = {name: problem for name, problem in problems.items() if problem}
    for node, problem in deaf.items():
        terminal.complain(f"{node} has not heard of it: {problem}")
    if deaf:
        action = "remove" if line.value is None else "push"
        terminal.complain(f"when it is back: objstore user {action} {directory.root} {account}:{name}")
    return FAILED if deaf else OK


def _tell(client: HolderClient, node: Member, line: UserLine) -> str:
    """Why it could not be told, "" when it was."""
    try:
        client.change_user(node, line)
    except DomainError as error:
        return str(error)
    return ""
