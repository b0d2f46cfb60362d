"""drive-audit.conf: what objstore-drive-audit looks for. Names and defaults are Swift's (features B3.15)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from objstore.config.errors import ConfigError, ConfigProblem, located
from objstore.config.inifile import read_ini
from objstore.config.settings import Settings, boolean, number, setting, text

SECTION = "drive-audit"
PATTERN_PREFIX = "regex_pattern_"
DEFAULT_PATTERNS = (r"\berror\b.*\b(sd[a-z]{1,2}\d?)\b", r"\b(sd[a-z]{1,2}\d?)\b.*\berror\b")


@dataclass(frozen=True)
class DriveAuditSettings(Settings):
    """Run it by cron. Disks of which the kernel's log has errors are unmounted; the others take over their work.

    Keys named regex_pattern_1, regex_pattern_2 and so on replace the two patterns there are, of an error of sda to
    sdzz. The one group of each is the kernel's name of the disk or partition; for NVMe a pattern would be
    \\berror\\b.*\\b(nvme\\d+n\\d+(?:p\\d+)?)\\b"""

    WILDCARDS: ClassVar[tuple[str, ...]] = (PATTERN_PREFIX,)

    device_dir: str = setting("/srv/node", text, "Where the disks are mounted: one directory per device.")
    minutes: int = setting("60", number(1), "How far back in the log to look.")
    error_limit: int = setting("1", number(1), "Errors in that time that make a disk a failed one.")
    recon_cache_path: str = setting("/var/cache/swift", text, "Where the number of errors is left for objstore-recon.")
    unmount_failed_device: bool = setting("yes", boolean, "Unmount a failed disk; no: only report it.")
    log_file_pattern: str = setting("/var/log/kern.*[!.][!g][!z]", text, "The kernel's logs.")
    log_to_console: bool = setting("no", boolean, "Accepted for Swift's sake: it says what it finds.", advanced=True)
    log_max_line_length: int = setting("0", number(0), "Accepted for Swift's sake.", advanced=True)
    log_name: str = setting("drive-audit", text, "Accepted for Swift's sake.", advanced=True)
    log_facility: str = setting("LOG_LOCAL0", text, "Accepted for Swift's sake.", advanced=True)
    log_level: str = setting("INFO", text, "Accepted for Swift's sake.", advanced=True)
    log_address: str = setting("/dev/log", text, "Accepted for Swift's sake.", advanced=True)


def load_drive_audit(path: Path) -> tuple[DriveAuditSettings, tuple[re.Pattern[str], ...]]:
    """The settings of a file, and its patterns. Raises ConfigError with everything that is wrong."""
    ini = read_ini(path)
    if SECTION not in ini.sections:
        raise ConfigError([ConfigProblem(str(path), "", "", "", f"a section [{SECTION}]")])
    pairs = ini.own_pairs(SECTION)
    settings, wrong = DriveAuditSettings.from_pairs(pairs)
    problems = located(wrong, str(path), SECTION)
    patterns, bad = _patterns(settings.extra)
    problems += [ConfigProblem(str(path), SECTION, key, settings.extra[key], expected) for key, expected in bad]
    if problems:
        raise ConfigError(problems)
    return settings, patterns


def _patterns(extra: Mapping[str, str]) -> tuple[tuple[re.Pattern[str], ...], list[tuple[str, str]]]:
    """(the patterns, (key, what was expected) of those that cannot be used)"""
    found, bad = [], []
    for key, value in sorted(extra.items()):
        try:
            pattern = re.compile(value)
        except re.error as error:
            bad.append((key, f"a regular expression ({error})"))
            continue
        if pattern.groups != 1:
            bad.append((key, "one group in it, which is the disk's name"))
        else:
            found.append(pattern)
    return tuple(found) or tuple(map(re.compile, DEFAULT_PATTERNS)), bad
