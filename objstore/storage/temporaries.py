"""What lies in a device's tmp[-N] and never got a name: uploads that a crash cut off, copies nobody fetched.

A file that is still on its way is younger than anybody's patience with it: whoever writes, links or renames it changes
its inode, and the time of that (ctime) cannot be set by those who carry older times along, as rsync does. One that is
renamed away while we look is not ours any more; one that is removed under an upload that slept for longer than the age
fails that upload, before it is acknowledged. Source: formats 1.4, 4.11. Called from native threads.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from objstore.core.timestamp import Timestamp
from objstore.runtime.fs import Fs


def old_temporaries(directory: str, now: Timestamp, age_s: float) -> list[str]:
    """Paths of the plain files in a directory, which need not be there, that nobody has changed for longer than age_s.
    Raises OSError of a disk that cannot be read."""
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [path for name in names if _is_old(path := f"{directory}/{name}", now, age_s)]


def remove_old(fs: Fs, paths: Iterable[str], now: Timestamp, age_s: float) -> int:
    """Remove those that are old still; how many. Raises OSError."""
    return sum(fs.unlink(path) for path in paths if _is_old(path, now, age_s))


def _is_old(path: str, now: Timestamp, age_s: float) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and now.seconds - max(found.st_ctime, found.st_mtime) > age_s
