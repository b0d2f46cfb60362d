"""One verdict on a cluster, OK, DEGRADED or DATA AT RISK, from facts that somebody else has gathered. Pure.

DATA AT RISK: some partition of a ring has at most one copy left that answers, or fewer than a quorum, so that the next
fault loses or hides what was acknowledged; or a node has not replicated for so long that deleted objects may come back.
DEGRADED: a human should look, but every partition has copies to spare. Not knowing is degraded too.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from objstore.ring.model import Ring

NEAR_FULL = 0.90
"""Used share of a disk from which on it is named: time to add drives before uploads are refused."""
FULL = 0.99
"""fallocate_reserve's default: beyond it uploads are refused (formats 1.4)."""
PENDING_AGE_MAX_S = 600.0
"""Two updater passes of Swift's default interval: older rows have been tried and not taken."""
PENDING_COUNT_MAX = 10_000
EMPTY_BESIDE = 32
"""A disk without any partition is named when another has so many: with fewer, chance may have left it out."""
REPLICATION_AGE_MAX_S = 86_400.0
RECLAIM_AGE_S = 7 * 86_400.0
"""Tombstones are forgotten after so long; a disk that was not compared in the meantime brings deleted objects back."""
OVERDUE_MIN_S = 60.0
BACK_OFF_MAX_S = 600.0
"""As in daemon/runner.py: a daemon whose pass failed wholly may wait so long before it tries again."""
PARTITIONS_COUNTED = 1 << 18
"""Of larger rings every n-th partition is looked at, so that an answer takes well under a second."""


class Verdict(enum.StrEnum):
    OK = "OK"
    DEGRADED = "DEGRADED"
    DATA_AT_RISK = "DATA AT RISK"


@dataclass(frozen=True, slots=True)
class Reason:
    """severity: DEGRADED or DATA_AT_RISK. what: a word for scripts. node: "" when it is nobody's in particular. text:
    one sentence for a human."""

    severity: Verdict
    what: str
    node: str
    text: str


@dataclass(frozen=True, slots=True)
class ProcessFact:
    """A process of the supervisor. state: starting, ready, held or draining (runtime/supervisor.py)."""

    role: str
    node: str
    state: str


@dataclass(frozen=True, slots=True)
class DaemonFact:
    """What a daemon says of itself (daemon/runner.py); started_s, elapsed_s: of its last pass, None before the first.
    is_current: the process that says so still runs. handoffs: partitions its last pass found away from their
    primaries, and left there."""

    node: str
    name: str
    state: str
    started_s: float | None
    elapsed_s: float | None
    interval_s: float
    is_complete: bool
    failures: int
    is_current: bool = True
    handoffs: int = 0


@dataclass(frozen=True, slots=True)
class DiskFact:
    """A device. size, avail: bytes. partitions: directories of partitions on it, of every kind. pending: rows that
    wait in async_pending, counted up to a bound (is_bound_reached); pending_oldest_s: when the oldest was written.
    problem: why the device cannot be used, "" when it can; the other fields are nothing then. is_drained: the rings
    give it no weight."""

    node: str
    device: str
    problem: str = ""
    size: int = 0
    avail: int = 0
    partitions: int = 0
    quarantined: int = 0
    pending: int = 0
    is_bound_reached: bool = False
    pending_oldest_s: float | None = None
    is_drained: bool = False


@dataclass(frozen=True, slots=True)
class ReplicationFact:
    """When a replicator of a node (kind: account, container, object) ended its last pass."""

    node: str
    kind: str
    last_s: float


@dataclass(frozen=True, slots=True)
class CopiesFact:
    """Of a ring: copies of a partition that answer → how many partitions have so many; only those that lack some.
    expected: copies of a whole partition."""

    ring: str
    expected: int
    short: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class OtherNodes:
    """Of nodes on other machines, as in Facts. digests: node → ring file → digest. unknown: (node, sentence)."""

    digests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unknown: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """digests: ring name → node → a digest of its file, "" where it is missing. unknown: (node, sentence) of what could
    not be found out."""

    processes: tuple[ProcessFact, ...] = ()
    daemons: tuple[DaemonFact, ...] = ()
    disks: tuple[DiskFact, ...] = ()
    replication: tuple[ReplicationFact, ...] = ()
    copies: tuple[CopiesFact, ...] = ()
    digests: Mapping[str, Mapping[str, str]] | None = None
    unknown: tuple[tuple[str, str], ...] = ()


