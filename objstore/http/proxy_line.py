"""The PROXY protocol, version 1: the line in which a load balancer names the real client before anything else.

`PROXY TCP4 <source> <destination> <source port> <destination port>` CRLF, at most 107 bytes, or `PROXY UNKNOWN…` CRLF.
Source: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.1.
"""

from __future__ import annotations

import re
import socket

from objstore.http.head import HeadError
from objstore.http.status import HTTPStatus

__all__ = ["LINE_BYTES", "client_address"]

LINE_BYTES = 107
_LINE = re.compile(rb"PROXY (TCP4|TCP6) ([0-9a-fA-F:.]+) [0-9a-fA-F:.]+ ([0-9]{1,5}) [0-9]{1,5}\r\n")
_FAMILIES = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}


def client_address(line: bytes) -> tuple[str, str] | None:
    """(address, port) of the client; None when the balancer does not know. Raises HeadError (400)."""
    if line.startswith(b"PROXY UNKNOWN") and line.endswith(b"\r\n"):
        return None
    found = _LINE.fullmatch(line)
    if found is None:
        raise HeadError(HTTPStatus.BAD_REQUEST, "not a PROXY line, which this server asks of its load balancer")
    address, port = found[2].decode(), int(found[3])
    try:
        socket.inet_pton(_FAMILIES[found[1]], address)
    except OSError:
        raise HeadError(HTTPStatus.BAD_REQUEST, f"not an address in the PROXY line: {address!r}") from None
    if port > 65535:
        raise HeadError(HTTPStatus.BAD_REQUEST, f"not a port in the PROXY line: {port}")
    return address, str(port)
