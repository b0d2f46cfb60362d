"""Suffix hashes: what two replicas of a partition compare instead of their files. Source: formats 4.8 to 4.10.

    hashes.pkl        suffix → MD5 over the names in effect, or None (changed since; compute again), and
                      valid (bool), updated (seconds)
    hashes.invalid    one suffix a line, appended at every change since hashes.pkl was last brought up to date
    .lock             flock: held to append, to fold hashes.invalid into hashes.pkl, and to give a new file its name

Invariants, in the face of other processes (Swift's own among them) and of a power cut:
1. A suffix is listed before a change to it can be seen, and both happen under one hold of the lock: whoever folds the
   list either does it before (and the suffix is listed again) or sees the change.
2. While hashes.pkl exists, every line of hashes.invalid is durable. Otherwise a power cut could keep the new file and
   lose the line, and a stale digest would never be compared again. Without hashes.pkl there is no digest to be stale.
3. A digest is stored only if hashes.pkl is still the one whose list of changes it was computed from.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from objstore.core import pickles
from objstore.core.timestamp import Timestamp
from objstore.runtime.fs import Fs
from objstore.storage.cleanup import CleaningRules, clean
from objstore.storage.resolve import DATA, META, TOMBSTONE, LiveSet, resolve

PICKLE, INVALID, LOCK = "hashes.pkl", "hashes.invalid", ".lock"
LOCK_TIMEOUT_S = 10.0
MAX_ATTEMPTS = 3
"""How often digests are computed again because hashes.pkl changed meanwhile, before they are used without storing."""

_SUFFIX = re.compile(r"[0-9a-f]{3}\Z")
_HASH = re.compile(r"[0-9a-f]{32}\Z")

SuffixHashes = dict[str, str | None]


def is_suffix(text: str) -> bool:
    return _SUFFIX.match(text) is not None


class PartitionHashes:
    """The suffix hashes of one partition directory, which exists."""

    def __init__(self, fs: Fs, directory: str) -> None:
        self._fs = fs
        self._directory = directory

    def changing(self, suffix: str) -> AbstractContextManager[None]:
        """Hold the partition's lock with the suffix listed as changed; names appear and vanish inside only.

        Raises LockTimeout, and FileNotFoundError when the partition directory has gone."""
        return _Changing(self, suffix)

    def invalidate(self, suffixes: Collection[str]) -> None:
        with self.locked():
            for suffix in suffixes:
                self.list_changed(suffix)

    def current(
        self,
        rules: CleaningRules,
        set_aside: Callable[[str], object],
        *,
        recalculate: Collection[str] = (),
        list_all: bool = False,
    ) -> dict[str, str]:
        """Suffix → hash of every suffix that holds something, computing what is invalid or in `recalculate`.

        list_all: look for suffix directories that hashes.pkl does not know. set_aside(path): quarantine for what is in
        the place of a hash directory and is none.
        """
        hashes: SuffixHashes = {}
        for _ in range(MAX_ATTEMPTS):
            stored, is_valid = self._fold()
            hashes = dict(stored)
            if list_all or not is_valid:
                found = {name for name in _listed(self._directory) if is_suffix(name)}
                hashes = {suffix: hashes.get(suffix) for suffix in found}
            for suffix in recalculate:
                if suffix in hashes or os.path.isdir(f"{self._directory}/{suffix}"):
                    hashes[suffix] = None
            for suffix in sorted(suffix for suffix, value in hashes.items() if value is None):
                hashes[suffix] = hash_suffix(
                    self._fs, f"{self._directory}/{suffix}", rules, set_aside, self._remove_empty
                )
            hashes = {suffix: value for suffix, value in hashes.items() if value is not None}
            if (is_valid and hashes == stored) or self._store(stored, is_valid, hashes, rules.now):
                break
        return {suffix: value for suffix, value in hashes.items() if value is not None}

    def _remove_empty(self, directory: str) -> None:
        """Under the lock: a writer that finds its directory gone makes it again and names its file under one hold."""
        with self.locked():
            self._fs.remove_directory(directory)

    def locked(self) -> AbstractContextManager[None]:
        """Raises LockTimeout, and FileNotFoundError when the partition directory has gone."""
        return self._fs.lock(f"{self._directory}/{LOCK}", LOCK_TIMEOUT_S)

    def list_changed(self, suffix: str) -> None:
        """Append to hashes.invalid unless it is there; durable when there is a hashes.pkl. Under the lock."""
        line = f"{suffix}\n".encode()
        fd, is_new = self._fs.open_list(f"{self._directory}/{INVALID}")
        try:
            if not is_new and _holds(self._fs.rest(fd), line):
                return
            self._fs.write(fd, line)
            if not os.access(f"{self._directory}/{PICKLE}", os.F_OK):
                return
            self._fs.sync_data(fd)
        finally:
            os.close(fd)
        if is_new:
            self._fs.sync_directory(self._directory)

    def _fold(self) -> tuple[SuffixHashes, bool]:
        """Bring the list of changes into hashes.pkl; (what that now says, whether it knows every suffix)."""
        with self.locked():
            hashes, is_valid = self._load()
            listed = (self._fs.content(f"{self._directory}/{INVALID}") or b"").decode("ascii", "replace").split("\n")
            changed = {suffix for suffix in listed if is_suffix(suffix)}
            is_stored = os.path.exists(f"{self._directory}/{PICKLE}")
            if changed or not is_stored:
                hashes.update(dict.fromkeys(changed))
                self._write(hashes, is_valid, None)
                self._truncate_list()
            return hashes, is_valid

    def _truncate_list(self) -> None:
        fd = self._fs.open_append(f"{self._directory}/{INVALID}")
        try:
            self._fs.truncate(fd, 0)
        finally:
            os.close(fd)

    def _store(self, expected: SuffixHashes, was_valid: bool, hashes: SuffixHashes, now: Timestamp) -> bool:
        """Replace hashes.pkl, unless somebody else did since; then False."""
        with self.locked():
            if self._load() != (expected, was_valid):
                return False
            self._write(hashes, True, now)
            return True

    def _load(self) -> tuple[SuffixHashes, bool]:
        """(hashes, valid); nothing and False when hashes.pkl is missing or not as it should be."""
        content = self._fs.content(f"{self._directory}/{PICKLE}")
        if content is None:
            return {}, False
        try:
            value = pickles.loads(content, encoding="latin-1")
        except pickles.UnsafePickle:
            return {}, False
        if not isinstance(value, dict):
            return {}, False
        is_valid = bool(value.pop("valid", True))
        value.pop("updated", None)
        if not all(isinstance(key, str) and is_suffix(key) for key in value):
            return {}, False
        return value, is_valid

    def _write(self, hashes: SuffixHashes, is_valid: bool, now: Timestamp | None) -> None:
        value: dict[str, object] = {"valid": is_valid, "updated": now.seconds if now else 0.0, **hashes}
        self._fs.replace_file(f"{self._directory}/{PICKLE}", pickles.dumps(value), mode=0o600)


class _Changing:
    __slots__ = ("_hashes", "_suffix", "_lock")

    def __init__(self, hashes: PartitionHashes, suffix: str) -> None:
        self._hashes = hashes
        self._suffix = suffix
        self._lock = hashes.locked()

    def __enter__(self) -> None:
        self._lock.__enter__()
        try:
            self._hashes.list_changed(self._suffix)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.__exit__(None, None, None)


def _holds(lines: bytes, line: bytes) -> bool:
    return lines.startswith(line) or b"\n" + line in lines


def hash_suffix(
    fs: Fs,
    directory: str,
    rules: CleaningRules,
    set_aside: Callable[[str], object],
    remove_empty: Callable[[str], object],
) -> str | None:
    """The hash of one suffix directory after cleaning it; None when nothing is left, and then it is removed.

    None as well when all that is left is POSTs whose data is not here: no other copy can be brought those alone, so a
    hash of them would differ for good."""
    digest, is_empty, is_counted = hashlib.md5(usedforsecurity=False), True, False
    for name in sorted(_listed(directory)):
        path = f"{directory}/{name}"
        if not _HASH.match(name):
            is_empty, is_counted = False, True
            continue
        try:
            live = clean(fs, path, rules)
        except NotADirectoryError:
            set_aside(path)
            continue
        except FileNotFoundError:
            continue
        if not live.names:
            remove_empty(path)
            continue
        is_empty = False
        for part in hash_parts(live):
            digest.update(part.encode())
            is_counted = True
    if is_empty:
        remove_empty(directory)
    return digest.hexdigest() if is_counted else None


def reclaimable_suffixes(partition_path: str, rules: CleaningRules) -> list[str]:
    """Suffixes with a tombstone that is old enough to go; nothing tells of those, for nothing changes. Opens no
    file."""
    found = []
    for suffix in filter(is_suffix, _listed(partition_path)):
        directory = f"{partition_path}/{suffix}"
        names = (name for entry in _listed(directory) for name in _listed(f"{directory}/{entry}"))
        tombstones = (resolve((name,)).tombstone for name in names if name.endswith(TOMBSTONE))
        if any(file is not None and rules.is_reclaimable(file) for file in tombstones):
            found.append(suffix)
    return found


def hash_parts(live: LiveSet) -> list[str]:
    """What one hash directory adds to its suffix's hash: timestamps and kinds in effect, in this order.

    A POST without its data serves nobody and is not in effect: it stays behind on a copy that took it before it heard
    of a DELETE that was older."""
    if live.data is None:
        return [live.tombstone.timestamp.internal + TOMBSTONE] if live.tombstone is not None else []
    parts = [live.meta.timestamp.internal + META] if live.meta is not None else []
    parts.append(live.data.timestamp.internal + DATA)
    if live.content_type is not None:
        parts.append(live.content_type.internal + "_ctype")
    return parts


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