def verdict(found: Iterable[Reason]) -> Verdict:
    """The worst of some reasons; OK when there are none."""
    severities = {reason.severity for reason in found}
    return next((worst for worst in (Verdict.DATA_AT_RISK, Verdict.DEGRADED) if worst in severities), Verdict.OK)


def reasons(facts: Facts, now_s: float) -> list[Reason]:
    """Everything that speaks against OK, the worst first. now_s: seconds since the epoch."""
    found = [
        *_of_copies(facts.copies),
        *_of_processes(facts.processes),
        *(reason for disk in facts.disks for reason in _of_disk(disk, now_s)),
        *_of_empty_disks(facts.disks),
        *(reason for daemon in facts.daemons if (reason := _of_daemon(daemon, now_s)) is not None),
        *(reason for last in facts.replication if (reason := _of_replication(last, now_s)) is not None),
        *_of_rings(facts.digests or {}),
        *(Reason(Verdict.DEGRADED, "unknown", node, text) for node, text in facts.unknown),
    ]
    return sorted(found, key=lambda reason: reason.severity is not Verdict.DATA_AT_RISK)


def copies_missing(ring: Ring, gone: Collection[int]) -> Counter[int]:
    """Copies that are left → partitions with so many, of those that have a replica on a device that is gone (by id)."""
    short: Counter[int] = Counter()
    gone = frozenset(gone)
    if not gone:
        return short
    step = max(1, ring.partition_count // PARTITIONS_COUNTED)
    rows = [row[::step] for row in ring.rows]
    last = len(rows[-1])  # The last row may be shorter than the others.
    # Partitions with the same devices are counted together: there are far fewer of those, and counting is C.
    places = Counter(zip(*(row[:last] for row in rows), strict=True))
    places += Counter(zip(*(row[last:] for row in rows[:-1]), strict=True))
    for primaries, count in places.items():
        if not gone.isdisjoint(primaries):
            short[len(set(primaries) - gone)] += count * step
    return short


def is_at_risk(left: int, expected: int) -> bool:
    """Whether a partition with so many of its copies left is one fault away from loss, or already below a quorum."""
    return left < expected and (left <= 1 or left < (expected + 1) // 2)


def _of_copies(copies: Iterable[CopiesFact]) -> Iterator[Reason]:
    for fact in copies:
        for left, count in sorted(fact.short.items()):
            severity = Verdict.DATA_AT_RISK if is_at_risk(left, fact.expected) else Verdict.DEGRADED
            answer = "no copy answers" if not left else f"{left} of {fact.expected} copies answer"
            yield Reason(severity, "copies", "", f"{fact.ring} ring: {_count(count, 'partition')} of which {answer}")


def _of_processes(processes: Iterable[ProcessFact]) -> Iterator[Reason]:
    by_node: dict[str, dict[str, list[str]]] = {}
    for process in processes:
        if process.state != "draining" and process.role != "supervisor":
            by_node.setdefault(process.node, {}).setdefault(process.role, []).append(process.state)
    for node, roles in by_node.items():
        states = {state for each in roles.values() for state in each}
        if states == {"held"}:
            yield _degraded(
                "node", node, f"node {node} is held down; let it start with: objstore node start DIR {node}"
            )
            continue
        for role, each in roles.items():
            down = [state for state in each if state != "ready"]
            if down:
                part = "" if len(down) == len(each) else f" in {len(down)} of {len(each)} processes"
                yield _degraded("process", node, f"{role}{_at(node)} is not ready{part}; see its log in DIR/log")


def _of_disk(disk: DiskFact, now_s: float) -> Iterator[Reason]:
    where = f"{disk.node} {disk.device}"
    if disk.problem:
        yield _degraded("disk", disk.node, f"{where}: {disk.problem}")
        return
    used = 1 - disk.avail / disk.size if disk.size else 0.0
    if used >= FULL:
        yield _degraded("full", disk.node, f"{where}: full ({used:.1%} used), uploads are refused; add drives")
    elif used >= NEAR_FULL:
        yield _degraded("near-full", disk.node, f"{where}: nearly full ({used:.1%} used); add drives")
    if disk.quarantined:
        yield _degraded(
            "quarantined", disk.node, f"{where}: {_count(disk.quarantined, 'item')} in quarantine; see its log for each"
        )
    oldest = disk.pending_oldest_s
    age_s = 0.0 if oldest is None else now_s - oldest
    if age_s > PENDING_AGE_MAX_S or disk.pending > PENDING_COUNT_MAX:
        least = "at least " if disk.is_bound_reached else ""
        yield _degraded(
            "async-pending",
            disk.node,
            f"{where}: {least}{_count(disk.pending, 'row')} wait for container servers, the oldest {duration(age_s)}",
        )


def _of_empty_disks(disks: Iterable[DiskFact]) -> Iterator[Reason]:
    """Replaced, emptied, or not what was mounted there: its copies are missing until replication has brought them."""
    usable = [disk for disk in disks if not disk.problem]
    if max((disk.partitions for disk in usable), default=0) < EMPTY_BESIDE:
        return
    for disk in usable:
        if not disk.partitions and not disk.is_drained:
            text = f"{disk.node} {disk.device}: empty, while others are not; replication is to fill it"
            yield _degraded("empty", disk.node, text)


def _of_daemon(daemon: DaemonFact, now_s: float) -> Reason | None:
    where = f"{daemon.name} of {daemon.node}"
    if not daemon.is_current or daemon.started_s is None or daemon.elapsed_s is None:
        return None  # Before the first pass; that the process is down is a reason of its own.
    late_s = now_s - (daemon.started_s + max(daemon.elapsed_s, daemon.interval_s))
    allowed_s = max(OVERDUE_MIN_S, daemon.interval_s) + (0.0 if daemon.is_complete else BACK_OFF_MAX_S)
    if daemon.state == "waiting" and late_s > allowed_s:
        return _degraded("overdue", daemon.node, f"{where}: the next pass is overdue by {duration(late_s)}")
    if not daemon.is_complete:
        said = _count(daemon.failures, "failure") if daemon.failures else "it was broken off"
        return _degraded("pass-failed", daemon.node, f"{where}: the last pass was not complete ({said})")
    if daemon.handoffs:
        left = _count(daemon.handoffs, "partition")
        return _degraded("handoffs", daemon.node, f"{where}: {left} away from the primaries at the last pass")
    return None


def _of_replication(fact: ReplicationFact, now_s: float) -> Reason | None:
    age_s = now_s - fact.last_s
    text = f"{fact.kind} replication of {fact.node} ended its last pass {duration(age_s)} ago"
    if age_s > RECLAIM_AGE_S:
        text += ", longer than deletions are remembered: what was deleted may come back"
        return Reason(Verdict.DATA_AT_RISK, "replication", fact.node, text)
    return _degraded("replication", fact.node, text) if age_s > REPLICATION_AGE_MAX_S else None


def _of_rings(digests: Mapping[str, Mapping[str, str]]) -> Iterator[Reason]:
    for ring, by_node in digests.items():
        usual = Counter(by_node.values()).most_common(1)[0][0] if by_node else ""
        for node, digest in by_node.items():
            if digest != usual:
                how = "differs from that of the others" if digest else "is missing or cannot be read"
                yield _degraded("ring", node, f"{node}: its {ring} {how}; copy the current one there")
        if by_node and not usual:
            yield _degraded("ring", "", f"{ring} is missing or cannot be read on most nodes")


def duration(seconds: float) -> str:
    """Roughly, as one says it: 90 → 90 s, 7200 → 2 h."""
    steps: tuple[tuple[float, Callable[[float], str]], ...] = (
        (120, lambda value: f"{value:.0f} s"),
        (7200, lambda value: f"{value / 60:.0f} min"),
        (172_800, lambda value: f"{value / 3600:.0f} h"),
    )
    return next((shown(seconds) for limit, shown in steps if seconds < limit), f"{seconds / 86_400:.0f} days")


def _degraded(what: str, node: str, text: str) -> Reason:
    return Reason(Verdict.DEGRADED, what, node, text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _at(node: str) -> str:
    return "" if node == "-" else f" of {node}"
