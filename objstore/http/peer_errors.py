"""What an exchange with a peer may fail with."""

from __future__ import annotations


class PeerError(Exception):
    """An exchange with a peer failed. Messages name the peer."""


class ConnectFailed(PeerError):
    """No connection: refused, unreachable, or not in time."""


class ConnectTimedOut(ConnectFailed):
    """No connection in time: nobody has said no."""


class PeerTimedOut(PeerError):
    """The peer let a deadline pass in the middle of an exchange."""


class PeerBroken(PeerError):
    """The peer closed or reset the connection in the middle of an exchange."""


class BadResponse(PeerError):
    """The peer's bytes are no HTTP/1.1 response."""
