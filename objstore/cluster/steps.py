"""The further steps of a change: one replica of a partition moves at a time, and the next follows by itself.

Of the holder's agent with every round, and of cluster/local_steps.py where all nodes are on one machine. It goes on
only when every node that can tell has these rings and has said since that it has brought everything to its place
(settled.py): so a replica never begins to move while another of its partition is on its way, however long that takes.
Who should say something and does not stops it, is named, and `objstore ring continue` goes on by hand then.

Drives in the rings of which nobody here can tell (nodes of Swift, say) cannot stop it for ever. Where their servers say
that they have other rings (strangers.py) it waits; else, for them, the rule is the one that operators of such clusters
go by: min_part_hours, an hour at least, besides what the others say.
Only steps of what was asked for follow: rings or builders changed by hand since then end it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.holder import Holder, VersionConflict
from objstore.cluster.node_state import ClusterFacts
from objstore.cluster.ring_manifest import Manifest
from objstore.cluster.strangers import Strangers
from objstore.runtime.clock import Clock
from objstore.runtime.listen import Address, shown

NAMED_MAX = 5
_log = logging.getLogger("objstore.steps")


class Steps:
    """known: addresses of the storage servers whose nodes say how they are, in facts. Everything raises OSError and
    DomainError of its own files."""

    def __init__(self, holder: Holder, clock: Clock, strangers: Strangers) -> None:
        self._holder = holder
        self._clock = clock
        self._strangers = strangers
        self._refused: tuple[int, str] = (0, "")
        self._due: tuple[int, float] = (-1, 0.0)

    def text(self, facts: ClusterFacts, known: AbstractSet[Address]) -> str:
        """What the next step waits for, in words for people; "" when there is none."""
        manifest = self._holder.following()
        if not manifest.has_more:
            return ""
        if manifest.is_paused:
            return "paused: to have the next step follow: objstore ring resume DIR"
        version, reason = self._refused
        if version == manifest.version:
            return f"stopped: {reason}; by hand: objstore ring continue DIR"
        behind = [f"{shown(each)} (has other rings)" for each in self._strangers.behind(known, manifest.version)]
        waiting = [*_waiting_for(facts, manifest.version), *behind]
        if waiting:
            return f"the next step follows when everything is in its place; not yet: {_named(waiting)}"
        wait_s = self._wait_s(known, manifest.version)
        if wait_s > 0:
            strangers = _named(list(map(shown, self._strangers.among(known, manifest.version))))
            return (
                f"the next step follows in {-(-wait_s // 60):.0f} min, when min_part_hours have passed, an hour at "
                f"least: nobody can tell whether everything is in its place at {strangers} (no member)"
            )
        return "the next step follows now"

    def foreseen(self, facts: ClusterFacts, known: AbstractSet[Address]) -> str:
        """As text(), by somebody who does not go on: whether the step that may follow would be refused is found out."""
        manifest = self._holder.following()
        if self._may_follow(manifest, facts, known):
            try:
                self._holder.foresee(manifest.version)
            except ChangeRefused as error:
                self._refused = manifest.version, str(error)
        return self.text(facts, known)

    def go_on(self, facts: ClusterFacts, known: AbstractSet[Address]) -> bool:
        """Do the next step if it may follow; whether the rings have changed. facts: of a round that has just ended."""
        manifest = self._holder.following()
        if not self._may_follow(manifest, facts, known):
            return False
        try:
            moves = self._holder.go_on(manifest.version)
        except ChangeRefused as error:
            self._refused = manifest.version, str(error)
            _log.warning("no further step of the change: %s", error)
            return False
        except VersionConflict:  # Somebody has just changed something: look again with the next round.
            return False
        _log.info("everything is in its place: next step moves=%d", moves)
        return moves > 0

    def _may_follow(self, manifest: Manifest, facts: ClusterFacts, known: AbstractSet[Address]) -> bool:
        version = manifest.version
        if not manifest.has_more or manifest.is_paused or self._refused[0] == version or facts.version != version:
            return False
        return not any(_waiting_for(facts, version)) and self._wait_s(known, version) <= 0

    def _wait_s(self, known: AbstractSet[Address], version: int) -> float:
        """How long yet, for want of anybody's word; 0 when all have theirs."""
        if not self._strangers.among(known, version):
            return 0.0
        now_s = self._clock.now().seconds
        if self._strangers.behind(known, version):
            # What it has then begins to move when it has the rings.
            self._due = version, now_s + self._holder.unproven_wait_s(is_from_now=True)
        elif self._due[0] != version:
            self._due = version, now_s + self._holder.unproven_wait_s()
        return self._due[1] - now_s


def _waiting_for(facts: ClusterFacts, version: int) -> Iterator[str]:
    """Names of nodes that have not said yet that all is in its place at that version."""
    for node in facts.nodes:
        if node.rings.version != version or node.settled != version or node.problem:
            yield node.name


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return f"{', '.join(names[:NAMED_MAX])}{more}"
