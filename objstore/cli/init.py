"""objstore init DIR: lay out a cluster without starting it."""

from __future__ import annotations

import argparse
from pathlib import Path

from objstore.cli.place import add_directory, directory_of
from objstore.cli.terminal import OK, USAGE, CommandError, Terminal
from objstore.cluster import first_node
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.drive_weights import WEIGHT_MAX
from objstore.cluster.drives import DriveError, found
from objstore.cluster.first_node import AGENT_PORT, FirstNode
from objstore.cluster.init import InitError, InitPlan, PolicyPlan, initialise
from objstore.cluster.members import MembersError
from objstore.runtime.fs import Fs
from objstore.runtime.listen import shown
from objstore.runtime.netinfo import local_addresses

_DEFAULT = InitPlan()
EXAMPLE = """\
example:
  objstore init ~/cluster --nodes 6 --replicas 3 --policy gold:3 --policy silver:2
  objstore init /var/lib/objstore --zone z1 --drives /srv/node/d1 /srv/node/d2      a node that others can join

Nothing is overwritten: in a directory that has a cluster, init says so and changes nothing.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_directory(parser)
    add_plan_arguments(parser)
    node = parser.add_argument_group("one node of several machines, instead of all nodes on this one")
    node.add_argument("--zone", default="", help="the failure domain of this machine: a word, as in z1")
    node.add_argument("--drives", nargs="+", type=Path, metavar="PATH", help="its drives: directories, best mounts")
    node.add_argument("--ip", default="", help="where other nodes reach it; needed when it has several addresses")
    node.add_argument("--agent-port", type=int, default=AGENT_PORT, metavar="PORT", help="(%(default)s)")
    node.add_argument("--weight", type=drive_weight, metavar="N", help="of each drive; else 1 per gigabyte of its size")


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that describe a new cluster; on one that exists already they have no effect."""
    plan = parser.add_argument_group("a new cluster")
    plan.add_argument("--nodes", type=int, default=_DEFAULT.nodes, help="storage nodes (%(default)s)")
    plan.add_argument("--replicas", type=float, default=_DEFAULT.replicas, help="copies of everything (%(default)g)")
    plan.add_argument("--part-power", type=int, default=_DEFAULT.part_power, help="2^N partitions (%(default)s)")
    plan.add_argument(
        "--bind",
        default="",
        metavar="IP",
        help=f"where the proxy listens ({_DEFAULT.ip}; with --zone the node's)",
    )
    plan.add_argument("--port", type=int, default=_DEFAULT.port, help="its port; 0: any free one (%(default)s)")
    plan.add_argument(
        "--proxy-workers",
        "--workers",
        default=_DEFAULT.proxy_workers,
        metavar="N",
        help="its processes: a number, or auto for one per core (%(default)s)",
    )
    plan.add_argument(
        "--node-port", type=int, default=_DEFAULT.base_port, metavar="PORT", help="first port of nodes (%(default)s)"
    )
    plan.add_argument(
        "--policy",
        type=_policy,
        action="append",
        default=[],
        metavar="NAME[:REPLICAS]",
        help="a storage policy; the first one named is the default (may be repeated)",
    )


def drive_weight(text: str) -> int:
    """A type for argparse: a weight from 1 to WEIGHT_MAX."""
    weight = int(text)
    if not 0 < weight <= WEIGHT_MAX:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1 to {WEIGHT_MAX}")
    return weight


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    directory = directory_of(arguments)
    if directory.exists:
        terminal.say(f"{directory.root}: a cluster is here already; nothing was changed")
        return OK
    if bool(arguments.zone) != bool(arguments.drives):
        raise CommandError("--zone and --drives go together: they make a node that others can join", code=USAGE)
    if arguments.weight is not None and not arguments.zone:
        raise CommandError("--weight goes with --zone and --drives: drives in one directory weigh the same", code=USAGE)
    if arguments.zone:
        return _make_first_node(directory, arguments, terminal)
    make(directory, arguments)
    terminal.say(
        f"{directory.root}: a new cluster of {arguments.nodes} nodes; start it with: objstore up {directory.root}"
    )
    if terminal.shows_secrets:
        terminal.say(f"its first user's key can be shown with: objstore user key {directory.root} admin:admin")
    return OK


def _make_first_node(directory: ClusterDirectory, arguments: argparse.Namespace, terminal: Terminal) -> int:
    ip = arguments.ip or _own_address()
    try:
        drives = found(arguments.drives, Fs())
        node = FirstNode(arguments.zone, drives, ip, arguments.agent_port, weight=arguments.weight)
        _, token = first_node.initialise(directory, _plan(arguments, arguments.bind or ip), node, Fs())
    except (InitError, DriveError, MembersError) as error:
        raise CommandError(str(error)) from None
    address = shown((ip, arguments.agent_port))
    terminal.say(f"{directory.root}: the first node of a cluster, n1 in zone {arguments.zone}")
    terminal.say("start it, and then on the next machine (the token is good once, within an hour):")
    terminal.say(f"  objstore up {directory.root}")
    terminal.say(f"  objstore join {address} --token {token.text()} --zone z2 --drives PATH ...")
    return OK


def _own_address() -> str:
    """Raises CommandError when there is more than one to choose from."""
    loopback = ("127.", "::1", "fe80:")
    addresses = sorted(address for address in local_addresses() if not address.startswith(loopback))
    if len(addresses) != 1:
        some = f"this machine has {', '.join(addresses)}" if addresses else "this machine has none but loopback"
        raise CommandError(f"--ip is needed, the address by which other nodes reach this one: {some}", code=USAGE)
    return addresses[0]


def make(directory: ClusterDirectory, arguments: argparse.Namespace) -> None:
    """Lay out a cluster as the arguments say. Raises CommandError."""
    try:
        initialise(directory, _plan(arguments, arguments.bind or _DEFAULT.ip), Fs())
    except InitError as error:
        raise CommandError(str(error)) from None


def _plan(arguments: argparse.Namespace, proxy_ip: str) -> InitPlan:
    policies = [
        PolicyPlan(name, arguments.replicas if replicas is None else replicas) for name, replicas in arguments.policy
    ]
    return InitPlan(
        nodes=arguments.nodes,
        replicas=arguments.replicas,
        part_power=arguments.part_power,
        ip=proxy_ip,
        port=arguments.port,
        proxy_workers=arguments.proxy_workers,
        base_port=arguments.node_port,
        policies=tuple(policies),
    )


def _policy(text: str) -> tuple[str, float | None]:
    name, colon, replicas = text.partition(":")
    return name, float(replicas) if colon else None
