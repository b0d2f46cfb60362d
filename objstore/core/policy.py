"""Storage policies: which ring, how many copies. The index is stored and sent; names appear only to clients.

Source: formats 1.1. Names are compared without case; index 0 always exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LEGACY_INDEX = 0
LEGACY_NAME = "Policy-0"


@dataclass(frozen=True, slots=True)
class Policy:
    """One [storage-policy:N] section. Only replication is served so far; others are refused where settings are read."""

    index: int
    name: str
    aliases: tuple[str, ...] = ()
    is_default: bool = False
    is_deprecated: bool = False
    policy_type: str = "replication"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    def directory(self, base: str) -> str:
        """objects -> objects, objects-1, …: the name of a directory that belongs to this policy."""
        return policy_directory(base, self.index)

    @property
    def ring_name(self) -> str:
        return policy_directory("object", self.index)


class Policies:
    """All policies of a cluster. Immutable."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        """Raises ValueError when two share a name or index, 0 is missing, or there is not exactly one default."""
        self._by_index = {policy.index: policy for policy in policies}
        self._by_name = {name.lower(): policy for policy in self for name in policy.names}
        if LEGACY_INDEX not in self._by_index:
            raise ValueError("no [storage-policy:0]: index 0 must be defined")
        if len(self._by_name) != sum(len(set(map(str.lower, policy.names))) for policy in self):
            raise ValueError("two storage policies share a name or an alias")
        defaults = [policy for policy in self if policy.is_default]
        if len(self._by_index) == 1 and not defaults:
            defaults = list(self)
        if len(defaults) != 1:
            raise ValueError(f"{len(defaults)} storage policies say default = yes: expected one")
        self.default = defaults[0]
        if self.default.is_deprecated:
            raise ValueError(f"storage policy {self.default.name} is both default and deprecated")

    @classmethod
    def single(cls) -> Policies:
        """The policies of a cluster without [storage-policy:N] sections."""
        return cls([Policy(LEGACY_INDEX, LEGACY_NAME, is_default=True)])

    def __iter__(self) -> Iterator[Policy]:
        return iter(sorted(self._by_index.values(), key=lambda policy: policy.index))

    def __len__(self) -> int:
        return len(self._by_index)

    def by_index(self, index: int | str) -> Policy | None:
        """The policy of an index as a number or as header text; None when there is none."""
        try:
            return self._by_index.get(int(index))
        except ValueError:
            return None

    def by_name(self, name: str) -> Policy | None:
        return self._by_name.get(name.lower())


def policy_directory(base: str, index: int) -> str:
    return base if index == LEGACY_INDEX else f"{base}-{index}"
