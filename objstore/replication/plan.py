"""What to do about a partition that lies on a device here: digests and roles in, decisions out. Pure.

A device that the ring names for the partition is one of its primaries: it brings what it has to the others, and they
do the same, so each copies in one direction only. Any other device holds the partition as a handoff (lent while a
primary was away, or left over by a rebalance): it brings everything to every primary and then removes its own copy,
object by object, once all of them have confirmed that object. Source: formats 6.7; doc/formats/replication.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from objstore.ring.model import Node
from objstore.storage.replica import Replica

RELIST_EVERY = 10
"""A partition is listed afresh, digests or not, in one pass of so many: it finds what no change told of."""
BATCH_OBJECTS = 10_000
"""Objects of a partition that are dealt with together: what a pass remembers of them at a time."""

SMALL_OBJECTS = 50
SMALL_BYTES = 64 << 20
"""What is not more than this goes in-band even where rsync is used: a conversation is over before an rsync of
its own for each partition has begun, while many objects or bytes are rsync's strength. benchmarks/replication.py with
an object of 16 MiB to a partition, on 2 busy cores: 0.6 GB by rsync 2.9 to 3.3 s, 0.7 GB in-band 2.6 to 3.3 s."""


@dataclass(frozen=True, slots=True)
class Role:
    """is_handoff: the ring does not name this device for the partition. peers: the primaries on other devices."""

    is_handoff: bool
    peers: tuple[Node, ...]


def role_of(primaries: Sequence[Node], is_here: Callable[[Node], bool]) -> Role:
    """is_here(node): whether a node of the ring is the device in question."""
    peers = tuple(node for node in primaries if not is_here(node))
    return Role(len(peers) == len(primaries), peers)


def differing(local: Mapping[str, str], remote: Mapping[str, str]) -> tuple[str, ...]:
    """Suffixes of ours that the other copy has otherwise, or not at all, sorted."""
    return tuple(sorted(suffix for suffix, digest in local.items() if remote.get(suffix) != digest))


def is_relisted(partition: int, round_index: int) -> bool:
    """Whether it is this partition's turn to be listed afresh; each comes once in RELIST_EVERY rounds."""
    return (partition + round_index) % RELIST_EVERY == 0


def confirmations_needed(primary_count: int, handoff_delete: int) -> int:
    """How many primaries must have confirmed an object before a handoff removes it. handoff_delete: the setting, 0 for
    auto, which is all of them."""
    return min(handoff_delete, primary_count) if handoff_delete > 0 else primary_count


def removable(
    replicas: Iterable[Replica], confirmed: Sequence[Collection[str]], needed: int
) -> dict[str, list[Replica]]:
    """By suffix, the objects that may be removed. confirmed: for each primary, the hashes it has confirmed."""
    assert needed > 0, "nothing is removed without a confirmation"
    found: dict[str, list[Replica]] = {}
    for replica in replicas:
        if sum(replica.hash_hex in hashes for hashes in confirmed) >= needed:
            found.setdefault(replica.hash_hex[-3:], []).append(replica)
    return found


def batches(by_suffix: Iterable[tuple[str, list[Replica]]], most: int = BATCH_OBJECTS) -> Iterator[list[Replica]]:
    """The objects of whole suffixes, gathered until there are `most` or more; lazy. Empty ones are left out."""
    gathered: list[Replica] = []
    for _, replicas in by_suffix:
        gathered += replicas
        if len(gathered) >= most:
            yield gathered
            gathered = []
    if gathered:
        yield gathered
