"""The checks of objstore-recon: which question each asks, and what it makes of the answers. Pure.

A check gets the answers of all hosts at once and returns lines for a human and a value for --json. It never raises for
what a host said: what cannot be used counts as no result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from objstore.cli.recon_hosts import Answer, Host, Question, shown_text
from objstore.cli.recon_numbers import added_up, bytes_shown, number_at, summary

Given = Mapping[Host, Answer]
"""Answers to one question, of the hosts that gave one."""
_BAR = 70
_POLICY_DIGITS = 4
"""Of an index that a host may name; more is nonsense."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller wants to see. local_digests: name of ring file or swift.conf → MD5, as they are here. hosts:
    asked in all."""

    kind: str
    hosts: int
    is_human: bool = False
    top: int = 0
    lowest: int = 0
    jitter_s: float = 1.0
    local_digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """is_wrong: some host differs from what it should be."""

    lines: list[str]
    value: object
    is_wrong: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """name: of its option. path: with {kind}. kinds: servers that can be asked."""

    name: str
    title: str
    path: str
    result: Callable[[Given, Wish], Result]
    kinds: tuple[str, ...] = ("account", "container", "object")
    method: str = "GET"

    def question(self, kind: str) -> Question:
        return Question(self.path.format(kind=kind), self.method)


def _numbers(given: Given, wish: Wish, wanted: Mapping[str, Callable[[object], float | None]]) -> Result:
    found = {name: summary([read(answer.value) for answer in given.values()]) for name, read in wanted.items()}
    return Result(
        [each.line(name) for name, each in found.items()], {name: each.as_json() for name, each in found.items()}
    )


def _of(*keys: str) -> Callable[[object], float | None]:
    return lambda value: number_at(value, *keys)


def _total_of(entry: str, name: str) -> Callable[[object], float | None]:
    return lambda value: added_up(value.get(entry) if isinstance(value, Mapping) else None, name)


def async_pending(given: Given, wish: Wish) -> Result:
    return _numbers(given, wish, {"async_pending": _of("async_pending")})


def replication(given: Given, wish: Wish) -> Result:
    """replication_time is in minutes for objects and in seconds for databases (formats 6.10)."""
    unit = "minutes" if wish.kind == "object" else "seconds"
    found = _numbers(
        given,
        wish,
        {
            "replication_failure": _of("replication_stats", "failure"),
            "replication_success": _of("replication_stats", "success"),
            f"replication_time ({unit})": _of("replication_time"),
            "replication_attempted": _of("replication_stats", "attempted"),
        },
    )
    ended = {host: number_at(answer.value, "replication_last") for host, answer in given.items()}
    known = sorted((last_s, host) for host, last_s in ended.items() if last_s)
    if not known:
        return found
    value = {"counts": found.value, "last": {str(host): last_s for last_s, host in known}}
    said = [("Oldest", known[0]), ("Most recent", known[-1])]
    lines = [f"{which} completion was {_when(last_s)} by {host}." for which, (last_s, host) in said]
    return Result(found.lines + lines, value)


def updater(given: Given, wish: Wish) -> Result:
    wanted = {f"{wish.kind}_updater_sweep": _of(f"{wish.kind}_updater_sweep")}
    if wish.kind == "object":
        wanted["containers_with_failures"] = _of("object_updater_stats", "failures_account_container_count")
        wanted["oldest_failure_age"] = _of("object_updater_stats", "failures_oldest_timestamp_age")
    return _numbers(given, wish, wanted)


def auditor(given: Given, wish: Wish) -> Result:
    if wish.kind != "object":
        names = ("audits_passed", "audits_failed", "auditor_pass_completed", "audits_since")
        return _numbers(given, wish, {f"{wish.kind}_{name}": _of(f"{wish.kind}_{name}") for name in names})
    wanted: dict[str, Callable[[object], float | None]] = {}
    for mode in ("ALL", "ZBF"):
        for name in ("audit_time", "bytes_processed", "passes", "errors", "quarantined"):
            wanted[f"{mode}_{name}"] = _total_of(f"object_auditor_stats_{mode}", name)
    return _numbers(given, wish, wanted)


def expirer(given: Given, wish: Wish) -> Result:
    names = ("object_expiration_pass", "expired_last_pass")
    return _numbers(given, wish, {name: _of(name) for name in names})


def sharding(given: Given, wish: Wish) -> Result:
    counts = ("attempted", "deferred", "failure", "success")
    wanted = {f"sharding_{name}": _of("sharding_stats", name) for name in counts}
    return _numbers(given, wish, {"sharding_time": _of("sharding_time"), **wanted})


def load(given: Given, wish: Wish) -> Result:
    return _numbers(given, wish, {f"{each}_load_avg": _of(each) for each in ("1m", "5m", "15m")})


def sockstat(given: Given, wish: Wish) -> Result:
    names = ("tcp_in_use", "orphan", "time_wait", "tcp_mem_allocated_bytes", "tcp6_in_use")
    return _numbers(given, wish, {name: _of(name) for name in names})


def driveaudit(given: Given, wish: Wish) -> Result:
    return _numbers(given, wish, {"drive_audit_errors": _of("drive_audit_errors")})


def quarantined(given: Given, wish: Wish) -> Result:
    wanted = {f"quarantined_{kind}": _of(kind) for kind in ("accounts", "containers", "objects")}
    indexes = {
        index
        for answer in given.values()
        if isinstance(answer.value, Mapping) and isinstance(answer.value.get("policies"), Mapping)
        for index in answer.value["policies"]
        if str(index).isdecimal() and len(str(index)) <= _POLICY_DIGITS
    }
    for index in sorted(indexes, key=int):
        wanted[f"quarantined_objects_{index}"] = _of("policies", index, "objects")
    return _numbers(given, wish, wanted)


def _rows(value: object) -> list[Mapping[str, object]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def unmounted(given: Given, wish: Wish) -> Result:
    found = {
        str(host): [shown_text(row.get("device")) for row in _rows(answer.value)]
        for host, answer in given.items()
        if _rows(answer.value)
    }
    lines = [f"Not mounted: {device} on {host}" for host, devices in found.items() for device in devices]
    return Result(lines or ["All disks are mounted."], found, bool(found))


class _Disk(NamedTuple):
    share: float
    host: str
    device: str
    size: float
    used: float
    avail: float


def diskusage(given: Given, wish: Wish) -> Result:
    disks = [disk for host, answer in given.items() for row in _rows(answer.value) if (disk := _disk(host, row))]
    if not disks:
        return Result(["No hosts returned valid data."], {})
    shares = [disk.share for disk in disks]
    size, used, avail = (
        sum(each.size for each in disks),
        sum(each.used for each in disks),
        sum(each.avail for each in disks),
    )
    average = used / (used + avail)
    lines = [
        "Distribution Graph:",
        *_distribution(shares),
        f"Disk usage: space used: {bytes_shown(used, wish.is_human)} of {bytes_shown(size, wish.is_human)}",
        f"Disk usage: space free: {bytes_shown(avail, wish.is_human)} of {bytes_shown(size, wish.is_human)}",
        f"Disk usage: lowest: {min(shares):.2%}, highest: {max(shares):.2%}, avg: {average:.2%}",
    ]
    for count, title, is_highest in ((wish.top, "TOP", True), (wish.lowest, "LOWEST", False)):
        if count > 0:
            chosen = sorted(disks, reverse=is_highest)[:count]
            lines += [f"{title} {count}", *(f"{disk.share:.2%}  {disk.host:<21} {disk.device}" for disk in chosen)]
    value = {
        "size": size, "used": used, "avail": avail, "lowest": min(shares), "highest": max(shares), "average": average,
        "disks": [disk._asdict() for disk in sorted(disks, key=lambda disk: (disk.host, disk.device))],
    }  # fmt: skip
    return Result(lines, value)


def _disk(host: Host, row: Mapping[str, object]) -> _Disk | None:
    """share: as df has it, where what is kept for root counts as neither used nor available."""
    size, used, avail = (number_at(row, key) for key in ("size", "used", "avail"))
    if not row.get("mounted") or size is None or used is None or avail is None or min(size, used, avail) < 0:
        return None
    if not used + avail:
        return None
    return _Disk(used / (used + avail), str(host), shown_text(row.get("device")), size, used, avail)


def _distribution(shares: list[float]) -> list[str]:
    counts: dict[int, int] = {}
    for share in shares:
        counts[int(share * 100)] = counts.get(int(share * 100), 0) + 1
    most = max(counts.values())
    return [
        f"{percent:>3}% {count:>4} {'*' * max(1, _BAR * count // most)}" for percent, count in sorted(counts.items())
    ]


def digests(given: Given, wish: Wish) -> Result:
    """Files of the same name here and there. A host may have others; one that lacks a file of ours differs."""
    wrong: dict[str, list[str]] = {}
    for host, answer in given.items():
        there = answer.value if isinstance(answer.value, Mapping) else {}
        by_name = {str(path).rpartition("/")[2]: digest for path, digest in there.items()}
        different = [name for name, digest in wish.local_digests.items() if by_name.get(name) != digest]
        if different:
            wrong[str(host)] = different
    lines = [f"!! {host}: {', '.join(names)}: not the same as here" for host, names in wrong.items()]
    lines.append(_matched(len(given) - len(wrong), wish))
    return Result(lines, {"matched": len(given) - len(wrong), "hosts": wish.hosts, "different": wrong}, bool(wrong))


def servers(given: Given, wish: Wish) -> Result:
    """That a server of the right kind listens there: Server: object-server/…"""
    wrong = {}
    for host, answer in given.items():
        said = answer.headers.get("server", "")
        if not said.startswith(f"{wish.kind}-server/"):
            wrong[str(host)] = shown_text(said)
    lines = [f"!! {host}: it is {said or 'a server that does not say which'}" for host, said in wrong.items()]
    lines.append(_matched(len(given) - len(wrong), wish))
    return Result(lines, {"matched": len(given) - len(wrong), "hosts": wish.hosts, "different": wrong}, bool(wrong))


def clocks(given: Given, wish: Wish) -> Result:
    """A host's clock must lie between our readings before and after the question, give or take the jitter."""
    ahead: dict[str, float | None] = {}
    for host, answer in given.items():
        there_s = number_at({"time": answer.value}, "time")
        if there_s is None:
            ahead[str(host)] = None
        elif there_s < answer.begun_s - wish.jitter_s:
            ahead[str(host)] = there_s - answer.begun_s
        elif there_s > answer.ended_s + wish.jitter_s:
            ahead[str(host)] = there_s - answer.ended_s
    lines = [
        f"!! {host}: " + ("does not tell its time" if off is None else f"its clock is {abs(off):.1f} s {_side(off)}")
        for host, off in ahead.items()
    ]
    lines.append(_matched(len(given) - len(ahead), wish))
    return Result(lines, {"matched": len(given) - len(ahead), "hosts": wish.hosts, "off_s": ahead}, bool(ahead))


