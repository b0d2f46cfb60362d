"""Metadata of accounts and containers: one JSON column of header name → [value, timestamp].

Names are in title case, values real text. A removed item keeps '' until it is reclaimed, so that the removal reaches
every replica. The newer timestamp of a name wins, name by name. Source: formats 5.7.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from objstore.core.errors import BadRequest
from objstore.core.limits import Limits
from objstore.core.timestamp import Timestamp

Metadata = dict[str, list[str]]

KEPT_AT_DELETE = frozenset(
    {"x-container-sysmeta-shard-root", "x-container-sysmeta-shard-quoted-root", "x-container-sysmeta-sharding"}
)
"""What a deleted container remembers: a shard must still find its root."""


def parse(text: str | None) -> Metadata:
    """Of the column's text; '' and None are empty. Raises ValueError when it is something else."""
    if not text:
        return {}
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("metadata is not a JSON object")
    return {name: _entry(entry) for name, entry in found.items()}


def text_of(metadata: Metadata) -> str:
    return json.dumps(metadata)


def merged(current: Metadata, updates: Mapping[str, list[str]]) -> Metadata:
    """current with every entry of updates that is newer."""
    result = dict(current)
    for name, (value, timestamp) in updates.items():
        if name not in result or timestamp > result[name][1]:
            result[name] = [value, timestamp]
    return result


def stamped(items: Iterable[tuple[str, str]], timestamp: Timestamp) -> Metadata:
    """Updates that all come from one request."""
    return {name: [value, timestamp.internal] for name, value in items}


def live(metadata: Metadata) -> Iterator[tuple[str, str]]:
    """(name, value) of what is set."""
    for name, (value, _) in metadata.items():
        if value != "":
            yield name, value


def blanked(metadata: Metadata, timestamp: Timestamp, kept: frozenset[str] = frozenset()) -> Metadata:
    """Everything removed at a timestamp, but for names of `kept` (lower case): what a deletion leaves."""
    wiped = {name: ["", timestamp.internal] for name in metadata if name.lower() not in kept}
    return merged(metadata, wiped)


def reclaimed(metadata: Metadata, cutoff: Timestamp) -> Metadata:
    """Without the removals older than cutoff."""
    return {name: entry for name, entry in metadata.items() if entry[0] != "" or entry[1] >= cutoff.internal}


def check_limits(metadata: Metadata, prefix: str, limits: Limits) -> None:
    """Raises BadRequest when what would be stored exceeds the cluster's limits. prefix: x-container-meta- or
    x-account-meta-.

    The stored set counts, not the request: several requests together must not get past it (CVE-2014-7960).
    """
    count, size_bytes = 0, 0
    for name, value in live(metadata):
        if name.lower().startswith(prefix):
            count += 1
            size_bytes += len(name[len(prefix) :].encode()) + len(value.encode("utf-8", "surrogateescape"))
    if count > limits.max_meta_count:
        raise BadRequest(f"Too many metadata items; max {limits.max_meta_count}")
    if size_bytes > limits.max_meta_overall_size:
        raise BadRequest(f"Total metadata too large; max {limits.max_meta_overall_size}")


def _entry(entry: object) -> list[str]:
    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry):
        return entry
    raise ValueError(f"{entry!r} is not [value, timestamp]")
