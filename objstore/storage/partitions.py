"""Where the partitions of a node are, and who may work on one: paths and replication locks. Source: formats 1.4,
4.10."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from objstore.core.errors import LockTimeout
from objstore.runtime.devices import Devices
from objstore.runtime.fs import Fs
from objstore.storage.hashes import LOCK
from objstore.storage.layout import DeviceLayout
from objstore.storage.removal import REPLICATION_LOCK

_DIGITS_AT_MOST = 10


@dataclass(frozen=True, slots=True)
class PartitionPlaces:
    """The partitions under a node's devices."""

    devices: Devices
    fs: Fs

    def path(self, device: str, policy_index: int, partition: str) -> str:
        """The directory of a partition, there or not. Raises DeviceUnavailable."""
        return DeviceLayout(self.devices.path(device)).partition(policy_index, partition)

    def on_device(self, device: str, policy_index: int) -> list[str]:
        """Partitions that have a directory on a device, in no order. Raises DeviceUnavailable."""
        try:
            with os.scandir(DeviceLayout(self.devices.path(device)).data(policy_index)) as entries:
                return [entry.name for entry in entries if is_partition(entry.name) and entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []

    @contextmanager
    def replicating(self, device: str, policy_index: int, partition: str, timeout_s: float) -> Iterator[str]:
        """Hold the partition's replication lock; gives its path. One holder at a time on this host, so that a copy
        never confirms itself as another one: who removes a handoff holds it while it asks. Raises DeviceUnavailable,
        LockTimeout.
        """
        path = self.path(device, policy_index, partition)
        self.fs.make_directories(path)
        with self.fs.lock(f"{path}/{REPLICATION_LOCK}", timeout_s):
            yield path

    @contextmanager
    def receiving(self, device: str, slots: int, timeout_s: float) -> Iterator[None]:
        """Hold one of a device's places for incoming replication. Raises DeviceUnavailable, LockTimeout."""
        root = self.devices.path(device)
        for slot in range(1, slots):
            try:
                with self.fs.lock(f"{root}/{LOCK}-{slot}", 0.0):
                    yield
                    return
            except LockTimeout:
                continue
        with self.fs.lock(f"{root}/{LOCK}", timeout_s):
            yield


def is_partition(text: str) -> bool:
    """Whether a name is that of a partition: a decimal number as the ring counts them."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_AT_MOST and str(int(text)) == text
