"""What an account has to be told of a container, and whether it has been. Pure.

The columns reported_* of a database say what most replicas of the account have taken last. Source: formats 5.4.
"""

from __future__ import annotations

from typing import NamedTuple

from objstore.db.container import ContainerInfo


class Facts(NamedTuple):
    """In the order in which ContainerBroker.reported() takes them."""

    put_timestamp: str
    delete_timestamp: str
    object_count: int
    bytes_used: int


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


def is_heard(successes: int, replicas: int) -> bool:
    """Whether enough replicas of the account took it: more than half, so that no reader of a quorum misses it."""
    return successes * 2 > replicas
