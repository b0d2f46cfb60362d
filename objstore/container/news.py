"""What an account has to be told of a container, and whether it has been. Pure.

The columns reported_* of a database say what every replica of the account has taken last: one that was away still has
older counts, and its replicator would bring them to the others, who cannot tell which are newer (formats 5.5). So a
container goes on telling until all have heard it. A report that only some may have heard puts what was known before
in doubt: were it kept, a container whose counts come back to it would have no news, and those few the wrong counts for
good. Source: formats 5.4.
"""

from __future__ import annotations

from typing import NamedTuple

from objstore.db.container import ContainerInfo


class Facts(NamedTuple):
    """(put, delete, object count, bytes used), the arguments of ContainerBroker.reported()."""

    put_timestamp: str
    delete_timestamp: str
    object_count: int
    bytes_used: int


IN_DOUBT = Facts("0", "0", 0, 0)
"""What no container that exists is like: it has news until everybody has heard them."""


def facts(info: ContainerInfo) -> Facts:
    return Facts(info.put_timestamp, info.delete_timestamp, info.object_count, info.bytes_used)


def told(info: ContainerInfo) -> Facts:
    return Facts(
        info.reported_put_timestamp,
        info.reported_delete_timestamp,
        info.reported_object_count,
        info.reported_bytes_used,
    )


def has_news(info: ContainerInfo) -> bool:
    return facts(info) != told(info)


def is_in_doubt(info: ContainerInfo) -> bool:
    return told(info) == IN_DOUBT


def is_known(successes: int, replicas: int) -> bool:
    """Whether every replica of the account took it."""
    return successes >= replicas


def is_heard(successes: int, replicas: int) -> bool:
    """Whether enough replicas of the account took it: more than half, so that no reader of a quorum misses it."""
    return successes * 2 > replicas
