"""Where things lie on a device: names to paths, nothing else. Source: formats 1.4.

    <device>/objects[-N]/<partition>/<suffix>/<hash>/      the files of one object (resolve.py says which count)
    <device>/objects[-N]/<partition>/hashes.pkl …          what replication compares (hashes.py)
    <device>/async_pending[-N]/<suffix>/<hash>-<ts>        container rows still to be sent (pending.py)
    <device>/tmp[-N]/                                      files on their way to a name
    <device>/quarantined/objects[-N]/<hash>[-<uuid>]       what was found damaged (quarantine.py)
    <device>/untold/<mark>                                 since when names may lack their rows (untold.py)

Paths are str: they go straight into system calls, thousands of times a second.
"""

from __future__ import annotations

from typing import NamedTuple

from objstore.core.hashing import SUFFIX_LENGTH
from objstore.core.policy import policy_directory


class ObjectAddress(NamedTuple):
    """One object on one device. device: its name. partition: as it stands in the request, text. hash_hex: of the name.

    Nothing here says that the device is usable or the object exists.
    """

    device: str
    partition: str
    policy_index: int
    name: str
    hash_hex: str

    @property
    def suffix(self) -> str:
        return self.hash_hex[-SUFFIX_LENGTH:]


class DeviceLayout(NamedTuple):
    """The directories of one device. path: where it is mounted."""

    path: str

    def data(self, policy_index: int) -> str:
        return f"{self.path}/{policy_directory('objects', policy_index)}"

    def partition(self, policy_index: int, partition: str) -> str:
        return f"{self.data(policy_index)}/{partition}"

    def object(self, address: ObjectAddress) -> str:
        """The hash directory."""
        return f"{self.partition(address.policy_index, address.partition)}/{address.suffix}/{address.hash_hex}"

    def temporary(self, policy_index: int) -> str:
        return f"{self.path}/{policy_directory('tmp', policy_index)}"

    def pending(self, policy_index: int) -> str:
        return f"{self.path}/{policy_directory('async_pending', policy_index)}"

    def quarantine(self, policy_index: int) -> str:
        return f"{self.path}/quarantined/{policy_directory('objects', policy_index)}"

    def untold(self) -> str:
        return f"{self.path}/untold"
