"""Which devices a partition is on, and where else to look: the order every Swift node computes alike.

Pure functions over the rows of a ring: one row per replica, entry p of a row is the id of a device. The last row may be
shorter (fractional replicas). A foreign proxy or replicator walks the same order, so it must match to the position:
erasure coding takes the fragment number from it, and data parked on a handoff is found only where it is looked for.
Source: formats 2.5; doc/formats/rings.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

TIERS = 4
_SPREAD_PARTITIONS = 65536  # At most about this many partitions are visited per pass.


@dataclass(frozen=True, slots=True)
class TierIndex:
    """What the handoff walk compares.

    keys: of each device in use, (region, (region, zone), (region, zone, ip), id); totals: distinct keys per tier.
    """

    keys: Mapping[int, tuple[Hashable, ...]]
    totals: tuple[int, ...]

    @classmethod
    def of(cls, keys: Mapping[int, tuple[Hashable, ...]]) -> TierIndex:
        """keys: only of devices that own a partition; others are never reached and must not count."""
        return cls(keys, tuple(len({device[tier] for device in keys.values()}) for tier in range(TIERS)))


def primary_ids(rows: Sequence[Sequence[int]], partition: int) -> list[int]:
    """Ids of the devices a partition is assigned to, in row order, repeats dropped."""
    ids: list[int] = []
    for row in rows:
        if partition < len(row) and row[partition] not in ids:
            ids.append(row[partition])
    return ids


def handoff_ids(rows: Sequence[Sequence[int]], part_shift: int, partition: int, tiers: TierIndex) -> Iterator[int]:
    """Every other device in use, those in the least related failure domains first. Lazy: callers stop early.

    Four walks over the partitions, each from a point that depends on the partition: devices in new regions, then in
    new zones, on new hosts, and then all that is left. A walk may pass over partitions (the first one, as a rule, of a
    small ring); devices that it has not met by that come last, where other implementations end.
    """
    used = set(primary_ids(rows, partition))
    seen = [{tiers.keys[device][tier] for device in used} for tier in range(TIERS)]
    for tier in range(TIERS):
        if len(seen[tier]) >= tiers.totals[tier]:
            continue
        for candidate in _walk(len(rows[0]), part_shift, partition):
            for row in rows:
                if candidate >= len(row):
                    continue
                device = row[candidate]
                if device in used or tiers.keys[device][tier] in seen[tier]:
                    continue
                yield device
                used.add(device)
                for level in range(TIERS):
                    seen[level].add(tiers.keys[device][level])
                if len(seen[tier]) >= tiers.totals[tier]:
                    break
            if len(seen[tier]) >= tiers.totals[tier]:
                break
    yield from sorted(tiers.keys.keys() - used)


def _walk(partition_count: int, part_shift: int, partition: int) -> Iterator[int]:
    """The partitions whose devices are candidates, in order."""
    digest = hashlib.md5(str(partition).encode("ascii"), usedforsecurity=False).digest()
    start = int.from_bytes(digest[:4], "big") >> part_shift
    step = max(1, partition_count // _SPREAD_PARTITIONS)
    wrapped = step - ((partition_count - start) % step)
    return chain(range(start, partition_count, step), range(wrapped, start, step))
