"""objstore join HOST:PORT --token T --zone Z --drives PATH…: this machine becomes a node of a cluster, and starts."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from objstore.cli.init import drive_weight
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.cluster import drives as drive_finder
from objstore.cluster import token as tokens
from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.first_node import AGENT_PORT
from objstore.cluster.init import InitError
from objstore.cluster.join_draft import DRAFT
from objstore.cluster.joining import JoinPlan, join
from objstore.config.errors import ConfigError
from objstore.core.errors import DomainError
from objstore.runtime.fs import Fs

DIRECTORY = Path("/var/lib/objstore")
_TOKEN_VARIABLE = "OBJSTORE_JOIN_TOKEN"
EXAMPLE = """\
example:
  objstore join 10.0.0.1:6199 --token objstore-join-... --zone z2 --drives /srv/node/d1 /srv/node/d2

The token comes from `objstore init --zone` or `objstore node token` on a node of the cluster; it is good once, within
an hour. It may stand in the environment as OBJSTORE_JOIN_TOKEN instead, where ps does not show it. A join that breaks
off after the token was used goes on when the same command is run again.
Exit codes: 0 this is a node; 1 the cluster said no or does not answer; 78 this machine or a drive cannot be used.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="HOST:PORT", help="of the agent that gave the token")
    parser.add_argument("--token", default="", help="what that node printed")
    parser.add_argument("--zone", required=True, help="the failure domain of this machine: a word, as in z2")
    parser.add_argument("--drives", required=True, nargs="+", type=Path, metavar="PATH", help="directories")
    parser.add_argument("--dir", type=Path, default=DIRECTORY, metavar="DIR", help="configuration (%(default)s)")
    parser.add_argument(
        "--weight", type=drive_weight, metavar="N", help="of each drive; else 1 per gigabyte of its size"
    )
    parser.add_argument("--ip", default="", help="of this machine; else the one that reaches HOST")
    parser.add_argument("--name", default="", help="of this node; else the next free of n1, n2, ...")
    parser.add_argument("--agent-port", type=int, default=AGENT_PORT, metavar="PORT", help="(%(default)s)")
    parser.add_argument("--node-port", type=int, default=6200, metavar="PORT", help="its servers' first (%(default)s)")
    parser.add_argument("--bind", default="", metavar="IP", help="where the proxy listens; else the node's address")
    parser.add_argument("--port", type=int, default=8080, help="its port; 0: any free one (%(default)s)")
    parser.add_argument("--proxy-workers", default="2", metavar="N", help="its processes (%(default)s)")
    parser.add_argument("--no-proxy", action="store_true", help="storage only: clients use the proxies of other nodes")
    parser.add_argument("--up", action=argparse.BooleanOptionalAction, default=True, help="start it then")
    parser.add_argument("--detach", action="store_true", help="start it in the background")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    directory = ClusterDirectory(arguments.dir.expanduser().resolve())
    if directory.exists:
        raise CommandError(f"{directory.root}: a node is here already; start it with: objstore up {directory.root}")
    try:
        plan, token = _plan(arguments), _token(arguments, directory, terminal)
        node = join(directory, plan, token, Fs(), terminal.say)
    except InitError as error:
        raise CommandError(str(error)) from None
    except ConfigError as error:
        raise CommandError(*map(str, error.problems)) from None
    except drive_finder.DriveError as error:
        raise CommandError(str(error)) from None
    except ChangeRefused as error:
        raise CommandError(*(f"refused: {reason}" for reason in error.reasons), code=FAILED) from None
    except DomainError as error:
        raise CommandError(str(error), code=FAILED) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from None
    if not arguments.up:
        terminal.say(f"start {node.name} with: objstore up {directory.root}")
        return OK
    return _start(directory, arguments.detach, terminal)


def _plan(arguments: argparse.Namespace) -> JoinPlan:
    host, colon, port = arguments.address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise CommandError(f"{arguments.address!r}: expected HOST:PORT, as printed with the token", code=USAGE)
    return JoinPlan(
        host=host.removeprefix("[").removesuffix("]"),
        port=int(port),
        zone=arguments.zone,
        drives=drive_finder.found(arguments.drives, Fs()),
        ip=arguments.ip,
        name=arguments.name,
        agent_port=arguments.agent_port,
        base_port=arguments.node_port,
        proxy_ip=arguments.bind,
        proxy_port=None if arguments.no_proxy else arguments.port,
        proxy_workers=arguments.proxy_workers,
        weight=arguments.weight,
    )


def _token(arguments: argparse.Namespace, directory: ClusterDirectory, terminal: Terminal) -> tokens.Token | None:
    """None when none was given and a join that broke off can go on without."""
    text = arguments.token or terminal.environ.get(_TOKEN_VARIABLE, "")
    if not text and (directory.root / DRAFT).is_dir():
        return None
    try:
        return tokens.parse(text)
    except tokens.TokenError as error:
        raise CommandError(f"--token {error}", code=USAGE) from None


def _start(directory: ClusterDirectory, is_detached: bool, terminal: Terminal) -> int:
    """Become `objstore up` by exec: servers must not be forked from a process that has used threads."""
    command = [sys.executable, "-P", "-m", "objstore.cli.main", "up", str(directory.root)]
    terminal.stdout.flush()
    os.execv(sys.executable, command + (["--detach"] if is_detached else []))
