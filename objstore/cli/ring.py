"""objstore ring status|continue|pause|resume|push|rebuild DIR: the rings of a cluster as a whole."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence

from objstore.cli.at_once import within
from objstore.cli.place import add_directory, existing
from objstore.cli.plan_view import waiting_text
from objstore.cli.ring_facts import RingFact, ring_facts
from objstore.cli.ring_session import Rings, add_change_arguments, carry_out, is_wanted, said
from objstore.cli.status import table
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.cluster.changes import Continue
from objstore.cluster.client import HolderClient
from objstore.cluster.holder import Holder
from objstore.cluster.local_steps import LocalSteps
from objstore.cluster.node_state import ClusterFacts, NodeFact, differing
from objstore.ring.reload import CHECK_INTERVAL_S
from objstore.runtime import lock

EXAMPLE = """\
example:
  objstore ring status ~/cluster
  objstore ring continue ~/cluster --yes    the next step of what drains and new drives could not move at once
  objstore ring pause ~/cluster             further steps wait until: objstore ring resume ~/cluster
  objstore ring push ~/cluster              after work with objstore-ring-builder: take it over, give it to all nodes
                                            (instead of rings that were put on a node by hand: asks)
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
        return _continue(rings, arguments, terminal)
    if arguments.action in ("pause", "resume"):
        return _pause(rings, terminal, is_paused=arguments.action == "pause")
    if arguments.action == "push":
        return _push(rings, arguments, terminal)
    return _rebuild(rings, arguments, terminal)


def _status(rings: Rings, as_json: bool, terminal: Terminal) -> int:
    with said():
        version, notes, facts = ring_facts(rings)
        steps = _steps(rings)
    known = rings.cluster[0]
    if as_json:
        value = {
            "version": version,
            "rings": [dataclasses.asdict(fact) for fact in facts],
            "notes": notes,
            "nodes": [] if known is None else known.to_json()["nodes"],
            "steps": steps,
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
        if steps:
            terminal.say(f"steps: {steps}")
        elif any(fact.draining for fact in facts):
            terminal.say(_next_step(rings, facts))
    return FAILED if notes or any(fact.differs for fact in facts) else OK


def _next_step(rings: Rings, facts: Sequence[RingFact]) -> str:
    # Without builders here nobody knows how long partitions have to stay.
    is_known = all(fact.waiting is not None for fact in facts)
    when = f"; possible in {waiting_text(max(fact.wait_s for fact in facts))}" if is_known else ""
    return f"drained drives have partitions to give away{when}: objstore ring continue {rings.directory.root}"


def _steps(rings: Rings) -> str:
    """What the next step of a change waits for; "" when there is none, or the holder does not answer."""
    if rings.client is not None:
        known, _ = rings.cluster
        return "" if known is None else known.steps
    text = LocalSteps(rings.directory, within).text()
    if text and not lock.is_held(rings.directory.run):
        return f"{text}; nothing follows before this runs: objstore up {rings.directory.root}"
    return text


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


def _continue(rings: Rings, arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Nobody is asked about a step that moves nothing."""
    usage = rings.usage()
    with said():
        plan = rings.planner().plan(Continue(), usage)
    if plan.refusals or plan.moves:
        return carry_out(rings, Continue(), arguments, terminal, usage=usage)
    if arguments.json:
        terminal.say(json.dumps({"applied": False, "plan": plan.to_json()}, indent=2))
    else:
        terminal.say(f"nothing has to move: the rings at version {plan.version} stay as they are")
    return OK


def _pause(rings: Rings, terminal: Terminal, *, is_paused: bool) -> int:
    with said(f"objstore ring status {rings.directory.root}"):
        if rings.client is None:
            Holder(rings.directory.etc).pause(is_paused)
        else:
            rings.client.pause(is_paused=is_paused)
    if is_paused:
        terminal.say(f"further steps of changes wait for: objstore ring resume {rings.directory.root}")
    else:
        terminal.say("further steps of changes follow by themselves when everything is in its place")
    return OK


def _push(rings: Rings, arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Take over what was done by hand; the rings of one directory need no carrying."""
    if rings.client is not None:
        return _push_to_nodes(rings.client, arguments, terminal)
    with said():
        found = Holder(rings.directory.etc).rings()
    if arguments.json:
        digests = {name: digest for name, (digest, _) in found.files.items()}
        terminal.say(json.dumps({"version": found.version, "rings": digests}, indent=2))
    else:
        terminal.say(
            f"rings at version {found.version} ({', '.join(sorted(found.files))}); running servers use them within "
            f"{CHECK_INTERVAL_S:.0f} s"
        )
    return OK


def _push_to_nodes(client: HolderClient, arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Have the holder bring its rings everywhere, over files that came by hand only when that is wanted. Fails when a
    node has others then. Raises CommandError when the holder's own came by hand."""
    with said():
        facts = client.push(is_forced=False)
    replaced = [f"{node.name}: {', '.join(names)}" for node in facts.nodes if (names := _by_hand(node, facts))]
    if facts.foreign:
        raise CommandError(*(f"nothing was pushed: {facts.holder}: {text}" for text in facts.foreign), code=FAILED)
    if replaced and not arguments.json:
        terminal.say(f"plan: rings of {facts.holder} at version {facts.version} replace what was put there by hand:")
        for line in replaced:
            terminal.say(f"  {line}")
    if replaced and not arguments.plan:
        if arguments.json and not arguments.yes:
            raise CommandError("--json cannot ask: add --yes to do it, or --plan to see it", code=USAGE)
        if not is_wanted(arguments, terminal):
            return FAILED
        with said():
            facts = client.push(is_forced=True)
    return _say_pushed(facts, arguments.json, terminal)


def _by_hand(node: NodeFact, facts: ClusterFacts) -> list[str]:
    """Rings of a node that somebody put there and that are not the holder's."""
    return [name for name in node.rings.foreign if node.rings.digests.get(name) != facts.digests.get(name)]


def _say_pushed(facts: ClusterFacts, as_json: bool, terminal: Terminal) -> int:
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
