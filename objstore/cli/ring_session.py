"""What the commands that change rings have in common: who holds them, what is known, plan, question, answer."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from objstore.cli.plan_view import plan_lines
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.cluster.admission import address_of
from objstore.cluster.change_plan import ChangePlan, Usage
from objstore.cluster.changes import Change, NodeAddress
from objstore.cluster.client import HolderClient, connect, is_of_several
from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.holder import ForeignRing, Holder, Planner, VersionConflict
from objstore.cluster.local_drives import LocalDrives, Look
from objstore.cluster.members import Member
from objstore.cluster.node_addresses import of_servers
from objstore.cluster.node_state import ClusterFacts
from objstore.cluster.ring_manifest import RING_SUFFIX
from objstore.cluster.servers import PROXY_NODE, ServerFile, read_servers
from objstore.cluster.usage import measured
from objstore.core.errors import DomainError, LockTimeout
from objstore.ring.fileformat import load
from objstore.ring.model import Ring
from objstore.ring.reload import CHECK_INTERVAL_S

_ATTEMPTS = 5
"""At a change that was agreed to beforehand, when others change the rings between its plan and its execution."""
DEFAULT_RATE_MB = 50.0
"""What a drive is taken to copy per second when nobody says otherwise: a hard disk that serves clients meanwhile."""


@dataclass(frozen=True)
class Rings:
    """A cluster directory as these commands see it. Everything is read when it is first asked for, once."""

    directory: ClusterDirectory

    @cached_property
    def servers(self) -> list[ServerFile]:
        """The storage servers of this machine. Raises ConfigError."""
        return [server for server in read_servers(self.directory) if server.node != PROXY_NODE]

    @cached_property
    def nodes(self) -> Mapping[str, NodeAddress]:
        """Every node by name."""
        if self.client is not None:
            return {node.name: address_of(node) for node in self.client.members.nodes}
        return of_servers(self.servers)

    @cached_property
    def client(self) -> HolderClient | None:
        """Of the node that holds the builders, where the directory is one node among others. Raises CommandError."""
        if not is_of_several(self.directory):
            return None
        with said():
            return connect(self.directory)

    @cached_property
    def cluster(self) -> tuple[ClusterFacts | None, str]:
        """(what the holder knows of every node, ""), or (None, why nobody can tell); (None, "") on one machine."""
        if self.client is None:
            return None, ""
        try:
            return self.client.facts(), ""
        except DomainError as error:
            return None, f"nobody knows how other nodes are: {error}"

    @property
    def has_builders(self) -> bool:
        """Whether the builders here are the ones: on other nodes there may be some of earlier days."""
        return self.client is None or self.client.is_holder

    @cached_property
    def rings(self) -> Mapping[str, Ring]:
        """The rings of this machine by name. Raises RingFileError."""
        paths = sorted(self.directory.etc.glob(f"*{RING_SUFFIX}"))
        return {path.name.removesuffix(RING_SUFFIX): load(path) for path in paths}

    def planner(self) -> Planner:
        """The holder of this cluster's rings: it plans changes and carries them out."""
        return self.client or Holder(self.directory.etc)

    def node(self, name: str) -> NodeAddress:
        """By its name, or by its address where only one has that. Raises CommandError."""
        found = [node for node in self.nodes.values() if name == node.name or name == node.ip]
        exact = [node for node in found if node.name == name]
        if len(exact or found) == 1:
            return (exact or found)[0]
        known = ", ".join(self.nodes)
        raise CommandError(f"{name}: {'several nodes have' if found else 'no node has'} that name or address ({known})")

    def server(self, node: NodeAddress, kind: str = "object") -> ServerFile | None:
        """A node's server when it is on this machine."""
        role = f"{kind}-server"
        return next((each for each in self.servers if (each.node, each.role) == (node.name, role)), None)

    def look(self, node: NodeAddress, held: Iterable[str] = (), new: str = "") -> Look:
        """At drives of a node, by its agent where that is another machine. held, new: see LocalDrives.look. Raises
        CommandError."""
        with said():
            local = self._local_drives(node)
            if local is not None:
                return local.look(list(held), new)
            client, member = self._remote(node)
            return client.look(member, list(held), new)

    def left_on(self, node: NodeAddress, drives: Iterable[str]) -> int | None:
        """Partitions and container rows still on drives of a node; None when one cannot be looked at. Raises
        CommandError."""
        try:
            return self.look(node, drives).left
        except CommandError as error:
            raise CommandError(
                *error.lines, f"nobody can look at {node.name}; when it is gone for good, say --lost", code=error.code
            ) from None

    def prepare(self, node: NodeAddress, drive: str, *, may_have_data: bool) -> None:
        """The rings may name the drive then. Raises what LocalDrives.prepare does, ChannelError."""
        local = self._local_drives(node)
        if local is not None:
            local.prepare(drive, may_have_data=may_have_data)
            return
        client, member = self._remote(node)
        client.prepare(member, drive, may_have_data=may_have_data)

    def usage(self, new_drives: Iterable[Path] = ()) -> Usage:
        return measured(self.servers, self.rings, new_drives)

    def _local_drives(self, node: NodeAddress) -> LocalDrives | None:
        return None if self.server(node) is None else LocalDrives(self.directory, node.name)

    def _remote(self, node: NodeAddress) -> tuple[HolderClient, Member]:
        assert self.client is not None, "all nodes of one directory are on this machine"
        return self.client, self.client.members.named(node.name)


