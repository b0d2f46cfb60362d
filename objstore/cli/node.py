"""objstore node stop|start|drain|remove DIR NODE, node token|holder|rotate-key DIR: one node, or what makes one."""

from __future__ import annotations

import argparse

from objstore.cli.node_holder import become_holder, rotate_key, say_token
from objstore.cli.place import add_directory, ask_supervisor, existing
from objstore.cli.ring_session import Rings, add_change_arguments, carry_out
from objstore.cli.terminal import OK, USAGE, CommandError, Terminal
from objstore.cluster.changes import DrainNode, RemoveNode
from objstore.cluster.node_addresses import devices_of

EXAMPLE = """\
example:
  objstore node stop ~/cluster n2 --kill     its processes die by SIGKILL; nothing starts them again
  objstore node start ~/cluster n2
  objstore node drain ~/cluster n2           its partitions go to others; then, when it is empty:
  objstore node remove ~/cluster n2
  objstore node remove ~/cluster n2 --lost   it is gone for good: its partitions are copied from the others
  objstore node token ~/cluster              a token with which one more machine may join, once, within an hour
  objstore node holder ~/cluster             this node holds the ring builders from now on
  objstore node rotate-key ~/cluster         all nodes sign with another key, after one of them was stolen and removed

drain and remove show their plan first. Exit code 0: done; 1: refused or failed; 2: --yes is needed; 78: no cluster.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("stop", "start", "drain", "remove", "token", "holder", "rotate-key"))
    add_directory(parser)
    parser.add_argument(
        "node", metavar="NODE", nargs="?", help="its name, as in objstore status; not token, holder, rotate-key"
    )
    parser.add_argument("--kill", action="store_true", help="stop: by SIGKILL instead of asking")
    parser.add_argument("--lost", action="store_true", help="remove, holder: what was there is gone for good")
    add_change_arguments(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    if arguments.lost and arguments.action not in ("remove", "holder"):
        raise CommandError("--lost goes with node remove and node holder only", code=USAGE)
    if arguments.action in ("token", "holder", "rotate-key"):
        return _of_the_holder(arguments, terminal)
    if not arguments.node:
        raise CommandError(f"objstore node {arguments.action} needs NODE", code=USAGE)
    if arguments.action in ("drain", "remove"):
        return _change(arguments, terminal)
    directory = existing(arguments)
    message = {"do": f"{arguments.action}-node", "node": arguments.node, "kill": arguments.kill}
    ask_supervisor(directory, message)
    terminal.say(f"{arguments.node}: {'held down' if arguments.action == 'stop' else 'starting'}")
    return OK


def _of_the_holder(arguments: argparse.Namespace, terminal: Terminal) -> int:
    directory = existing(arguments)
    if arguments.action == "token":
        return say_token(directory, terminal)
    if arguments.action == "rotate-key":
        return rotate_key(directory, terminal)
    return become_holder(directory, terminal, is_lost=arguments.lost)


def _change(arguments: argparse.Namespace, terminal: Terminal) -> int:
    rings = Rings(existing(arguments))
    node = rings.node(arguments.node)
    if arguments.action == "drain":
        return carry_out(rings, DrainNode(node), arguments, terminal)
    drives = {d.device for name, ring in rings.rings.items() for d in devices_of(ring, name.partition("-")[0], node)}
    left = None if arguments.lost else rings.left_on(node, sorted(drives))
    return carry_out(rings, RemoveNode(node, left, arguments.lost), arguments, terminal)
