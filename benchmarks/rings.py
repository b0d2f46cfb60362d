"""Rings of a large cluster: how good and how fast.  python -m benchmarks.rings [--json]

1,000 devices of unequal weight in 3 regions x 4 zones, 2^16 partitions, 3 replicas: first rebalance, 10 devices more,
one device lost, loading the ring file in a fresh process, and lookups. Prints a table with the budgets of the issue.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random

from objstore.ring.builder import RingBuilder
from objstore.ring.fileformat import load, save
from objstore.ring.model import Ring
from objstore.ring.new_device import NewDevice

REGIONS, ZONES, DEVICES, NEW_DEVICES = 3, 4, 1000, 10
PART_POWER, REPLICAS = 16, 3
WEIGHTS = (60.0, 80.0, 100.0, 100.0, 120.0, 160.0)
DEVICES_PER_HOST = 12
NOW_S, HOUR_S = 1_800_000_000, 3600
LOOKUPS = 20_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. budget: the most it may be, None when there is none."""

    name: str
    value: float
    unit: str
    budget: float | None = None

    @property
    def is_met(self) -> bool:
        return self.budget is None or self.value <= self.budget


def new_device(number: int, random: Random) -> NewDevice:
    region, zone = number % REGIONS, number // REGIONS % ZONES
    host = number // (REGIONS * ZONES * DEVICES_PER_HOST)
    return NewDevice(zone, f"10.{region}.{zone}.{host}", 6200, f"d{number}", random.choice(WEIGHTS), region=region)


def timed(call, *arguments, **named):
    gc.collect()
    started = time.perf_counter()
    result = call(*arguments, **named)
    return time.perf_counter() - started, result


def worst_deviation(builder: RingBuilder) -> tuple[float, float]:
    """(partitions, percent) that a device is off its share: the largest of each over devices more than 1 % off."""
    counts, per_weight = builder.part_counts(), builder.parts_per_weight()
    off = [(abs(counts[d.id] - d.weight * per_weight), d.weight * per_weight) for d in builder.live_devices()]
    return max(partitions for partitions, _ in off), max(100 * partitions / share for partitions, share in off)


def same_zone(ring: Ring) -> int:
    zones = {device.id: (device.region, device.zone) for device in ring.devices if device is not None}
    return sum(len({zones[device] for device in held}) < REPLICAS for held in zip(*ring.rows, strict=True))


def moved_replicas(before: Ring, after: Ring) -> int:
    return sum(
        was != now for old, new in zip(before.rows, after.rows, strict=True) for was, now in zip(old, new, strict=True)
    )


def building(directory: Path) -> Iterator[Figure]:
    random = Random(1)
    builder = RingBuilder.create(PART_POWER, REPLICAS, 1)
    for number in range(DEVICES):
        builder.add_device(new_device(number, random))
    elapsed_s, _ = timed(builder.rebalance, now_s=NOW_S, seed=1)
    first = builder.to_ring()
    partitions, percent = worst_deviation(builder)
    yield Figure("first rebalance", elapsed_s, "s", 30)
    yield Figure("device furthest from its share", partitions, "partitions", 1)
    yield Figure("device furthest from its share", percent, "%")
    yield Figure("partitions with two replicas in a zone", same_zone(first), "", 0)
    partners = Counter(
        pair
        for held in zip(*first.rows, strict=True)
        for one in held
        for pair in ((one, other) for other in held if other != one)
    )
    yield Figure(
        "fewest devices that share partitions with one", min(Counter(one for one, _ in partners).values()), "devices"
    )
    save(first, directory / "first.ring.gz")
    yield Figure("ring file", (directory / "first.ring.gz").stat().st_size / 1e3, "kB")

    for number in range(DEVICES, DEVICES + NEW_DEVICES):
        builder.add_device(new_device(number, random))
    elapsed_s, _ = timed(builder.rebalance, now_s=NOW_S + HOUR_S, seed=2)
    least = (
        sum(builder.devices[number].weight for number in range(DEVICES, DEVICES + NEW_DEVICES))
        * builder.parts_per_weight()
    )
    yield Figure("add 10 devices", elapsed_s, "s")
    yield Figure(
        "add 10 devices: moves, of the least possible", moved_replicas(first, builder.to_ring()) / least, "x", 1.1
    )
    yield Figure("add 10 devices: furthest from its share", worst_deviation(builder)[0], "partitions", 1)
    yield Figure("add 10 devices: two replicas in a zone", same_zone(builder.to_ring()), "", 0)

    lost = builder.part_counts()[0]
    second = builder.to_ring()
    builder.remove_device(0)
    elapsed_s, _ = timed(builder.rebalance, now_s=NOW_S + 2 * HOUR_S, seed=3)
    yield Figure("lose a device", elapsed_s, "s")
    yield Figure("lose a device: moves, of its partitions", moved_replicas(second, builder.to_ring()) / lost, "x")


# Runs in a process of its own, so that the memory of building does not hide that of loading.
_LOADER = """
import gc, json, sys, time
from objstore.ring.fileformat import load
def private_kb():
    return sum(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Private_"))
gc.collect()
before_kb = private_kb()
times = []
for _ in range(7):
    started = time.perf_counter()
    ring = load(sys.argv[1])
    times.append(time.perf_counter() - started)
list(ring.handoffs(1))
gc.collect()
print(json.dumps([times[0], sorted(times)[3], private_kb() - before_kb]))
"""


def loading(path: Path) -> Iterator[Figure]:
    root = Path(__file__).parents[1]
    printed = subprocess.run(
        [sys.executable, "-c", _LOADER, str(path)], check=True, capture_output=True, cwd=root
    ).stdout
    first_s, median_s, memory_kb = json.loads(printed)
    yield Figure("load the ring, first time", first_s * 1e3, "ms", 50)
    yield Figure("load the ring, median", median_s * 1e3, "ms", 50)
    yield Figure("memory of the ring in a process, all loads", memory_kb / 1e3, "MB", 10)


def lookups(path: Path) -> Iterator[Figure]:
    ring = load(path)
    list(ring.handoffs(0))
    partitions = [Random(2).randrange(ring.partition_count) for _ in range(LOOKUPS)]
    elapsed_s, _ = timed(lambda: [ring.primaries(partition) for partition in partitions])
    yield Figure("primaries of a partition", elapsed_s / LOOKUPS * 1e6, "us")
    elapsed_s, _ = timed(lambda: [list(islice(ring.handoffs(partition), 3)) for partition in partitions])
    yield Figure("its first three handoffs", elapsed_s / LOOKUPS * 1e6, "us")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "first.ring.gz"
        figures = [*building(Path(name)), *loading(path), *lookups(path)]
    if arguments.json:
        print(json.dumps([asdict(figure) | {"is_met": figure.is_met} for figure in figures], indent=2))
    else:
        for figure in figures:
            budget = "" if figure.budget is None else f"(at most {figure.budget:g})"
            print(
                f"{figure.name:48} {figure.value:10.3f} {figure.unit:11}{budget}{'' if figure.is_met else '  MISSED'}"
            )
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
