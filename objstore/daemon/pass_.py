"""The contract of everything that runs in the background: a Pass finds Jobs, and runs one when it is told to.

Replicators, auditors, updaters, the expirer and the reaper say *what* is to be done. When, how often, how fast, on
which devices and in how many threads is decided by the runner (daemon/runner.py) alone, so that one set of options,
signals, recon entries and metrics serves them all.

Rules every pass keeps:
1. A job is safe to run again, and safe to be cut off between any two of its effects: the runner may be killed.
2. A job takes seconds, not hours; what is larger is several jobs.
3. jobs() only looks at the disk, is drawn lazily, from a native thread, and never touches a green primitive or the log.
   run() is called in a green thread; disk work that can stall goes through its engine's seam.
4. What a job cannot do (a peer away, a file unreadable) it counts under `failures` and leaves as it is.
   It raises only what is a bug or what must stop the pass; the runner logs that, counts it and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

Counts = Mapping[str, int]
"""What a job did, by name: {"success": 3, "failures": 1, "bytes": 4096}. The runner adds them up."""

FAILURES = "failures"
"""The one count the runner knows: a pass that has some is reported as incomplete."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a pass is asked to look at; None is everything. devices: names as in the ring. partitions: indexes.
    policies: indexes, of passes over objects. Given by --devices, --partitions and --policies of every daemon.
    is_share: these are the devices of one process of several that together do all (worker_share.py)."""

    devices: frozenset[str] | None = None
    partitions: frozenset[int] | None = None
    policies: frozenset[int] | None = None
    is_share: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out: what a pass over it found is worth reporting."""
        return (self.devices is None or self.is_share) and self.partitions is None and self.policies is None

    def has_device(self, device: str) -> bool:
        return self.devices is None or device in self.devices

    def has_partition(self, partition: int) -> bool:
        return self.partitions is None or partition in self.partitions

    def has_policy(self, policy_index: int) -> bool:
        return self.policies is None or policy_index in self.policies


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of a pass; passes subclass it with what they need to run it.

    key: what it is about, unique within the pass, e.g. "sdb1/objects-1/1723"; shown in the log and in progress.
    device: the disk it will load, "" for none; the runner spreads its threads over devices."""

    key: str
    device: str


J = TypeVar("J", bound=Job)


@dataclass(frozen=True, slots=True)
class PassReport:
    """What the runner knows at the end of a pass. started_s, elapsed_s: wall seconds. is_complete: every job was run
    and none counted a failure."""

    started_s: float
    elapsed_s: float
    job_count: int
    counts: Counts = field(default_factory=dict)
    is_complete: bool = True


class Pass(Protocol[J]):
    """One kind of background work. name: as in commands, logs and `ps`, e.g. "object-updater"."""

    name: str

    def jobs(self, scope: Scope) -> Iterator[J]:
        """Everything there is to do now, in an order that does the most urgent first."""
        ...

    def run(self, job: J) -> Counts:
        """Do one job. Returns what was done; raises only bugs (see the rules above)."""
        ...

    def finished(self, report: PassReport) -> Mapping[str, object]:
        """Called after the last job of a pass: the entries for the recon file of this pass's server type
        (keys of formats 6.10 where Swift has one), {} for none."""
        ...
