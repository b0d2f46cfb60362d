"""What recon says of a node's disks: which are mounted, how full they are, what lies in quarantine. Only reads."""

from __future__ import annotations

import os
import re
from pathlib import Path

_OBJECTS = re.compile(r"objects(?:-(\d+))?\Z")


class Disks:
    """The device directories under `root`. mount_check: one counts as mounted only if it is a mount point."""

    def __init__(self, root: Path, mount_check: bool) -> None:
        self._root = root
        self._mount_check = mount_check

    def names(self) -> list[str]:
        """Every entry of the root, usable or not, sorted. Raises OSError."""
        return sorted(os.listdir(self._root))

    def is_mounted(self, name: str) -> bool:
        path = self._root / name
        return os.path.ismount(path) if self._mount_check else path.is_dir()

    def unmounted(self) -> list[dict[str, object]]:
        return [{"device": name, "mounted": False} for name in self.names() if not self.is_mounted(name)]

    def usage(self) -> list[dict[str, object]]:
        """Bytes of each device; size, used and avail are "" of one that is not mounted or does not answer."""
        return [self._usage(name) for name in self.names()]

    def _usage(self, name: str) -> dict[str, object]:
        if self.is_mounted(name):
            try:
                status = os.statvfs(self._root / name)
            except OSError:
                pass
            else:
                size, avail = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
                used = size - status.f_bfree * status.f_frsize
                return {"device": name, "mounted": True, "size": size, "used": used, "avail": avail}
        return {"device": name, "mounted": False, "size": "", "used": "", "avail": ""}

    def quarantined(self) -> dict[str, object]:
        """Entries in quarantine by kind; objects by policy index too, and as a sum."""
        accounts = containers = 0
        policies: dict[str, int] = {}
        for name in self.names():
            quarantine = self._root / name / "quarantined"
            for kind, count in _entry_counts(quarantine):
                if kind == "accounts":
                    accounts += count
                elif kind == "containers":
                    containers += count
                elif matched := _OBJECTS.match(kind):
                    index = matched[1] or "0"
                    policies[index] = policies.get(index, 0) + count
        return {
            "objects": sum(policies.values()),
            "containers": containers,
            "accounts": accounts,
            "policies": {index: {"objects": count} for index, count in sorted(policies.items())},
        }


def _entry_counts(directory: Path) -> list[tuple[str, int]]:
    """(name, entries in it) of each directory in a directory that may not be there."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found.append((entry.name, len(os.listdir(entry.path))))
    except (FileNotFoundError, NotADirectoryError):
        pass
    return found
