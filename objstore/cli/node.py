"""objstore node stop|start DIR NODE: hold one storage node down, for maintenance and for tests."""

from __future__ import annotations

import argparse

from objstore.cli.place import add_directory, ask_supervisor, existing
from objstore.cli.terminal import OK, Terminal

EXAMPLE = """\
example:
  objstore node stop ~/cluster n2 --kill     its processes die by SIGKILL; nothing starts them again
  objstore node start ~/cluster n2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("stop", "start"))
    add_directory(parser)
    parser.add_argument("node", metavar="NODE", help="its name, as in objstore status")
    parser.add_argument("--kill", action="store_true", help="stop: by SIGKILL instead of asking")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    directory = existing(arguments)
    message = {"do": f"{arguments.action}-node", "node": arguments.node, "kill": arguments.kill}
    ask_supervisor(directory, message)
    terminal.say(f"{arguments.node}: {'held down' if arguments.action == 'stop' else 'starting'}")
    return OK
