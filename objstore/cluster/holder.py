"""The holder of the rings: one node keeps the builders, and every change of drives is planned and done there.

Changes are compare-and-swap: who applies one says for which version it was planned. Files and crashes are the business
of cluster/ring_store.py, what a change means that of cluster/placement.py; here are the lock, the version and the
refusals. The lock is the directory's .lock, which objstore-ring-builder takes too.

By hand everything may still be done: builders that somebody has changed are taken over at the next look, under a new
version; a ring that no builder here has made is reported and never overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from objstore.cluster.change_plan import ChangePlan, Usage
from objstore.cluster.changes import Change, Continue
from objstore.cluster.device_changes import ChangeRefused, is_concerned, unknown
from objstore.cluster.placement import Placed, place
from objstore.cluster.ring_manifest import Manifest, RingSet
from objstore.cluster.ring_store import RingStore
from objstore.core.errors import DomainError
from objstore.ring.builder import RingBuilder
from objstore.runtime.clock import Clock, SystemClock
from objstore.runtime.fs import Fs

LOCK_TIMEOUT_S = 15.0
MIN_PART_HOURS = 1
_TICKS_PER_S = 100_000
_HOUR_S = 3600


class VersionConflict(DomainError):
    """Somebody else has changed the rings since the plan was made."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"the rings are at version {found}, the plan was made for {expected}: plan again")
        self.expected = expected
        self.found = found


class ForeignRing(DomainError):
    """Rings that were not made from the builders beside them; each reason is a sentence with what to do."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


class Planner(Protocol):
    """What the commands need of a holder, here or on another node (cluster/client.py)."""

    def version(self) -> int: ...

    def plan(self, change: Change, usage: Usage | None = None) -> ChangePlan: ...

    def apply(self, change: Change, expected_version: int, usage: Usage | None = None) -> RingSet: ...


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What a plan starts from. foreign: sentences about rings no builder here has made; there are no builders then."""

    manifest: Manifest
    foreign: list[str]
    builders: Mapping[str, RingBuilder]


@dataclass(frozen=True, slots=True)
class _Decision:
    """What a change comes to: a plan, and the builders it leaves behind by ring name."""

    plan: ChangePlan
    builders: Mapping[str, RingBuilder]