def versions(given: Given, wish: Wish) -> Result:
    by_version: dict[str, list[str]] = {}
    for host, answer in given.items():
        version = answer.value.get("version") if isinstance(answer.value, Mapping) else None
        by_version.setdefault(shown_text(version or "unknown"), []).append(str(host))
    lines = [f"{version}: {len(named)} hosts ({', '.join(named[:5])})" for version, named in sorted(by_version.items())]
    return Result(lines, by_version)


def _matched(count: int, wish: Wish) -> str:
    return f"{count}/{wish.hosts} hosts matched, {wish.hosts - count} error[s] while checking hosts."


def _side(off_s: float) -> str:
    return "ahead" if off_s > 0 else "behind"


def _when(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f}"


CHECKS = (
    Check("async", "async pendings", "/recon/async", async_pending, ("object",)),
    Check("replication", "replication", "/recon/replication/{kind}", replication),
    Check("updater", "updater times", "/recon/updater/{kind}", updater, ("container", "object")),
    Check("auditor", "auditor stats", "/recon/auditor/{kind}", auditor),
    Check("expirer", "expirer", "/recon/expirer/{kind}", expirer, ("object",)),
    Check("sharding", "sharding", "/recon/sharding", sharding, ("container",)),
    Check("unmounted", "unmounted drives", "/recon/unmounted", unmounted),
    Check("diskusage", "disk usage", "/recon/diskusage", diskusage),
    Check("load", "load averages", "/recon/load", load),
    Check("quarantined", "quarantine", "/recon/quarantined", quarantined),
    Check("md5", "ring md5sums", "/recon/ringmd5", digests),
    Check("md5", "swift.conf md5sum", "/recon/swiftconfmd5", digests),
    Check("validate-servers", "server type", "/", servers, method="OPTIONS"),
    Check("sockstat", "sockets", "/recon/sockstat", sockstat),
    Check("driveaudit", "drive-audit errors", "/recon/driveaudit", driveaudit),
    Check("time", "clocks", "/recon/time", clocks),
    Check("swift-versions", "versions", "/recon/version", versions),
)
