"""Setting damaged objects aside, so that nobody reads them again and an operator can. Source: formats 4.12.

A hash directory moves, whole, to quarantined/objects[-N]/<hash> of its device; if that name is taken, a random tail is
appended. Nothing is deleted. The suffix is invalidated first: replication must notice that this copy is gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from objstore.runtime.fs import Fs


def set_aside(fs: Fs, path: str, quarantine_directory: str, random_hex: Callable[[], str]) -> str | None:
    """Move a hash directory (or a stray file in its place) to quarantine, durably; where it went.

    None: it was not there any more. random_hex: 32 digits for a name that is taken.
    """
    fs.make_directories(quarantine_directory)
    target = f"{quarantine_directory}/{os.path.basename(path)}"
    if os.path.lexists(target):
        target = f"{target}-{random_hex()}"
    try:
        fs.rename(path, target)
    except FileNotFoundError:
        return None
    fs.sync_directory(quarantine_directory)
    fs.sync_directory(os.path.dirname(path))
    return target
