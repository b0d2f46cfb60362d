"""DiskEngine: objects as files, in the layout and with the metadata of formats section 4."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Mapping

from objstore.core.errors import Corrupt, NameCollision
from objstore.core.hashing import HashSecrets
from objstore.core.timestamp import Timestamp
from objstore.runtime.clock import Clock
from objstore.runtime.devices import NO_RESERVE, Devices, Reserve, Room
from objstore.runtime.disk_errors import disk_errors
from objstore.runtime.fs import Fs
from objstore.storage.cleanup import CleaningRules
from objstore.storage.engine import (
    CONTENT_TYPE_TIMESTAMP,
    TIMESTAMP,
    Absent,
    ChangeMark,
    StoredObject,
    Writer,
    data_headers,
)
from objstore.storage.hashes import PartitionHashes, reclaimable_suffixes
from objstore.storage.layout import DeviceLayout, ObjectAddress
from objstore.storage.metadata import Metadata
from objstore.storage.pending import DeferredUpdate, keep
from objstore.storage.quarantine import set_aside
from objstore.storage.reader import DamagedObject, OtherName, open_object
from objstore.storage.resolve import data_name, meta_name, resolve, tombstone_name
from objstore.storage.untold import boot_id, make_mark
from objstore.storage.writer import PREALLOCATE_FROM_BYTES, DiskWriter, NamedLater, WriteSettings

RECLAIM_AGE_S = 604_800.0


class DiskEngine:
    """The Engine of the contract, on the devices of one node.

    reserve: space that uploads may not take. reclaim_age_s: how long tombstones are kept.
    """

    def __init__(
        self,
        devices: Devices,
        secrets: HashSecrets,
        clock: Clock,
        *,
        fs: Fs | None = None,
        reserve: Reserve = NO_RESERVE,
        reclaim_age_s: float = RECLAIM_AGE_S,
        settings: WriteSettings | None = None,
    ) -> None:
        self._devices = devices
        self._secrets = secrets
        self._clock = clock
        self._fs = fs or Fs()
        self._room = Room(reserve)
        self._reclaim_age_s = reclaim_age_s
        self._settings = settings or WriteSettings()

    def open(self, address: ObjectAddress) -> StoredObject | Absent:
        directory = self._layout(address.device).object(address)
        try:
            with disk_errors(address.device):
                return open_object(self._fs, directory, address)
        except DamagedObject as error:
            self._quarantine_if(address, lambda: self._is_damaged(address))
            raise Corrupt(directory, error.reason) from None
        except OtherName as error:
            if self._hash_of(error.name) == address.hash_hex:
                raise NameCollision(address.name) from None
            self._quarantine_if(address, lambda: self._is_damaged(address))
            raise Corrupt(directory, f"holds {error.name!r}, which belongs elsewhere") from None

    def check_room(self, device: str, incoming_bytes: int) -> None:
        self._room.check(self._layout(device).path, incoming_bytes)

    def create(self, address: ObjectAddress, size_bytes: int | None) -> Writer:
        layout = self._layout(address.device)
        self._room.take(layout.path, size_bytes or 0)
        file = NamedLater(self._fs, layout, address)
        with disk_errors(address.device):
            try:
                file.open()
                if size_bytes is not None and size_bytes >= PREALLOCATE_FROM_BYTES and self._settings.preallocate:
                    self._fs.preallocate(file.fd, size_bytes)
            except BaseException:
                file.close()
                raise
        writer = DiskWriter(file, self._settings, self._rules)
        if size_bytes is None or size_bytes > self._settings.past_cache_from_bytes:
            writer.go_past_cache()
        return writer

    def store(
        self,
        address: ObjectAddress,
        body: bytes | bytearray | memoryview,
        crc: int,
        timestamp: Timestamp,
        headers: Mapping[str, str],
        *,
        next_part_power: int | None = None,
    ) -> None:
        layout = self._layout(address.device)
        self._room.take(layout.path, len(body))
        kept = Metadata(address.name, data_headers(timestamp, headers, len(body), crc))
        self._write(layout, address, body, data_name(timestamp), kept, next_part_power)

    def post(
        self,
        address: ObjectAddress,
        timestamp: Timestamp,
        headers: Mapping[str, str],
        content_type_timestamp: Timestamp | None,
        *,
        next_part_power: int | None = None,
    ) -> None:
        kept = {TIMESTAMP: timestamp.internal, **headers}
        if content_type_timestamp is not None:
            kept[CONTENT_TYPE_TIMESTAMP] = content_type_timestamp.internal
        name = meta_name(timestamp, content_type_timestamp)
        self._write(self._layout(address.device), address, b"", name, Metadata(address.name, kept), next_part_power)

    def delete(self, address: ObjectAddress, timestamp: Timestamp, *, next_part_power: int | None = None) -> None:
        kept = Metadata(address.name, {TIMESTAMP: timestamp.internal})
        self._write(self._layout(address.device), address, b"", tombstone_name(timestamp), kept, next_part_power)

    def quarantine(self, address: ObjectAddress, seen: Timestamp | None = None) -> str | None:
        if seen is None:
            return self._quarantine_if(address, lambda: True)
        return self._quarantine_if(address, lambda: self._data_timestamp(address) == seen)

    def _quarantine_if(self, address: ObjectAddress, still: Callable[[], bool]) -> str | None:
        """Set aside what is there, if still() says, under the partition's lock, that it is what was found damaged.

        No file gets its name without that lock: a write that came after the damage was seen is not set aside with it.
        """
        layout = self._layout(address.device)
        directory = layout.object(address)
        if not os.path.lexists(directory):
            return None
        partition = layout.partition(address.policy_index, address.partition)
        with disk_errors(address.device), PartitionHashes(self._fs, partition).changing(address.suffix):
            return self._set_aside(layout, address.policy_index, directory) if still() else None

    def hashes(
        self,
        device: str,
        policy_index: int,
        partition: str,
        recalculate: Collection[str] = (),
        *,
        relist: bool = False,
    ) -> dict[str, str]:
        layout = self._layout(device)
        directory = layout.partition(policy_index, partition)
        if not _is_partition(partition) or not os.path.isdir(directory):
            return {}
        rules = self._rules()
        with disk_errors(device):
            if relist:
                recalculate = {*recalculate, *reclaimable_suffixes(directory, rules)}
            return PartitionHashes(self._fs, directory).current(
                rules,
                lambda path: self._set_aside(layout, policy_index, path),
                recalculate=recalculate,
                list_all=relist,
            )

    def invalidate(self, device: str, policy_index: int, partition: str, suffixes: Collection[str]) -> None:
        directory = self._layout(device).partition(policy_index, partition)
        if suffixes and _is_partition(partition) and os.path.isdir(directory):
            with disk_errors(device):
                PartitionHashes(self._fs, directory).invalidate(suffixes)

    def defer(
        self, device: str, policy_index: int, hash_hex: str, timestamp: Timestamp, update: DeferredUpdate
    ) -> None:
        with disk_errors(device):
            keep(self._fs, self._layout(device), policy_index, hash_hex, timestamp, update)

    def mark(self, device: str, since_ns: int) -> ChangeMark:
        with disk_errors(device):
            return make_mark(self._fs, self._layout(device), since_ns, boot_id())

    def _write(
        self,
        layout: DeviceLayout,
        address: ObjectAddress,
        body: bytes | bytearray | memoryview,
        name: str,
        kept: Metadata,
        next_part_power: int | None,
    ) -> None:
        """One whole file of a hash directory, durably."""
        file = NamedLater(self._fs, layout, address)
        with disk_errors(address.device):
            try:
                # A POST or a DELETE is as a rule of an object that is there.
                file.open(expects_directory=not body)
                if body:
                    self._fs.write(file.fd, body)
                file.publish(name, kept, next_part_power, self._rules())
            finally:
                file.close()

    def _data_timestamp(self, address: ObjectAddress) -> Timestamp | None:
        try:
            live = resolve(os.listdir(self._layout(address.device).object(address)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return live.data.timestamp if live.data else None

    def _is_damaged(self, address: ObjectAddress) -> bool:
        try:
            found = open_object(self._fs, self._layout(address.device).object(address), address)
        except (DamagedObject, OtherName):
            return True
        if not isinstance(found, Absent):
            found.close()
        return False

    def _set_aside(self, layout: DeviceLayout, policy_index: int, path: str) -> str | None:
        return set_aside(self._fs, path, layout.quarantine(policy_index), lambda: uuid.uuid4().hex)

    def _layout(self, device: str) -> DeviceLayout:
        return DeviceLayout(self._devices.path(device))

    def _rules(self) -> CleaningRules:
        return CleaningRules(self._clock.now(), self._reclaim_age_s)

    def _hash_of(self, name: str) -> str:
        parts = name.split("/", 3)[1:]
        return self._secrets.hash_path(*parts) if len(parts) == 3 else ""


def _is_partition(text: str) -> bool:
    return text.isascii() and text.isdigit()
