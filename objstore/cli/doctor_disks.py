"""What `objstore doctor` tries on every disk: writing, extended attributes, fsync, space; and by the timestamps of what
lies there, whether the clock was once ahead."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from objstore.cli.at_once import within
from objstore.cli.doctor_checks import Finding
from objstore.cluster.servers import PROXY_NODE, ServerFile
from objstore.core.timestamp import InvalidTimestamp, Timestamp
from objstore.runtime.fs import Fs

DEADLINE_S = 15.0
"""For all disks together: a healthy one needs milliseconds."""
SYNC_MAX_S = 3.0
FREE_MIN = 0.10
AHEAD_MAX_S = 60.0
FILES_LOOKED_AT = 2000
"""Of a disk, for timestamps in the future."""
_KEPT_NAMES = (".data", ".meta", ".ts")


def of_disks(servers: Sequence[ServerFile], deadline_s: float = DEADLINE_S) -> Iterator[Finding]:
    """Every directory of a device, of every storage server."""
    roots = {server.devices.resolve(): server.settings.mount_check for server in servers if server.node != PROXY_NODE}
    asked: dict[Path, Callable[[], list[Finding]]] = {}
    for root, mount_check in sorted(roots.items()):
        try:
            names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
        except OSError as error:
            yield Finding("disks", f"{root}: {error.strerror}", f"make it, or set devices: mkdir -p {root}")
            continue
        if not names:
            yield Finding("disks", f"{root}: no disk is mounted there", f"mount one at {root}/NAME")
        asked |= {root / name: partial(_listed, root / name, mount_check) for name in names}
    answers = within(asked, deadline_s)
    for path in asked:
        if path in answers:
            yield from answers[path]
        else:
            yield Finding(
                "disks", f"{path}: does not answer within {deadline_s:g} s", "look at dmesg; replace the disk"
            )


def _listed(path: Path, mount_check: bool) -> list[Finding]:
    return list(of_disk(path, mount_check))


def of_disk(
    path: Path, mount_check: bool, fs: Fs | None = None, now: Callable[[], float] = time.time
) -> Iterator[Finding]:
    """path: of a device's directory."""
    fs = fs or Fs()
    if mount_check and not os.path.ismount(path):
        yield Finding("disks", f"{path}: nothing is mounted there", f"mount {path}, or mount_check = no")
        return
    try:
        free, size = fs.free_space(str(path))
        if size and free / size < FREE_MIN:
            yield Finding("space", f"{path}: {free / size:.1%} is free", "add drives, or delete what is not needed")
        yield from _tried(path, fs)
        ahead_s, name = _newest_ahead(path, now())
    except OSError as error:
        yield Finding("disks", f"{path}: cannot be used ({error.strerror})", "look at dmesg, owner and mode")
        return
    if ahead_s > AHEAD_MAX_S:
        yield Finding(
            "timestamps",
            f"{path}: {name} is {ahead_s:.0f} s in the future",
            "set the clock; later writes lose until then",
        )


def _tried(path: Path, fs: Fs) -> Iterator[Finding]:
    fd, name = fs.open_temporary(str(path), prefix=".doctor.")
    try:
        try:
            fs.set_attributes(fd, {"objstore.check": b"1"})
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EINVAL):
                raise
            yield Finding("xattrs", f"{path}: keeps no extended attributes", "use ext4, xfs, or tmpfs of Linux 6.6")
        fs.write(fd, b"doctor")
        begin = time.monotonic()
        fs.sync(fd)
        fs.sync_directory(str(path))
        took_s = time.monotonic() - begin
        if took_s > SYNC_MAX_S:
            yield Finding(
                "fsync", f"{path}: fsync took {took_s:.1f} s", "look at dmesg and iostat -x: the disk is slow"
            )
    finally:
        os.close(fd)
        fs.unlink(name)


def _newest_ahead(path: Path, now_s: float) -> tuple[float, str]:
    """(how far the newest of some names lies ahead of now, which it is)."""
    newest, newest_name = 0.0, ""
    for name in islice(_names(path), FILES_LOOKED_AT):
        try:
            written_s = Timestamp.parse(name.rpartition(".")[0]).seconds
        except InvalidTimestamp:
            continue
        if written_s - now_s > newest:
            newest, newest_name = written_s - now_s, name
    return newest, newest_name


def _names(path: Path) -> Iterator[str]:
    for top in sorted(path.glob("objects*")):
        for file in top.glob("*/*/*/*"):
            if file.suffix in _KEPT_NAMES:
                yield file.name
