"""objstore node stop|start DIR NODE: hold one storage node down, for maintenance and for tests."""

from __future__ import annotations

import argparse

from objstore.cli.node_holder import become_holder, say_token
from objstore.cli.place import add_directory, ask_supervisor, existing
from objstore.cli.terminal import OK, USAGE, CommandError, Terminal

EXAMPLE = """\
example:
  objstore node stop ~/cluster n2 --kill     its processes die by SIGKILL; nothing starts them again
  objstore node start ~/cluster n2
  objstore node token ~/cluster              a token with which one more machine may join, once, within an hour
  objstore node holder ~/cluster             this node holds the ring builders from now on
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("stop", "start", "token", "holder"))
    add_directory(parser)
    parser.add_argument("node", metavar="NODE", nargs="?", help="its name, as in objstore status (stop, start)")
    parser.add_argument("--lost", action="store_true", help="holder: the node that held the builders is gone for good")
    parser.add_argument("--kill", action="store_true", help="stop: by SIGKILL instead of asking")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    directory = existing(arguments)
    if arguments.action == "token":
        return say_token(directory, terminal)
    if arguments.action == "holder":
        return become_holder(directory, terminal, is_lost=arguments.lost)
    if not arguments.node:
        raise CommandError(f"objstore node {arguments.action} needs NODE", code=USAGE)
    message = {"do": f"{arguments.action}-node", "node": arguments.node, "kill": arguments.kill}
    ask_supervisor(directory, message)
    terminal.say(f"{arguments.node}: {'held down' if arguments.action == 'stop' else 'starting'}")
    return OK
