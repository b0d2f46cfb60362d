"""Writing one file of a hash directory so that a crash at any point leaves the old object or the new one, whole.

The order, each step before the next:
    1. directories are made; their new names are synced in step 6, when one journal commit covers them all
    2. the body goes into a file without a name (O_TMPFILE; a temporary in tmp[-N] where the file system has none)
    3. metadata into its attributes, what does not fit into a side file, named and synced first; then the file is synced
    4. under the partition's lock: the suffix is listed as changed, durably
    5. still under the lock: the file gets its name. If the name is taken, by a temporary name renamed over it: never
       unlinked first, or there would be a moment without any copy
    6. the hash directory is synced, then every parent that got a new entry
    7. what the file supersedes is removed
After 6 the write is acknowledged. Before 5 nobody can see it. Source: formats 4.11; doc/formats/objects.md.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from objstore.core.hashing import partition_of
from objstore.core.timestamp import Timestamp
from objstore.runtime.checksum import EMPTY, crc32c
from objstore.runtime.disk_errors import disk_errors
from objstore.runtime.fs import Fs
from objstore.storage import metadata
from objstore.storage.cleanup import CleaningRules, clean
from objstore.storage.engine import data_headers
from objstore.storage.hashes import PartitionHashes
from objstore.storage.layout import DeviceLayout, ObjectAddress
from objstore.storage.metadata import Metadata
from objstore.storage.resolve import data_name, overflow_name, overflow_owner

PREALLOCATE_FROM_BYTES = 1 << 16
"""Smaller bodies go out in one write, which reserves their blocks itself."""
MAX_LINK_ATTEMPTS = 3
"""How often the directories are made again because a cleaner removed them as empty."""

_NO_UNNAMED_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """bytes_per_sync: flush this often, so that a large upload does not end in one long stall. past_cache_from_bytes:
    larger uploads go straight to the disk: half the CPU, and what is read often stays in the page cache."""

    bytes_per_sync: int = 512 << 20
    past_cache_from_bytes: int = 5 << 20
    preallocate: bool = True


class NamedLater:
    """A file of one hash directory that has no name yet."""

    def __init__(self, fs: Fs, layout: DeviceLayout, address: ObjectAddress) -> None:
        self.fs = fs
        self.layout = layout
        self.address = address
        self.partition = layout.partition(address.policy_index, address.partition)
        self.directory = f"{self.partition}/{address.suffix}/{address.hash_hex}"
        self.fd = -1
        self._temporary: str | None = None
        self._unsynced: list[str] = []
        self._has_replaced = False
        self._is_new_directory = False

    def open(self, *, expects_directory: bool = False) -> None:
        """Steps 1 and 2. expects_directory: the hash directory is likely to be there. Raises OSError."""
        if expects_directory:
            try:
                self.fd = self.fs.open_unnamed(self.directory)
                return
            except OSError as error:
                if error.errno != errno.ENOENT and error.errno not in _NO_UNNAMED_FILES:
                    raise
        for _ in range(MAX_LINK_ATTEMPTS):
            changed = self.fs.create_directories(self.directory)
            # What another writer puts there meanwhile, that writer cleans: it finds the directory made.
            self._is_new_directory = bool(changed)
            self._unsynced += changed
            try:
                self.fd = self.fs.open_unnamed(self.directory)
                return
            except FileNotFoundError:
                continue  # A cleaner removed the empty directory in between.
            except OSError as error:
                if error.errno not in _NO_UNNAMED_FILES:
                    raise
            directory = self.layout.temporary(self.address.policy_index)
            self.fs.create_directories(directory)
            self.fd, self._temporary = self.fs.open_temporary(directory)
            return
        raise OSError(errno.ENOENT, "the directory keeps vanishing", self.directory)

    def publish(self, name: str, found: Metadata, next_part_power: int | None, rules: CleaningRules) -> None:
        """Steps 3 to 7. Raises OSError, LockTimeout."""
        blob = metadata.encode(found)
        if not metadata.write(self.fs, self.fd, blob):
            self._write_overflow(name, blob)
        self.fs.sync(self.fd)
        self._give_name(name)
        # Together: a directory that is not durable yet loses only a name that nobody has been promised yet.
        self.fs.sync_directories([self.directory, *dict.fromkeys(self._unsynced)])
        if next_part_power is not None:
            self._link_in_next_partition(name, blob, next_part_power, rules)
        if not self._is_new_directory:
            clean(self.fs, self.directory, rules)
        if self._has_replaced:
            self._drop_overflow_of_replaced(name, blob)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self._temporary is not None:
            self.fs.unlink(self._temporary)
            self._temporary = None

    def _write_overflow(self, owner: str, blob: bytes) -> None:
        """The side file, named and durable before its owner is. Its name holds its checksum: one that is there is
        the same."""
        path = f"{self.directory}/{overflow_name(owner, metadata.checksum_of(blob))}"
        side = NamedLater(self.fs, self.layout, self.address)
        side.open()
        try:
            self.fs.write(side.fd, blob)
            self.fs.sync(side.fd)
            with suppress(FileExistsError):
                side.link(path)
        finally:
            side.close()
        self.fs.sync_directory(self.directory)

    def _give_name(self, name: str) -> None:
        path = f"{self.directory}/{name}"
        for attempt in range(MAX_LINK_ATTEMPTS):
            try:
                with PartitionHashes(self.fs, self.partition).changing(self.address.suffix):
                    try:
                        self._link_or_replace(path)
                    except FileNotFoundError:
                        # The hasher removed the empty directory; it cannot again while the lock is held.
                        self._unsynced += self.fs.create_directories(self.directory)
                        self._link_or_replace(path)
                return
            except FileNotFoundError:
                if attempt == MAX_LINK_ATTEMPTS - 1:
                    raise
                self._unsynced += self.fs.create_directories(self.directory)

    def _link_or_replace(self, path: str) -> None:
        if self._temporary is not None:
            self._has_replaced = os.path.lexists(path)
            self.fs.rename(self._temporary, path)
            self._temporary = None
            return
        try:
            self.fs.link(self.fd, path)
        except FileExistsError:
            directory, name = os.path.split(path)
            # The shape of rsync's temporaries, which every implementation clears away when they are old.
            stand_in = f"{directory}/.{name}.{os.urandom(3).hex()}"
            self.fs.link(self.fd, stand_in)
            self.fs.rename(stand_in, path)
            self._has_replaced = True

    def link(self, path: str) -> None:
        """Give the file a name that is not taken. Raises FileExistsError."""
        if self._temporary is None:
            self.fs.link(self.fd, path)
        else:
            self.fs.link_name(self._temporary, path)

    def _drop_overflow_of_replaced(self, owner: str, blob: bytes) -> None:
        """The side file of the file whose name this one took."""
        mine = overflow_name(owner, metadata.checksum_of(blob))
        for name in os.listdir(self.directory):
            if name != mine and overflow_owner(name) == owner:
                self.fs.unlink(f"{self.directory}/{name}")

    def _link_in_next_partition(self, name: str, blob: bytes, part_power: int, rules: CleaningRules) -> None:
        """A second name where the object will live once the partition power has grown (formats 4.13)."""
        partition = str(partition_of(bytes.fromhex(self.address.hash_hex), 32 - part_power))
        if partition == self.address.partition:
            return
        directory = self.layout.object(
            ObjectAddress(
                self.address.device, partition, self.address.policy_index, self.address.name, self.address.hash_hex
            )
        )
        changed = self.fs.create_directories(directory)
        with PartitionHashes(self.fs, self.layout.partition(self.address.policy_index, partition)).changing(
            self.address.suffix
        ):
            for each in (overflow_name(name, metadata.checksum_of(blob)), name):
                with suppress(FileNotFoundError, FileExistsError):
                    self.fs.link_name(f"{self.directory}/{each}", f"{directory}/{each}")
        self.fs.sync_directories([directory, *changed])
        clean(self.fs, directory, rules)


class DiskWriter:
    """An upload to disk: the Writer of the engine's contract."""

    def __init__(self, file: NamedLater, settings: WriteSettings, rules: Callable[[], CleaningRules]) -> None:
        self._file = file
        self._settings = settings
        self._rules = rules
        self._size = 0
        self._synced = 0
        self._crc = EMPTY
        self._is_past_cache = False

    def go_past_cache(self) -> None:
        """Write straight to the disk for as long as it takes what comes."""
        self._is_past_cache = self._file.fs.bypass_cache(self._file.fd, True)

    @property
    def size(self) -> int:
        return self._size

    @property
    def crc32c(self) -> int:
        return self._crc

    def write(self, data: bytes | memoryview) -> None:
        with disk_errors(self._file.address.device):
            self._append(memoryview(data))
            self._crc = crc32c(data, self._crc)
            self._size += len(data)
            if self._size - self._synced >= self._settings.bytes_per_sync:
                self._file.fs.sync_data(self._file.fd)
                self._file.fs.drop_cache(self._file.fd, self._synced, self._size - self._synced)
                self._synced = self._size

    def _append(self, data: memoryview) -> None:
        fs, fd = self._file.fs, self._file.fd
        if self._is_past_cache:
            data = data[fs.write_past_cache(fd, data) :]
            if not data:
                return
            # The odd end of the body, or bytes that do not lie as the disk wants them.
            fs.bypass_cache(fd, False)
            self._is_past_cache = False
        fs.write(fd, data)

    def commit(self, timestamp: Timestamp, headers: Mapping[str, str], *, next_part_power: int | None = None) -> None:
        kept = data_headers(timestamp, headers, self._size, self._crc)
        with disk_errors(self._file.address.device):
            self._file.publish(
                data_name(timestamp), Metadata(self._file.address.name, kept), next_part_power, self._rules()
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