class Holder:
    """etc: the directory of the builders and rings. One at a time works there, whatever its process.

    Everything raises LockTimeout, OSError, and DomainError of a file that cannot be read, besides what it says.
    """

    def __init__(self, etc: Path, fs: Fs | None = None, clock: Clock | None = None) -> None:
        self._fs = fs or Fs()
        self._clock = clock or SystemClock()
        self._store = RingStore(etc, self._fs)
        # What the files were when they were last found to be what the manifest says: polling costs a stat each.
        self._seen: tuple[object, ...] | None = None
        self._manifest = Manifest()

    def repair(self) -> None:
        """Finish a change that a crash interrupted, if there is one; otherwise nothing is touched."""
        if self._store.is_interrupted:
            with self._locked():
                self._store.recover()

    def version(self) -> int:
        """Of the rings as they are."""
        with self._opened() as manifest:
            return manifest.version

    def rings(self) -> RingSet:
        """What every node should have. Raises ForeignRing."""
        with self._opened() as manifest:
            foreign = self._foreign(manifest)
            if foreign:
                raise ForeignRing(foreign)
            return self._store.ring_set(manifest)

    def foreign(self) -> list[str]:
        """Sentences about rings that no builder here has made."""
        with self._opened() as manifest:
            return self._foreign(manifest)

    def plan(self, change: Change, usage: Usage | None = None) -> ChangePlan:
        """What a change would do; nothing is changed. A refusal is part of the plan."""
        return self._decide(change, self._snapshot(), usage or Usage()).plan

    def apply(self, change: Change, expected_version: int, usage: Usage | None = None) -> RingSet:
        """Do the first step of a change, all rings or none, and return them. usage: as it was for the plan.

        Raises VersionConflict when the rings are not at expected_version, ChangeRefused.
        """
        snapshot = self._snapshot()
        _check_version(snapshot.manifest, expected_version)
        decision = self._decide(change, snapshot, usage or Usage())
        if decision.plan.refusals:
            raise ChangeRefused(*decision.plan.refusals)
        with self._opened() as manifest:
            _check_version(manifest, expected_version)
            has_more = decision.plan.step_count > 1
            return self._done(self._store.install(decision.builders, manifest, has_more=has_more))

    def following(self) -> Manifest:
        """The manifest, which says whether the change that was asked for last has further steps."""
        with self._opened() as manifest:
            return manifest

    def pause(self, is_paused: bool) -> None:
        """Whether further steps wait until this is said otherwise: steps of later changes too."""
        with self._opened() as manifest:
            if manifest.is_paused != is_paused:
                self._mark(replace(manifest, is_paused=is_paused))

    def go_on(self, expected_version: int) -> int:
        """The next step of what was asked for, because what has moved has arrived everywhere: min_part_hours waits for
        nothing else. Partition replicas that move; 0: there was no further step. Raises as apply() does."""
        decision = self._next_step(expected_version)
        moves = sum(ring.steps[0].moves for ring in decision.plan.rings)
        with self._opened() as manifest:
            _check_version(manifest, expected_version)
            if moves:
                has_more = decision.plan.step_count > 1
                self._done(self._store.install(decision.builders, manifest, has_more=has_more))
            else:
                self._mark(replace(manifest, has_more=False))
        return moves

    def foresee(self, expected_version: int) -> None:
        """Raises what go_on() would; nothing is changed."""
        self._next_step(expected_version)

    def unproven_wait_s(self, *, is_from_now: bool = False) -> int:
        """How long until min_part_hours, an hour at least, have passed since anything moved last in any ring: what a
        step waits for where nobody can tell whether what has moved has arrived. is_from_now: as if that were now."""
        with self._opened():
            builders = [self._store.builder(name) for name in self._store.builder_names()]
        now_s = self._now_s()
        return max((_hours_left_s(builder, now_s, is_from_now=is_from_now) for builder in builders), default=0)

    def rebuild_from_rings(self, min_part_hours: int = MIN_PART_HOURS) -> RingSet:
        """Make builders from the ring files, for rings whose builder is lost or has not made them; others stay. What a
        ring does not tell is taken for the worst: every partition counts as just moved.

        The version goes on from that of rings.json, which came with the rings.
        """
        with self._locked():
            self._store.recover()
            builders = {}
            for name in self._store.ring_names():
                if not self._store.is_of_builder(name):
                    builders[name] = RingBuilder.from_ring(self._store.ring(name), min_part_hours)
                    builders[name].note_all_moved(self._now_s())
            return self._done(self._store.rebuilt(builders, self._now_s()))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._fs.lock(str(self._store.etc / ".lock"), LOCK_TIMEOUT_S):
            yield

    @contextmanager
    def _opened(self) -> Iterator[Manifest]:
        """Under the lock, with repaired what a crash left and taken over what was done by hand."""
        with self._locked():
            self._store.recover()
            if self._seen is None or self._seen != self._store.signatures():
                self._manifest = self._store.taken_over()
                self._seen = self._store.signatures()
            yield self._manifest

    def _mark(self, manifest: Manifest) -> None:
        self._store.mark(manifest)
        self._manifest, self._seen = manifest, self._store.signatures()

    def _done(self, manifest: Manifest) -> RingSet:
        self._manifest, self._seen = manifest, self._store.signatures()
        return self._store.ring_set(manifest)

    def _foreign(self, manifest: Manifest) -> list[str]:
        return [
            f"{self._store.ring_path(name)} was not made from a builder here: put its builder beside it, or take the "
            f"ring as it is with: objstore ring rebuild {self._store.etc.parent}"
            for name in self._store.foreign_names(manifest)
        ]

    def _snapshot(self) -> _Snapshot:
        """Taken under the lock; reckoning with it is not, for a large ring takes seconds."""
        with self._opened() as manifest:
            foreign = self._foreign(manifest)
            names = [] if foreign else self._store.builder_names()
            return _Snapshot(manifest, foreign, {name: self._store.builder(name) for name in names})

    def _decide(self, change: Change, snapshot: _Snapshot, usage: Usage) -> _Decision:
        refusals, builders = list(snapshot.foreign), snapshot.builders
        concerned = [name for name, builder in builders.items() if is_concerned(name, builder, change)]
        if not concerned and not refusals:
            refusals = [unknown(change, builders)]
        placed: dict[str, Placed] = {}
        for name in concerned:
            try:
                placed[name] = place(name, builders[name], change, self._now_s(), usage)
            except ChangeRefused as error:
                refusals += error.reasons
        notes = dict.fromkeys(note for each in placed.values() for note in each.notes)
        plan = ChangePlan(
            snapshot.manifest.version,
            tuple(each.moves for each in placed.values()),
            tuple(dict.fromkeys(refusals)),
            tuple(notes),
        )
        return _Decision(plan, {name: each.builder for name, each in placed.items()})

    def _next_step(self, expected_version: int) -> _Decision:
        """What follows by itself now. Raises VersionConflict, ChangeRefused."""
        snapshot = self._snapshot()
        _check_version(snapshot.manifest, expected_version)
        by_hand = [name for name, builder in snapshot.builders.items() if builder.is_changed]
        if by_hand:
            raise ChangeRefused(f"{', '.join(by_hand)}: the builder was changed by hand and not rebalanced")
        for builder in snapshot.builders.values():
            if builder.waiting_count(self._now_s()):
                builder.pretend_min_part_hours_passed()
        decision = self._decide(Continue(), snapshot, Usage())
        if decision.plan.refusals:
            raise ChangeRefused(*decision.plan.refusals)
        return decision

    def _now_s(self) -> int:
        return self._clock.now().ticks // _TICKS_PER_S


def _check_version(manifest: Manifest, expected: int) -> None:
    if manifest.version != expected:
        raise VersionConflict(expected, manifest.version)


def _hours_left_s(builder: RingBuilder, now_s: int, *, is_from_now: bool) -> int:
    if builder.last_moves is None:
        return 0
    passed_s = 0 if is_from_now else max(0, now_s - builder.last_moves_epoch_s)
    return max(0, max(builder.min_part_hours, 1) * _HOUR_S - passed_s)
