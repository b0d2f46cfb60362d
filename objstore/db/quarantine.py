"""Taking a broken database out of service: its directory moves to <device>/quarantined/, where nobody reads it.

Nothing is deleted, so an operator can look; the replicator then brings a whole copy. Source: formats 5.9.
"""

from __future__ import annotations

import errno
import os
import uuid

from objstore.db.location import Location
from objstore.runtime.fs import Fs


def quarantine(fs: Fs, location: Location) -> str | None:
    """Move a database's directory away, durably; its new path, or None when somebody else already did."""
    target_parent = f"{location.device_path}/quarantined/{location.datadir}"
    fs.make_directories(target_parent)
    target = f"{target_parent}/{location.hash}"
    try:
        _move(fs, location.directory, target)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        target = f"{target}-{uuid.uuid4().hex}"
        _move(fs, location.directory, target)
    return target


def _move(fs: Fs, source: str, target: str) -> None:
    fs.rename_durable(source, target)
    fs.sync_directory(os.path.dirname(source))
