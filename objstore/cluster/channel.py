"""One exchange with an agent: TLS, the peer's certificate compared with the fingerprint that is known, the request.

Nothing is sent before the fingerprint was right. Blocking, by the standard library's sockets: the agent calls it in
native threads, commands call it as it is. Every exchange has a deadline as a whole; answers have a limit.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from objstore.cluster.certificate import client_context, is_pinned
from objstore.core.errors import DomainError
from objstore.runtime.listen import shown

ANSWER_MAX = 1 << 20
_PIECE = 65536


class ChannelError(DomainError):
    """No answer: says whom and why."""


class WrongCertificate(ChannelError):
    """Somebody else answers at that address."""


@dataclass(frozen=True, slots=True)
class Peer:
    """An agent. fingerprint: of its certificate."""

    ip: str
    port: int
    fingerprint: str

    def __str__(self) -> str:
        return shown((self.ip, self.port))


@dataclass(frozen=True, slots=True)
class Answer:
    """local_ip: ours, as the peer saw it."""

    status: int
    body: bytes
    local_ip: str


def exchange(
    peer: Peer,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    timeout_s: float,
    answer_max: int = ANSWER_MAX,
    source_ip: str = "",
) -> Answer:
    """source_ip: of ours, where the machine has several. Raises ChannelError."""
    deadline = time.monotonic() + timeout_s
    source = (source_ip, 0) if source_ip else None
    connection = http.client.HTTPSConnection(
        peer.ip, peer.port, timeout=timeout_s, context=client_context(), source_address=source
    )
    try:
        connection.connect()
        if not is_pinned(connection.sock.getpeercert(binary_form=True), peer.fingerprint):
            raise WrongCertificate(
                f"{peer}: shows another certificate than expected: it is not the node that was meant; nothing was sent"
            )
        local_ip = str(connection.sock.getsockname()[0])
        connection.request(method, target, body or None, {**headers, "Connection": "close"})
        response = connection.getresponse()
        return Answer(response.status, _body(connection, response, deadline, answer_max, peer), local_ip)
    except TimeoutError:
        raise ChannelError(f"{peer}: no answer within {timeout_s:g} s") from None
    except ssl.SSLError as error:
        raise ChannelError(f"{peer}: is no agent of a cluster ({error.reason or error})") from None
    except OSError as error:
        raise ChannelError(f"{peer}: {error.strerror or error}") from None
    except http.client.HTTPException as error:
        raise ChannelError(f"{peer}: answers no HTTP ({type(error).__name__})") from None
    finally:
        connection.close()


def _body(
    connection: http.client.HTTPSConnection,
    response: http.client.HTTPResponse,
    deadline: float,
    most: int,
    peer: Peer,
) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise ChannelError(f"{peer}: answers more than {most} bytes")
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        # A peer that sends a byte now and then would else keep us for ever. The socket is the response's by now.
        if connection.sock is not None:
            connection.sock.settimeout(left_s)
    if response.length:
        raise ChannelError(f"{peer}: closed before its answer was whole")
    return b"".join(pieces)
