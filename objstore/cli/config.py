"""objstore config check DIR|FILE: everything that is wrong, without starting anything."""

from __future__ import annotations

import argparse
from pathlib import Path

from objstore.cli.checks import all_problems
from objstore.cli.terminal import EX_CONFIG, OK, CommandError, Terminal
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.servers import read_server
from objstore.config.server import ROLE_PORTS

EXAMPLE = """\
example:
  objstore config check ~/cluster
  objstore config check /etc/swift/proxy-server.conf

Exit code 0: nothing wrong; 78: what is wrong is listed, one line each.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("check",))
    parser.add_argument("path", metavar="DIR|FILE", type=Path, help="a cluster's directory, or one server's ini file")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    path = arguments.path.expanduser().resolve()
    directory = ClusterDirectory(path)
    if path.is_dir() and directory.exists:
        lines, notes = all_problems(directory)
        for line in lines:
            terminal.complain(line)
        for note in notes:
            terminal.say(f"note: {note}")
        if lines:
            return EX_CONFIG
        terminal.say(f"{path}: nothing is wrong")
        return OK
    role = next((role for role in ROLE_PORTS if path.name.startswith(role)), None)
    if role is None:
        raise CommandError(f"{path}: expected a cluster's directory or a file named {', '.join(ROLE_PORTS)}.conf")
    for note in read_server(path, role, "-").notes:
        terminal.say(f"note: {note}")
    terminal.say(f"{path}: nothing is wrong")
    return OK
