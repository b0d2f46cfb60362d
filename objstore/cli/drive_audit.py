"""objstore-drive-audit CONF: unmount the disks of which the kernel's log has errors (B3.15). For cron, as root.

What the others of the cluster see then is a disk that is away, which they know how to work around; a disk that answers
slowly and wrong is worse. A log that would take most disks of the machine speaks of a controller, a cable or a wrong
pattern: then nothing is unmounted.
"""

from __future__ import annotations

import argparse
import glob
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from objstore.cli.terminal import FAILED, OK, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.config.drive_audit import DriveAuditSettings, load_drive_audit
from objstore.daemon import recon
from objstore.runtime import machine
from objstore.runtime.kernel_log import recent_lines

_EXAMPLE = """\
examples:
  objstore-drive-audit /etc/swift/drive-audit.conf
  objstore-drive-audit /etc/swift/drive-audit.conf --dry-run --json

crontab: */10 * * * * root objstore-drive-audit /etc/swift/drive-audit.conf
Exit codes: 0 no bad disk; 1 bad disks, or something could not be read or unmounted; 78 CONF cannot be used.
"""
UNMOUNT_WITHIN_S = 60.0
_BLOCK = Path("/sys/class/block")


@dataclass(slots=True)
class Disk:
    """A mounted device. path: where. kernel_name: sdb1, dm-0. errors: in the time that counts."""

    path: str
    kernel_name: str
    errors: int = 0
    is_bad: bool = False
    is_unmounted: bool = False


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser("objstore-drive-audit", "Unmount disks of which the kernel's log has errors.", _EXAMPLE)
    parser.add_argument("conf", type=Path, metavar="CONF", help="with a section [drive-audit]; see etc/")
    parser.add_argument("--dry-run", action="store_true", help="unmount nothing, leave recon as it is")
    parser.add_argument("--json", action="store_true", help="for a script")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    settings, patterns = load_drive_audit(arguments.conf)
    now = datetime.now().astimezone()
    try:
        booted = now - timedelta(seconds=machine.uptime_s())
        mounts = machine.mounts()
    except OSError as error:
        terminal.complain(f"{error.filename}: cannot be read ({error.strerror})")
        return FAILED
    disks = disks_below(settings.device_dir, mounts)
    counts, unreadable = count_errors(settings, patterns, now, booted)
    may_unmount = settings.unmount_failed_device and not arguments.dry_run
    problems = [*unreadable, *judge(disks, counts, settings.error_limit, unmount if may_unmount else None)]
    if not arguments.dry_run:
        problems += _tell_recon(Path(settings.recon_cache_path), disks)
    if arguments.json:
        terminal.say(json.dumps({"disks": [asdict(disk) for disk in disks], "problems": problems}, indent=2))
    else:
        for disk in disks:
            if disk.errors:
                state = "unmounted" if disk.is_unmounted else "bad" if disk.is_bad else "below the limit"
                terminal.say(f"{disk.path} ({disk.kernel_name}): {disk.errors} errors, {state}")
    for problem in problems:
        terminal.complain(problem)
    return FAILED if problems or any(disk.is_bad for disk in disks) else OK


def disks_below(device_dir: str, mounts: Iterable[tuple[str, str]]) -> list[Disk]:
    """What is mounted directly below device_dir, by path. Links such as /dev/mapper/… are followed."""
    root = Path(device_dir).resolve()
    return sorted(
        (Disk(where, Path(device).resolve().name) for device, where in mounts if Path(where).parent == root),
        key=lambda disk: disk.path,
    )


def count_errors(
    settings: DriveAuditSettings, patterns: Sequence[re.Pattern[str]], now: datetime, booted: datetime
) -> tuple[Counter[str], list[str]]:
    """(errors of each name the kernel gives a disk, what is wrong with the logs). A line counts once for a name."""
    counts: Counter[str] = Counter()
    problems = []
    since = now - timedelta(minutes=settings.minutes)
    files = sorted(glob.glob(settings.log_file_pattern))
    if not files:
        problems.append(f"{settings.log_file_pattern}: no log; see log_file_pattern")
    for file in files:
        try:
            for line in recent_lines(Path(file), since, now, booted):
                counts.update({found[1] for pattern in patterns if (found := pattern.search(line)) and found[1]})
        except OSError as error:
            problems.append(f"{file}: cannot be read ({error.strerror})")
    return counts, problems


def judge(
    disks: Sequence[Disk],
    counts: Mapping[str, int],
    limit: int,
    unmount: Callable[[str], str] | None,
    is_part_of: Callable[[str, str], bool] = lambda part, disk: (_BLOCK / disk / part).is_dir(),
) -> list[str]:
    """Fill in what is known of the disks, and unmount the bad ones; returns what went wrong.

    unmount(path): returns why it failed, or ""; None: nothing is unmounted. is_part_of(sdb1, sdb): an error of a whole
    disk is one of each of its partitions."""
    for disk in disks:
        disk.errors = sum(
            count for name, count in counts.items() if name == disk.kernel_name or is_part_of(disk.kernel_name, name)
        )
        disk.is_bad = disk.errors >= limit
    bad = [disk for disk in disks if disk.is_bad]
    if unmount is None or not bad:
        return []
    if len(bad) > max(1, len(disks) // 2):
        return [f"{len(bad)} of {len(disks)} disks have errors: nothing is unmounted; look at controller and cables"]
    problems = []
    for disk in bad:
        why = unmount(disk.path)
        disk.is_unmounted = not why
        if why:
            problems.append(f"{disk.path}: cannot be unmounted ({why})")
    return problems


def unmount(path: str) -> str:
    """Lazily: what has files open there keeps them until it closes them. Why it failed, "" if it did not."""
    try:
        done = subprocess.run(
            ["umount", "-fl", "--", path], capture_output=True, text=True, timeout=UNMOUNT_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"


def _tell_recon(directory: Path, disks: Sequence[Disk]) -> list[str]:
    """drive_audit_errors is the sum that Swift's tools read; the rest is ours."""
    entries = {
        "drive_audit_errors": sum(disk.errors for disk in disks),
        "drive_audit_devices": [asdict(disk) for disk in disks if disk.errors],
    }
    try:
        recon.merge(recon.recon_file(directory, "drive"), entries)
    except OSError as error:
        return [f"{directory}: the number of errors cannot be left there ({error.strerror})"]
    return []


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
