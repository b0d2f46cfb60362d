"""The further steps of a change: one replica of a partition moves at a time, and the next follows by itself.

Of the holder's agent, with every round. It goes on only when every member has these rings and has said since that it
has brought everything to its place (settled.py): so a replica never begins to move while another of its partition is on
its way, however long that takes. min_part_hours is what operators wait who cannot know; here it is known. Who says
nothing stops it, is named, and `objstore ring continue` goes on by hand then. Only steps of what was asked for follow:
rings or builders changed by hand since then end it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.directory import STORAGE_KINDS
from objstore.cluster.holder import Holder, VersionConflict
from objstore.cluster.members import Members
from objstore.cluster.node_state import ClusterFacts
from objstore.cluster.ring_manifest import RING_SUFFIX
from objstore.ring.fileformat import load
from objstore.runtime.listen import shown

NAMED_MAX = 5
_log = logging.getLogger("objstore.agent")


class Steps:
    """etc: of the holder. Everything raises OSError and DomainError of its own files."""

    def __init__(self, etc: Path, holder: Holder) -> None:
        self._etc = etc
        self._holder = holder
        self._refused: tuple[int, str] = (0, "")
        self._strangers: tuple[int, list[str]] = (-1, [])

    def text(self, facts: ClusterFacts, members: Members) -> str:
        """What the next step waits for, in words for people; "" when there is none."""
        manifest = self._holder.following()
        if not manifest.has_more:
            return ""
        if manifest.is_paused:
            return "paused: to have the next step follow: objstore ring resume DIR"
        version, reason = self._refused
        if version == manifest.version:
            return f"stopped: {reason}; by hand: objstore ring continue DIR"
        waiting = [*self._waiting_for(facts, manifest.version), *self._who_says_nothing(members, manifest.version)]
        if not waiting:
            return "the next step follows now"
        more = f" and {len(waiting) - NAMED_MAX} more" if len(waiting) > NAMED_MAX else ""
        return f"the next step follows when everything is in its place; not yet: {', '.join(waiting[:NAMED_MAX])}{more}"

    def go_on(self, facts: ClusterFacts, members: Members) -> bool:
        """Do the next step if it may follow; whether the rings have changed. facts: of a round that has just ended."""
        manifest = self._holder.following()
        version = manifest.version
        if not manifest.has_more or manifest.is_paused or self._refused[0] == version or facts.version != version:
            return False
        if any(self._waiting_for(facts, version)) or self._who_says_nothing(members, version):
            return False
        try:
            moves = self._holder.go_on(version)
        except ChangeRefused as error:
            self._refused = version, str(error)
            _log.warning("no further step of the change: %s", error)
            return False
        except VersionConflict:  # Somebody has just changed something: look again with the next round.
            return False
        _log.info("everything is in its place: next step moves=%d", moves)
        return moves > 0

    def _waiting_for(self, facts: ClusterFacts, version: int) -> Iterator[str]:
        for node in facts.nodes:
            if node.rings.version != version or node.settled != version or node.problem:
                yield node.name

    def _who_says_nothing(self, members: Members, version: int) -> list[str]:
        """Addresses in the rings that are no member's: nobody there has an agent that could tell."""
        if self._strangers[0] != version:
            known = {(node.ip, node.ports[kind]) for node in members.nodes for kind in STORAGE_KINDS}
            found = {
                shown((device.ip, device.port))
                for path in self._etc.glob(f"*{RING_SUFFIX}")
                for device in load(path).devices
                if device is not None and (device.ip, device.port) not in known
            }
            self._strangers = version, [f"{address} (no member)" for address in sorted(found)]
        return self._strangers[1]
