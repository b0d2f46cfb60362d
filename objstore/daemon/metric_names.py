"""What StatsD is told of a daemon's job: its counts under the names that Swift's daemons use. Pure.

Source: features B5.12, and https://docs.openstack.org/swift/latest/metrics/all.html. A count that has no name there is
not sent: daemons.recon has them all. `timing` is that of a job, which is a database for the daemons of databases, a
piece of the disk or of a queue for others; object-replicator tells partitions that belong here (update) from those that
were brought home (delete).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from objstore.daemon.pass_ import FAILURES, Counts
from objstore.runtime.metrics import Metric, counted, name_part, timed

_OF_DEVICE = "<device>"
_DATABASE_REPLICATOR = {
    "diff": "diffs",
    "diff_capped": "diff_caps",
    "no_change": "no_changes",
    "hashmatch": "hashmatches",
    "rsync": "rsyncs",
    "remote_merge": "remote_merges",
    "success": "successes",
    FAILURES: "failures",
    "remove": f"removes.{_OF_DEVICE}",
}
_DATABASE_AUDITOR = {"passed": "passes", FAILURES: "failures"}
_NAMES: Mapping[str, Mapping[str, str]] = {
    "account-auditor": _DATABASE_AUDITOR,
    "container-auditor": _DATABASE_AUDITOR,
    "account-replicator": _DATABASE_REPLICATOR,
    "container-replicator": _DATABASE_REPLICATOR,
    "container-sync": {"synced": "syncs", "puts": "puts", "deletes": "deletes", FAILURES: "failures"},
    "account-reaper": {
        FAILURES: "errors",
        "containers_deleted": "containers_deleted",
        "containers_remaining": "containers_remaining",
        "objects_deleted": "objects_deleted",
        "objects_remaining": "objects_remaining",
    },
    "container-updater": {"success": "successes", FAILURES: "failures", "no_changes": "no_changes"},
    "object-auditor": {"quarantined": "quarantines", "errors": "errors"},
    "object-expirer": {"success": "objects", FAILURES: "errors"},
    "object-replicator": {"suffix_sync": "suffix.syncs"},
    "object-updater": {
        "success": "successes",
        FAILURES: "failures",
        "redirects": "redirects",
        "quarantined": "quarantines",
    },
}
_UNLINKED = ("success", "superseded")
"""Counts of object-updater after which a file of async_pending is gone."""
_COUNTED_JOBS = ("account-replicator", "container-replicator")


def job_metrics(daemon: str, device: str, counts: Counts, elapsed_s: float) -> list[Metric]:
    """The metrics of a job that has ended."""
    found = [counted(f"{daemon}.{name}", amount) for name, amount in _named(daemon, device, counts)]
    if daemon == "object-replicator":
        return found + _partition(daemon, device, counts, elapsed_s)
    if daemon in _COUNTED_JOBS:
        found.append(counted(f"{daemon}.attempts"))
        if counts.get(FAILURES):
            return found  # Their timing is that of attempts without a failure.
    found.append(timed(f"{daemon}.timing", elapsed_s))
    return found


def _named(daemon: str, device: str, counts: Counts) -> Iterator[tuple[str, int]]:
    for count, name in _NAMES.get(daemon, {}).items():
        if counts.get(count):
            yield name.replace(_OF_DEVICE, name_part(device)), counts[count]
    if daemon == "object-updater" and (unlinked := sum(counts.get(name, 0) for name in _UNLINKED)):
        yield "unlinks", unlinked


def _partition(daemon: str, device: str, counts: Counts, elapsed_s: float) -> list[Metric]:
    kind = "delete" if counts.get("handoffs") else "update"
    return [
        counted(f"{daemon}.partition.{kind}.count.{name_part(device)}"),
        timed(f"{daemon}.partition.{kind}.timing", elapsed_s),
    ]
