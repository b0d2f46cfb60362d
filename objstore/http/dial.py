"""Connecting to services outside of the cluster: TCP or TLS, directly or through a forward proxy.

Within the cluster nothing of this is needed: http/connecting.py is enough. A Route is what a pool of connections
dials with; http/outgoing.py makes one for http and one for https.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from objstore.http.connecting import connected
from objstore.http.head import RESPONSE_LIMITS, HeadError, HeadScanner, head_bytes, parse_response
from objstore.http.peer_errors import ConnectFailed, ConnectTimedOut
from objstore.http.status import HTTPStatus
from objstore.http.stream import PeerStream, PlainStream
from objstore.http.tls import TlsStream
from objstore.runtime.green import TimedOut, monotonic
from objstore.runtime.listen import shown

__all__ = ["Route", "secured"]


@dataclass(frozen=True, slots=True)
class Route:
    """tls: None for plain HTTP. proxy: address of a forward proxy; with TLS it is asked for a tunnel (RFC 9110 9.3.6),
    without it gets the requests themselves."""

    tls: ssl.SSLContext | None = None
    proxy: tuple[str, int] | None = None

    def dial(self, host: str, port: int, timeout_s: float) -> PeerStream:
        """A connection, TLS handshake done. timeout_s: for all steps together. Raises ConnectFailed."""
        deadline = monotonic() + timeout_s
        plain = connected(*(self.proxy or (host, port)), timeout_s)
        if self.tls is None:
            return plain
        peer = shown((host, port))
        try:
            if self.proxy is not None:
                _tunnel(plain, peer, shown(self.proxy), deadline)
            return secured(plain, self.tls, host, deadline)
        except TimedOut:
            plain.close()
            raise ConnectTimedOut(f"{peer}: no TLS session within {timeout_s:g} s") from None
        except OSError as error:
            plain.close()
            raise ConnectFailed(f"{peer}: {error.strerror or error}") from None
        except ConnectFailed as error:
            plain.close()
            raise ConnectFailed(f"{peer}: {error}") from None
        except BaseException:
            plain.close()
            raise


def secured(plain: PlainStream, context: ssl.SSLContext, host: str, deadline: float) -> TlsStream:
    """TLS over a connection, with a server known as host. The connection stays the caller's when it fails.

    Raises ConnectFailed (why there is no session), TimedOut."""
    stream = TlsStream(plain, context, host)
    try:
        stream.shake_hands(deadline)
    except OSError as error:
        raise ConnectFailed(_why(error)) from None
    return stream


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS session: {(error.reason or str(error)).lower().replace('_', ' ')}"
    return error.strerror or str(error)


def _tunnel(plain: PlainStream, peer: str, proxy: str, deadline: float) -> None:
    """Have a proxy connect the stream to peer. Raises OSError, TimedOut, ConnectFailed."""
    plain.send(head_bytes(f"CONNECT {peer} HTTP/1.1", [("Host", peer)]), max(0.0, deadline - monotonic()))
    scanner = HeadScanner(RESPONSE_LIMITS)
    found = None
    try:
        while found is None:
            data = plain.recv(_RECEIVE_BYTES, max(0.0, deadline - monotonic()))
            if not data:
                raise ConnectFailed(f"{proxy}: the forward proxy closed before it answered")
            found = scanner.feed(data)
        head = parse_response(found[0], "CONNECT")
    except HeadError as error:
        raise ConnectFailed(f"{proxy}: the forward proxy's answer is not HTTP: {error.reason}") from None
    if not HTTPStatus.OK <= head.status < HTTPStatus.MULTIPLE_CHOICES:
        raise ConnectFailed(f"{proxy}: the forward proxy refuses a tunnel to {peer}: {head.status} {head.reason}")
    if found[1]:
        raise ConnectFailed(f"{proxy}: the forward proxy said something before {peer} was asked")


_RECEIVE_BYTES = 16384
