"""Opening whatever a hash directory holds, without knowing its name: how an auditor comes to an object.

A reader knows the name and finds the directory; here the directory is known, and the name is one of the things that
may be wrong. Used by object/passes/audit.py, in native threads of the device.
"""

from __future__ import annotations

import os

from objstore.core.hashing import HashSecrets
from objstore.runtime.fs import Fs
from objstore.storage.cleanup import CleaningRules
from objstore.storage.engine import Absent, StoredObject
from objstore.storage.layout import ObjectAddress
from objstore.storage.metadata import BadMetadata, OverflowMissing
from objstore.storage.reader import MAX_LISTINGS, DamagedObject, OtherName, open_object, read_metadata
from objstore.storage.resolve import File, is_rsync_temporary, resolve
from objstore.storage.verdict import metadata_verdict


class Damaged(Exception):
    """What is stored is not what was written. data: the file it was found in, as it was then; reason: for the log."""

    def __init__(self, data: File, reason: str) -> None:
        super().__init__(reason)
        self.data = data
        self.reason = reason


def data_size(directory: str) -> int | None:
    """Bytes of the .data file in effect; None when there is none. Raises OSError."""
    data = _data(directory)
    if data is None:
        return None
    try:
        return os.lstat(f"{directory}/{data.name}").st_size
    except FileNotFoundError:
        return None


def examine(fs: Fs, secrets: HashSecrets, directory: str, address: ObjectAddress) -> StoredObject | Absent:
    """The object in a hash directory, everything about it checked but its body. address: its name is not used.

    Raises Damaged; OSError for a disk that does not say.
    """
    for attempt in range(MAX_LISTINGS):
        data = _data(directory)
        if data is None:
            return Absent()
        try:
            return _opened(fs, secrets, directory, address, data)
        except (FileNotFoundError, OverflowMissing) as error:
            # Replaced between the listing and the opening; on the last attempt a side file is truly missing.
            if attempt == MAX_LISTINGS - 1 and isinstance(error, OverflowMissing):
                raise Damaged(data, error.reason) from None
        except BadMetadata as error:
            raise Damaged(data, error.reason) from None
    # Written to faster than we can look: somebody else's object, and in good health.
    return Absent()


def remove_rsync_temporaries(fs: Fs, directory: str, rules: CleaningRules, age_s: float) -> int:
    """Remove what interrupted rsyncs left in a hash directory longer than age_s ago; how many files."""
    removed = 0
    for name in resolve(os.listdir(directory)).unexpected:
        path = f"{directory}/{name}"
        if is_rsync_temporary(name) and _age_s(path, rules) > age_s:
            removed += fs.unlink(path)
    return removed


def _opened(fs: Fs, secrets: HashSecrets, directory: str, address: ObjectAddress, data: File) -> StoredObject | Absent:
    found = read_metadata(fs, directory, data.name)
    reason = metadata_verdict(
        found.headers,
        os.stat(f"{directory}/{data.name}").st_size,
        hash_of_name=_hash_of(secrets, found.name),
        directory_hash=address.hash_hex,
    )
    if reason is not None:
        raise Damaged(data, reason)
    try:
        return open_object(fs, directory, address._replace(name=found.name))
    except DamagedObject as error:
        raise Damaged(data, error.reason) from None
    except OtherName:
        # Another name of the same hash replaced it just now: not damage, and the next pass sees it.
        return Absent()


def _data(directory: str) -> File | None:
    try:
        return resolve(os.listdir(directory)).data
    except (FileNotFoundError, NotADirectoryError):
        return None


def _hash_of(secrets: HashSecrets, name: str) -> str:
    parts = name.split("/", 3)
    return secrets.hash_path(*parts[1:]) if len(parts) == 4 and not parts[0] else ""


def _age_s(path: str, rules: CleaningRules) -> float:
    try:
        return rules.now.seconds - os.lstat(path).st_mtime
    except FileNotFoundError:
        return 0.0
