"""Whether an object belongs into the partition it is brought to, by the rings that lie beside swift.conf.

A server needs no ring to serve; where there is none, only the hash of the name is checked, by whoever made it.
"""

from __future__ import annotations

from pathlib import Path

from objstore.core.hashing import partition_of
from objstore.core.policy import Policies
from objstore.ring.fileformat import RingFileError
from objstore.ring.model import HASH_BITS, Ring
from objstore.ring.reload import ReloadingRing


class Placement:
    """Reads a policy's ring at the first question about it."""

    def __init__(self, swift_dir: Path, policies: Policies) -> None:
        self._rings = {policy.index: ReloadingRing(swift_dir / f"{policy.ring_name}.ring.gz") for policy in policies}

    def fits(self, policy_index: int, partition: str, hash_hex: str) -> bool:
        """False when the ring puts this hash elsewhere. While the partition power is being raised both places count."""
        ring = self._ring(policy_index)
        if ring is None:
            return True
        digest = bytes.fromhex(hash_hex)
        powers = {ring.part_power, ring.next_part_power or ring.part_power}
        return partition in {str(partition_of(digest, HASH_BITS - power)) for power in powers}

    def _ring(self, policy_index: int) -> Ring | None:
        try:
            return self._rings[policy_index].current
        except RingFileError:
            return None
