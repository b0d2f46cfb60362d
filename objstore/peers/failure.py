"""NodeFailure: a node did not do what it was asked; a value, because that is to be expected."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.http.client import ConnectTimedOut, PeerTimedOut
from objstore.http.status import HTTPStatus
from objstore.ring.model import Node
from objstore.runtime.listen import shown


@dataclass(frozen=True, slots=True)
class NodeFailure:
    """reason: for the log, names the node. status: of its answer, None when there was none that could be understood.
    is_lie: its answer is one that no honest node gives. is_silence: it let a deadline pass."""

    reason: str
    status: int | None = None
    is_lie: bool = False
    is_silence: bool = False

    @property
    def is_unmounted(self) -> bool:
        """The node lives, but the device is not there or full."""
        return self.status == HTTPStatus.INSUFFICIENT_STORAGE

    @classmethod
    def of_status(cls, node: Node, status: int, what: str) -> NodeFailure:
        return cls(f"{name_of(node)}: {what} was answered with {status}", status)

    @classmethod
    def of_error(cls, node: Node, error: Exception) -> NodeFailure:
        is_silence = isinstance(error, (ConnectTimedOut, PeerTimedOut))
        return cls(f"{name_of(node)}: {error}", is_silence=is_silence)

    @classmethod
    def of_lie(cls, node: Node, what: str) -> NodeFailure:
        return cls(f"{name_of(node)}: refused what it says: {what}", is_lie=True)


def name_of(node: Node) -> str:
    """ip:port/device on the replication network."""
    return f"{shown(node.replication_address)}/{node.name}"
