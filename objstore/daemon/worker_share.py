"""A daemon in several processes: which disks are whose, and one report of them all.

Each process takes every n-th of the disks that are there when its pass begins, in the order of their names. They do not
talk: when a disk comes or goes, shares shift at different moments, and for a pass two processes may do the same or none
may do a disk, which is harmless (daemon/pass_.py, rule 1) and over with the next pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from objstore.daemon.pass_ import Scope

PER_DISK = {"object-replicator": "object_replication_per_disk"}
"""Where recon tools look for the report of each disk's process."""
_OLDEST = ("_last", "_since", "start", "start_time", "_timestamp")
_LONGEST = ("_time", "_sweep", "_completed", "_pass", "_age", "elapsed")


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """Process `index` (from 0) of `count`. names(): the devices that are there, read from disk."""

    index: int
    count: int
    names: Callable[[], Collection[str]]

    def of(self, scope: Scope) -> Scope:
        """What this process does of a scope. Blocks; raises OSError when the disks cannot be listed."""
        mine = devices_of(scope, self.names())[self.index :: self.count]
        return replace(scope, devices=frozenset(mine), is_share=scope.devices is None)


def devices_of(scope: Scope, names: Collection[str]) -> list[str]:
    """The devices of a scope, in the order in which they are dealt out."""
    return sorted(name for name in names if scope.has_device(name))


def combined(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Recon entries of all processes of a daemon as those of one: moments are the oldest, durations the longest, other
    numbers sums; what is not a number is that of the first that has it. Pure.

    A daemon is as late as its latest process: replication_last is that of the disk that was done longest ago.
    """
    keys = {key: None for report in reports for key in report}
    return {key: _combined(key, [report[key] for report in reports if report.get(key) is not None]) for key in keys}


def _combined(key: str, values: list[Any]) -> Any:
    if not values:
        return None
    if all(isinstance(value, Mapping) for value in values):
        return combined(values)
    if all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    if not all(isinstance(value, int | float) for value in values):
        return values[0]
    # start_time ends like replication_time: the moments are looked at first.
    if key.endswith(_OLDEST):
        return min(values)
    return max(values) if key.endswith(_LONGEST) else sum(values)


def merged_report(
    known: Mapping[str, Any], daemon: str, share: WorkerShare, devices: Collection[str], entries: Mapping[str, Any]
) -> dict[str, Any]:
    """What to put into a recon file that says `known`, when a process of a daemon has ended a pass over `devices`.

    Every process' report is kept under a key of ours; the usual keys change only once every process has reported: of a
    disk that was never done nobody shall believe that it was. Pure.
    """
    key = workers_key(daemon)
    kept = known.get(key)
    reports = {
        str(index): report
        for index, report in (kept.items() if isinstance(kept, dict) else ())
        if index.isdigit() and int(index) < share.count and isinstance(report, dict)
    }
    reports[str(share.index)] = {**entries, "devices": sorted(devices)}
    found: dict[str, Any] = {key: reports}
    if len(reports) == share.count:
        every = [{name: value for name, value in report.items() if name != "devices"} for report in reports.values()]
        found |= combined(every)
        if daemon in PER_DISK:
            found[PER_DISK[daemon]] = {
                device: every[place] for place, report in enumerate(reports.values()) for device in _devices(report)
            }
    return found


def forgotten(daemon: str) -> dict[str, object]:
    """What removes from a recon file what several processes of a daemon have left there, when one does it again."""
    keys = [workers_key(daemon), *([PER_DISK[daemon]] if daemon in PER_DISK else [])]
    return {key: {} for key in keys}


def workers_key(daemon: str) -> str:
    return f"{daemon.replace('-', '_')}_workers"


def _devices(report: Mapping[str, Any]) -> list[str]:
    devices = report.get("devices")
    return [str(device) for device in devices] if isinstance(devices, list) else []
