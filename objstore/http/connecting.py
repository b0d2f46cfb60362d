"""New TCP connections to peers, by address or by name."""

from __future__ import annotations

import _socket
import errno
import os

from objstore.http.peer_errors import ConnectFailed, ConnectTimedOut
from objstore.http.stream import PlainStream, prepare
from objstore.runtime import green
from objstore.runtime.green import TimedOut, monotonic
from objstore.runtime.listen import shown

_resolver = green.ThreadPool(2)
_ADDRESSES_AT_MOST = 4
"""Of one name: more would be tried within a deadline that is over by then."""


def connected(host: str, port: int, timeout_s: float) -> PlainStream:
    """A new TCP connection. host: an IP address or a name, whose addresses are tried one after the other; timeout_s
    is for all of them. Raises ConnectFailed."""
    deadline = monotonic() + timeout_s
    found = _resolved(host, port, timeout_s)
    for family, address in found[:-1]:
        try:
            return _connected_to(family, address, shown((host, port)), deadline, timeout_s)
        except ConnectTimedOut:
            raise
        except ConnectFailed:
            continue
    return _connected_to(*found[-1], shown((host, port)), deadline, timeout_s)


def _connected_to(
    family: int, address: tuple[object, ...], peer: str, deadline: float, timeout_s: float
) -> PlainStream:
    raw = _socket.socket(family, _socket.SOCK_STREAM)
    prepare(raw)
    code = raw.connect_ex(address)
    stream = PlainStream(raw)
    try:
        if code == errno.EINPROGRESS:
            stream.wait_writable(deadline)
            code = stream.error_code()
        if code:
            raise ConnectFailed(f"{peer}: {os.strerror(code)}")
    except TimedOut:
        stream.close()
        raise ConnectTimedOut(f"{peer}: no connection within {timeout_s:g} s") from None
    except BaseException:
        stream.close()
        raise
    return stream


def _resolved(host: str, port: int, timeout_s: float) -> list[tuple[int, tuple[object, ...]]]:
    """At least one (family, address). Addresses are used as they stand; a name is looked up in a native thread."""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, host)
            return [(family, (host, port))]
        except OSError:
            continue
    try:
        with green.deadline(timeout_s):
            found = _resolver.run(_socket.getaddrinfo, host, port, 0, _socket.SOCK_STREAM)
    except TimedOut:
        raise ConnectFailed(f"{host}: its name was not resolved within {timeout_s:g} s") from None
    except (OSError, UnicodeError) as error:
        # UnicodeError: a label that is empty or over 63 bytes.
        raise ConnectFailed(f"{host}: {getattr(error, 'strerror', None) or error}") from None
    return [(int(entry[0]), tuple(entry[4])) for entry in found[:_ADDRESSES_AT_MOST]]
