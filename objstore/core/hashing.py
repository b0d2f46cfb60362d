"""Where a name lives: MD5 of the path between two cluster secrets, and the partition taken from its first bits.

Source: formats section 1. The secrets never change in the life of a cluster; with other ones every path is wrong.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

SUFFIX_LENGTH = 3


@dataclass(frozen=True, slots=True)
class HashSecrets:
    """swift_hash_path_prefix and _suffix as bytes; at least one is not empty."""

    prefix: bytes
    suffix: bytes

    def __post_init__(self) -> None:
        if not self.prefix and not self.suffix:
            raise ValueError("swift_hash_path_prefix and swift_hash_path_suffix are both empty")

    def digest(self, account: str, container: str | None = None, obj: str | None = None) -> bytes:
        """The 16 raw bytes that place an account, a container or an object."""
        path = f"/{account}"
        if container is not None:
            path = f"{path}/{container}"
            if obj is not None:
                path = f"{path}/{obj}"
        return hashlib.md5(
            self.prefix + path.encode("utf-8", "surrogateescape") + self.suffix, usedforsecurity=False
        ).digest()

    def hash_path(self, account: str, container: str | None = None, obj: str | None = None) -> str:
        """The digest as 32 lower-case hex digits: the name of its directory."""
        return self.digest(account, container, obj).hex()


def partition_of(digest: bytes, part_shift: int) -> int:
    """The partition of a raw digest; part_shift = 32 - part_power."""
    return int.from_bytes(digest[:4], "big") >> part_shift


def suffix_of(hash_hex: str) -> str:
    """The directory between the partition and the hash directory."""
    return hash_hex[-SUFFIX_LENGTH:]
