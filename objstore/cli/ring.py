"""objstore ring status|continue|pause|resume|push|rebuild DIR: the rings of a cluster as a whole."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator, Sequence

from objstore.cli.place import add_directory, existing
from objstore.cli.plan_view import waiting_text
from objstore.cli.ring_facts import RingFact, ring_facts
from objstore.cli.ring_session import Rings, add_change_arguments, carry_out, said
from objstore.cli.status import table
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.cluster.changes import Continue
from objstore.cluster.client import HolderClient
from objstore.cluster.holder import Holder
from objstore.cluster.node_state import NodeFact, differing
from objstore.ring.reload import CHECK_INTERVAL_S

EXAMPLE = """\
example:
  objstore ring status ~/cluster
  objstore ring continue ~/cluster --yes    the next step of what drains and new drives could not move at once
  objstore ring pause ~/cluster             further steps wait until: objstore ring resume ~/cluster
  objstore ring push ~/cluster              after work with objstore-ring-builder: take it over, give it to all nodes
  objstore ring rebuild ~/cluster           the builders are lost: make new ones from the rings

Exit code 0: done, every node has the same rings; 1: refused, or some node's rings differ; 2: --yes is needed.
"""
_NODE_COLUMNS = ("node", "address", "rings", "seen")
_COLUMNS = ("ring", "version", "digest", "drives", "balance", "dispersion", "waiting", "draining", "differs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("status", "continue", "pause", "resume", "push", "rebuild"))
    add_directory(parser)
    parser.add_argument(
        "--min-part-hours", type=int, default=1, metavar="HOURS", help="rebuild: rings do not tell (%(default)s)"
    )
    add_change_arguments(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    rings = Rings(existing(arguments))
    if arguments.action == "status":
        return _status(rings, arguments.json, terminal)
    if arguments.action == "continue":
        return carry_out(rings, Continue(), arguments, terminal)
    if arguments.action in ("pause", "resume"):
        return _pause(rings, terminal, is_paused=arguments.action == "pause")
    if arguments.action == "push":
        return _push(rings, arguments.json, terminal)
    return _rebuild(rings, arguments, terminal)


def _status(rings: Rings, as_json: bool, terminal: Terminal) -> int:
    with said():
        version, notes, facts = ring_facts(rings)
    known = rings.cluster[0]
    if as_json:
        value = {
            "version": version,
            "rings": [dataclasses.asdict(fact) for fact in facts],
            "notes": notes,
            "nodes": [] if known is None else known.to_json()["nodes"],
            "steps": "" if known is None else known.steps,
        }
        terminal.say(json.dumps(value, indent=2))
    else:
        terminal.say(f"{rings.directory.root}: rings at version {'-' if version is None else version}")
        for line in table([_row(fact) for fact in facts], _COLUMNS):
            terminal.say(line)
        if known is not None:
            terminal.say()
            for line in table([_node_row(node) for node in known.nodes], _NODE_COLUMNS):
                terminal.say(line)
        for note in notes:
            terminal.say(f"note: {note}")
        for line in _what_goes_on(rings, facts, "" if known is None else known.steps):
            terminal.say(line)
    return FAILED if notes or any(fact.differs for fact in facts) else OK


def _what_goes_on(rings: Rings, facts: Sequence[RingFact], steps: str) -> Iterator[str]:
    """steps: what the holder's agent does by itself; '' where nobody does."""
    if steps:
        yield f"steps: {steps}"
    elif any(fact.draining for fact in facts):
        wait_s = max(fact.wait_s for fact in facts)
        yield (
            f"drained drives have partitions to give away; possible in {waiting_text(wait_s)}: "
            f"objstore ring continue {rings.directory.root}"
        )


def _row(fact: RingFact) -> dict[str, object]:
    return {
        "ring": fact.ring,
        "version": "-" if fact.version is None else str(fact.version),
        "digest": fact.sha256[:12],
        "drives": str(fact.drives),
        "balance": f"{fact.balance:.2f} %",
        "dispersion": f"{fact.dispersion:.2f} %",
        "waiting": "-" if fact.waiting is None else f"{fact.waiting} for {fact.wait_s // 60} min",
        "draining": str(fact.draining),
        "differs": ", ".join(fact.differs),
    }


def _node_row(node: NodeFact) -> dict[str, object]:
    return {
        "node": node.name,
        "address": node.ip,
        "rings": str(node.rings.version),
        "seen": "never" if node.age_s is None else f"{node.age_s:.0f} s ago",
    }


def _pause(rings: Rings, terminal: Terminal, *, is_paused: bool) -> int:
    if rings.client is None:
        raise CommandError(
            f"{rings.directory.root}: all nodes are on this machine, where no step follows by itself: objstore "
            f"ring continue {rings.directory.root}"
        )
    with said(f"objstore ring status {rings.directory.root}"):
        rings.client.pause(is_paused=is_paused)
    if is_paused:
        terminal.say(f"further steps of changes wait for: objstore ring resume {rings.directory.root}")
    else:
        terminal.say("further steps of changes follow by themselves when everything is in its place")
    return OK


def _push(rings: Rings, as_json: bool, terminal: Terminal) -> int:
    """Take over what was done by hand; the rings of one directory need no carrying."""
    if rings.client is not None:
        return _push_to_nodes(rings.client, as_json, terminal)
    with said():
        found = Holder(rings.directory.etc).rings()
    if as_json:
        digests = {name: digest for name, (digest, _) in found.files.items()}
        terminal.say(json.dumps({"version": found.version, "rings": digests}, indent=2))
    else:
        terminal.say(
            f"rings at version {found.version} ({', '.join(sorted(found.files))}); running servers use them within "
            f"{CHECK_INTERVAL_S:.0f} s"
        )
    return OK


def _push_to_nodes(client: HolderClient, as_json: bool, terminal: Terminal) -> int:
    """Have the holder bring its rings everywhere, also over files that came by hand. Fails when a node has others
    then."""
    with said():
        facts = client.push()
    behind = {name for name, _ in differing(facts)} | {node.name for node in facts.nodes if node.problem}
    if as_json:
        terminal.say(json.dumps(facts.to_json(), indent=2))
        return FAILED if behind or facts.foreign else OK
    terminal.say(f"rings of {facts.holder} at version {facts.version}")
    for node in facts.nodes:
        terminal.say(f"  {node.name}: {node.problem or ('other rings' if node.name in behind else 'has them')}")
    for note in facts.foreign:
        terminal.say(f"note: {note}")
    return FAILED if behind or facts.foreign else OK


def _rebuild(rings: Rings, arguments: argparse.Namespace, terminal: Terminal) -> int:
    if not rings.has_builders:
        raise CommandError(
            "another node holds the builders; when that one is lost: objstore node holder "
            f"{rings.directory.root} --lost"
        )
    question = "Make builders from the ring files? What they replace is kept in backups/."
    if not arguments.yes:
        if not terminal.can_ask:
            raise CommandError("nothing was changed: add --yes to make builders from the ring files", code=USAGE)
        if not terminal.confirm(question):
            terminal.say("nothing was changed")
            return FAILED
    with said(f"objstore ring status {rings.directory.root}"):
        found = Holder(rings.directory.etc).rebuild_from_rings(arguments.min_part_hours)
    if arguments.json:
        terminal.say(json.dumps({"version": found.version}, indent=2))
    else:
        terminal.say(
            f"builders made from the rings, now at version {found.version}; nothing moves for "
            f"{arguments.min_part_hours} h, for nobody knows what moved last"
        )
    return OK
