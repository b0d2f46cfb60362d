"""Removing what no longer counts from one hash directory.

Writers call it after their own write, the hasher before it hashes. Only names that resolve() calls obsolete go at once;
tombstones, POSTs without data and strangers of known shape go when they are old enough. Absence of evidence removes
nothing: a name of unknown shape stays for good. Source: formats 4.6.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from objstore.core.timestamp import TICKS_PER_SECOND, Timestamp
from objstore.runtime.fs import Fs
from objstore.storage.resolve import File, LiveSet, is_rsync_temporary, overflow_owner, resolve

LEFTOVER_AGE_S = 86_400.0
"""Age at which a temporary that rsync or a crashed writer left behind is removed."""


class CleaningRules(NamedTuple):
    """now: wall time. reclaim_age_s: how long a tombstone is kept; the same on every node, or deletes come undone."""

    now: Timestamp
    reclaim_age_s: float

    def is_reclaimable(self, file: File) -> bool:
        return (self.now.ticks - file.timestamp.ticks) / TICKS_PER_SECOND > self.reclaim_age_s


def clean(fs: Fs, directory: str, rules: CleaningRules) -> LiveSet:
    """Remove from a hash directory what may go; what is left in effect. Raises OSError when it cannot be listed."""
    names = os.listdir(directory)
    live = resolve(names)
    for name in live.obsolete:
        fs.unlink(f"{directory}/{name}")
    # A tombstone stays while anything it ended is here: a power cut may bring back one removal and not the other.
    expired = [] if live.obsolete else _expired(live, rules)
    removed = {file.name for file in expired if fs.unlink(f"{directory}/{file.name}")}
    if removed:
        for side_file in [name for name in names if overflow_owner(name) in removed]:
            fs.unlink(f"{directory}/{side_file}")
    for name in live.unexpected:
        if (is_rsync_temporary(name) or overflow_owner(name)) and _is_leftover(f"{directory}/{name}", rules):
            fs.unlink(f"{directory}/{name}")
    return resolve(set(live.names) - removed) if removed else live


def _expired(live: LiveSet, rules: CleaningRules) -> list[File]:
    """Tombstones past the reclaim age, and POSTs that never found their data."""
    lonely = (live.tombstone, *((live.meta, live.content_type_meta) if live.data is None else ()))
    return [file for file in lonely if file is not None and rules.is_reclaimable(file)]


def _is_leftover(path: str, rules: CleaningRules) -> bool:
    try:
        changed_s = os.lstat(path).st_ctime
    except FileNotFoundError:
        return False
    return rules.now.seconds - changed_s > LEFTOVER_AGE_S
