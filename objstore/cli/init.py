"""objstore init DIR: lay out a cluster without starting it."""

from __future__ import annotations

import argparse

from objstore.cli.place import add_directory, directory_of
from objstore.cli.terminal import OK, CommandError, Terminal
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.init import InitError, InitPlan, PolicyPlan, initialise
from objstore.runtime.fs import Fs

_DEFAULT = InitPlan()
EXAMPLE = """\
example:
  objstore init ~/cluster --nodes 6 --replicas 3 --policy gold:3 --policy silver:2

Nothing is overwritten: in a directory that has a cluster, init says so and changes nothing.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_directory(parser)
    add_plan_arguments(parser)


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """What a new cluster is like; without effect on one that is there."""
    plan = parser.add_argument_group("a new cluster")
    plan.add_argument("--nodes", type=int, default=_DEFAULT.nodes, help="storage nodes (%(default)s)")
    plan.add_argument("--replicas", type=float, default=_DEFAULT.replicas, help="copies of everything (%(default)g)")
    plan.add_argument("--part-power", type=int, default=_DEFAULT.part_power, help="2^N partitions (%(default)s)")
    plan.add_argument("--bind", default=_DEFAULT.ip, metavar="IP", help="where the proxy listens (%(default)s)")
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


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    directory = directory_of(arguments)
    if directory.exists:
        terminal.say(f"{directory.root}: a cluster is here already; nothing was changed")
        return OK
    make(directory, arguments)
    terminal.say(
        f"{directory.root}: a new cluster of {arguments.nodes} nodes; start it with: objstore up {directory.root}"
    )
    if terminal.shows_secrets:
        terminal.say(f"its first user's key can be shown with: objstore user key {directory.root} admin:admin")
    return OK


def make(directory: ClusterDirectory, arguments: argparse.Namespace) -> None:
    """Lay out a cluster as the arguments say. Raises CommandError."""
    policies = [
        PolicyPlan(name, arguments.replicas if replicas is None else replicas) for name, replicas in arguments.policy
    ]
    plan = InitPlan(
        nodes=arguments.nodes,
        replicas=arguments.replicas,
        part_power=arguments.part_power,
        ip=arguments.bind,
        port=arguments.port,
        proxy_workers=arguments.proxy_workers,
        base_port=arguments.node_port,
        policies=tuple(policies),
    )
    try:
        initialise(directory, plan, Fs())
    except InitError as error:
        raise CommandError(str(error)) from None


def _policy(text: str) -> tuple[str, float | None]:
    name, colon, replicas = text.partition(":")
    return name, float(replicas) if colon else None
