"""The plan of a change of rings as lines for a human. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from objstore.cli.recon_numbers import bytes_shown
from objstore.cli.status import table
from objstore.cluster.change_plan import ChangePlan, RingMoves
from objstore.cluster.changes import NodeAddress
from objstore.cluster.node_addresses import name_of

DRIVES_SHOWN = 40


def plan_lines(plan: ChangePlan, nodes: Mapping[str, NodeAddress], rate: float) -> Iterator[str]:
    """nodes: who has which address. rate: bytes per second that a drive copies."""
    for reason in plan.refusals:
        yield f"refused: {reason}"
    if plan.refusals:
        return
    yield f"plan for rings at version {plan.version}:"
    yield from (f"  {line}" for line in table([_ring_row(ring) for ring in plan.rings], _RING_COLUMNS))
    drives = _drive_rows(plan, nodes)
    if drives:
        yield ""
        yield from (f"  {line}" for line in table(drives[:DRIVES_SHOWN], _DRIVE_COLUMNS))
        if len(drives) > DRIVES_SHOWN:
            yield f"  … and {len(drives) - DRIVES_SHOWN} more; --json has them all"
    yield ""
    yield f"{_in_all(plan)}{_copying(plan, rate)}"
    yield _steps(plan)
    for note in plan.notes:
        yield f"note: {note}"


_RING_COLUMNS = ("ring", "partitions", "bytes", "now", "later")
_DRIVE_COLUMNS = ("drive", "gets", "gives", "bytes")


def _ring_row(ring: RingMoves) -> dict[str, object]:
    return {
        "ring": ring.ring,
        "partitions": str(ring.moves),
        "bytes": "unknown" if ring.partition_bytes is None else bytes_shown(ring.bytes, True),
        "now": str(ring.steps[0].moves),
        "later": str(ring.moves - ring.steps[0].moves) + (" or more" if ring.is_more else ""),
    }


def _drive_rows(plan: ChangePlan, nodes: Mapping[str, NodeAddress]) -> list[dict[str, object]]:
    """All rings together."""
    gains, gives, sizes = Counter[str](), Counter[str](), Counter[str]()
    for ring in plan.rings:
        for drive in ring.drives:
            name = f"{name_of((drive.ip, drive.port), nodes)}/{drive.device}"
            gains[name] += drive.gains
            gives[name] += drive.gives
            sizes[name] += (drive.gains + drive.gives) * (ring.partition_bytes or 0)
    return [
        {"drive": name, "gets": str(gains[name]), "gives": str(gives[name]), "bytes": bytes_shown(sizes[name], True)}
        for name in sorted({*gains, *gives})
    ]


def _in_all(plan: ChangePlan) -> str:
    more = " or more" if plan.is_more else ""
    return f"in all {plan.moves} partition replicas{more}, {bytes_shown(plan.bytes, True)}"


def _copying(plan: ChangePlan, rate: float) -> str:
    return f"; about {waiting_text(round(plan.copying_s(rate)))} of copying at {rate / 1e6:g} MB/s for each drive"


def _steps(plan: ChangePlan) -> str:
    text = "one replica of a partition moves at a time: "
    if plan.next_s is None:
        return text + "one step"
    more = " or more" if plan.is_more else ""
    by_hand = f"by hand possible in {waiting_text(plan.next_s)}"
    return text + f"step 1 of {plan.step_count}{more}, the next when everything is in its place ({by_hand})"


def waiting_text(seconds: int) -> str:
    """2 h 5 min, 5 min, 30 s."""
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"
