"""objstore node token|holder|rotate-key DIR: join tokens, the members' key, and which node holds the ring builders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.cluster.client import HolderClient, connect, is_of_several
from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.directory import MEMBERS_FILE, ClusterDirectory
from objstore.core.errors import DomainError


def say_token(directory: ClusterDirectory, terminal: Terminal) -> int:
    """The token alone on standard output, so that a script can take it; what to do with it on a terminal only."""
    with _asking(directory) as client:
        token = client.new_token()
    terminal.say(token)
    if terminal.shows_secrets:
        terminal.say("good once, within an hour; on the new machine:")
        terminal.say(f"  objstore join {client.holder} --token TOKEN --zone z2 --drives PATH ...")
    return OK


def become_holder(directory: ClusterDirectory, terminal: Terminal, *, is_lost: bool) -> int:
    with _asking(directory) as client:
        terminal.say(client.take_over(is_lost=is_lost))
    return OK


def rotate_key(directory: ClusterDirectory, terminal: Terminal) -> int:
    """Exit code 0 also when a node has yet to confirm: the holder goes on."""
    with _asking(directory) as client:
        terminal.say(client.rotate_key())
    return OK


@contextmanager
def _asking(directory: ClusterDirectory) -> Iterator[HolderClient]:
    """What the agents say no to becomes the command's last line. Raises CommandError."""
    if not is_of_several(directory):
        raise CommandError(
            f"{directory.root}: all nodes are on this machine ({directory.etc / MEMBERS_FILE} is missing); a cluster "
            "that others can join is made by: objstore init DIR --zone z1 --drives PATH ..."
        )
    try:
        yield connect(directory)
    except (DomainError, ChangeRefused) as error:
        raise CommandError(str(error), code=FAILED) from None