def add_change_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--plan", action="store_true", help="only show what would be done")
    parser.add_argument("--json", action="store_true", help="one JSON object; needs --yes or --plan")
    parser.add_argument(
        "--rate",
        type=_rate,
        default=DEFAULT_RATE_MB,
        metavar="MB",
        help="megabytes per second that a drive copies, for the estimate (%(default)g)",
    )


def _rate(text: str) -> float:
    value = float(text)
    if not 0.001 <= value < 1e9:
        raise ValueError(text)
    return value


def carry_out(
    rings: Rings,
    change: Change,
    arguments: argparse.Namespace,
    terminal: Terminal,
    *,
    usage: Usage | None = None,
    prepare: Callable[[], None] | None = None,
) -> int:
    """Plan a change, show it, ask, and do it. prepare: what must be there before the rings name it. Returns the exit
    code; raises CommandError."""
    if arguments.json and not (arguments.yes or arguments.plan):
        raise CommandError("--json cannot ask: add --yes to do it, or --plan to see it", code=USAGE)
    usage = usage or rings.usage()
    for left in reversed(range(_ATTEMPTS if arguments.yes else 1)):
        try:
            return _carry_out(rings, change, arguments, terminal, usage, prepare)
        except VersionConflict as error:
            if not left:
                raise CommandError(f"nothing was changed: {error}", code=FAILED) from None
    raise AssertionError("the last attempt returns or raises")


def _carry_out(
    rings: Rings,
    change: Change,
    arguments: argparse.Namespace,
    terminal: Terminal,
    usage: Usage,
    prepare: Callable[[], None] | None,
) -> int:
    """Raises VersionConflict when the rings have changed since they were planned with: a further step of another
    change may have followed by itself. CommandError for the rest."""
    planner = rings.planner()
    with said():
        plan = planner.plan(change, usage)
    if not arguments.json:
        for line in plan_lines(plan, rings.nodes, arguments.rate * 1e6):
            terminal.say(line)
    if plan.refusals or arguments.plan:
        if arguments.json:
            terminal.say(json.dumps({"applied": False, "plan": plan.to_json()}, indent=2))
        return FAILED if plan.refusals else OK
    if not is_wanted(arguments, terminal):
        return FAILED
    with said():
        if prepare is not None:
            prepare()
    look = f"objstore ring status {rings.directory.root}"
    with said(look, is_conflict_told=False):
        version = planner.apply(change, plan.version, usage).version
    _say_done(rings, plan, version, arguments.json, terminal)
    return OK


def is_wanted(arguments: argparse.Namespace, terminal: Terminal) -> bool:
    """Whether what was shown shall be done. Raises CommandError where nobody can be asked."""
    if arguments.yes:
        return True
    if not terminal.can_ask:
        raise CommandError("nothing was changed: this is not a terminal to ask on; add --yes to do it", code=USAGE)
    if terminal.confirm("Do it?"):
        return True
    terminal.say("nothing was changed")
    return False


def _say_done(rings: Rings, plan: ChangePlan, version: int, as_json: bool, terminal: Terminal) -> None:
    if as_json:
        terminal.say(json.dumps({"applied": True, "version": version, "plan": plan.to_json()}, indent=2))
        return
    terminal.say(f"done: the rings are at version {version}; running servers use them within {CHECK_INTERVAL_S:.0f} s")
    if plan.next_s is not None:
        runs = "" if rings.client is not None else ", while objstore up runs"
        terminal.say(
            f"the next step follows by itself when everything is in its place{runs}: objstore ring status "
            f"{rings.directory.root}; to have it wait: objstore ring pause {rings.directory.root}"
        )


@contextmanager
def said(look: str = "", *, is_conflict_told: bool = True) -> Iterator[None]:
    """What the holder refuses becomes the command's last lines. look: for changes, the command that shows whether one
    that broke off was done all the same. is_conflict_told: else VersionConflict goes on as it is."""
    try:
        yield
    except ChangeRefused as error:
        raise CommandError(*(f"refused: {reason}" for reason in error.reasons), code=FAILED) from None
    except (VersionConflict, ForeignRing, LockTimeout) as error:
        if isinstance(error, VersionConflict) and not is_conflict_told:
            raise
        raise CommandError(f"nothing was changed: {error}", code=FAILED) from None
    except (DomainError, OSError) as error:
        lines = [f"it may have been done or not; see: {look}"] if look else []
        raise CommandError(str(error), *lines, code=FAILED) from None
