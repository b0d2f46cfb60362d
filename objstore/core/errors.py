"""What deep code raises: facts about the store, with fields, never status codes (http/errors.py maps them).

Expected outcomes are values, not exceptions; an error here ends the request or the job it happens in.
"""

from __future__ import annotations

from objstore.core.timestamp import InvalidTimestamp, Timestamp

__all__ = [
    "BadRequest",
    "BodyTooLarge",
    "ClientDisconnected",
    "ClientTooSlow",
    "Conflict",
    "Corrupt",
    "DeviceUnavailable",
    "DomainError",
    "InsufficientStorage",
    "InvalidName",
    "InvalidTimestamp",
    "LockTimeout",
    "NameCollision",
    "NotFound",
    "UnknownPolicy",
    "WrongBody",
]


class DomainError(Exception):
    """Base of everything the store itself raises."""


class BadRequest(DomainError):
    """The caller sent something that can never be right. `reason` is shown to it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidName(BadRequest):
    """A path or name that is not UTF-8, or has a part where none may be."""


class BodyTooLarge(DomainError):
    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body is longer than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class WrongBody(DomainError):
    """A body came whole, and is not the one whose ETag the client had said."""

    def __init__(self, stated_etag: str, etag: str) -> None:
        super().__init__(f"the body's ETag is {etag}, the request says {stated_etag}")
        self.etag = etag


class ClientDisconnected(DomainError):
    """The peer that sends the request went away before its body was whole."""


class ClientTooSlow(DomainError):
    """The peer that sends the request let a deadline pass."""


class NotFound(DomainError):
    """Nothing under that name. `timestamp`: when it was deleted, if that is known."""

    def __init__(self, name: str, timestamp: Timestamp | None = None) -> None:
        super().__init__(f"{name!r}: not found")
        self.name = name
        self.timestamp = timestamp


class Conflict(DomainError):
    """What is stored is as new as the request, or newer. `timestamp`: of what is stored."""

    def __init__(self, name: str, timestamp: Timestamp) -> None:
        super().__init__(f"{name!r}: already at {timestamp.internal}")
        self.name = name
        self.timestamp = timestamp


class NameCollision(DomainError):
    """Another name with the same hash is stored in the place of this one. MD5 makes it possible, nobody has seen it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r}: another name lives in its place")
        self.name = name


class UnknownPolicy(DomainError):
    def __init__(self, index: str) -> None:
        super().__init__(f"no storage policy {index!r}")
        self.index = index


class DeviceUnavailable(DomainError):
    """The device is not there: unmounted, not a directory, or refused by the caller's checks."""

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(f"{device}: {reason}")
        self.device = device
        self.reason = reason


class InsufficientStorage(DeviceUnavailable):
    """The device is there but has no room: ENOSPC, EDQUOT, fallocate_reserve, or no space for xattrs."""


class LockTimeout(DomainError):
    def __init__(self, path: str, waited_s: float) -> None:
        super().__init__(f"{path}: lock not got within {waited_s:g} s")
        self.path = path
        self.waited_s = waited_s


class Corrupt(DomainError):
    """Bytes on disk are not what was written. Whoever raises it has already quarantined what it names."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
