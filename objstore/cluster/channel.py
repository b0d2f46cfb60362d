"""One exchange with an agent: TLS, the peer's certificate compared with the fingerprint that is known, the request.

Nothing is sent before the fingerprint was right. Blocking, by the standard library's sockets: the agent calls it in
native threads, commands call it as it is. Every exchange has a deadline as a whole; answers have a limit.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from objstore.cluster.certificate import client_context, is_pinned
from objstore.core.errors import DomainError
from objstore.http.head import RESPONSE_LIMITS, HeadError, HeadScanner, head_bytes, parse_response
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
) -> Answer:
    """answer_max: bytes of its body. Raises ChannelError."""
    deadline = time.monotonic() + timeout_s
    try:
        with socket.create_connection((peer.ip, peer.port), timeout_s) as plain:
            plain.settimeout(_left(deadline))
            with client_context().wrap_socket(plain) as secure:
                if not is_pinned(secure.getpeercert(binary_form=True), peer.fingerprint):
                    raise WrongCertificate(
                        f"{peer}: shows another certificate than expected: it is not the node that was meant; nothing "
                        "was sent"
                    )
                head = [("Host", str(peer)), ("Connection", "close"), ("Content-Length", str(len(body)))]
                _send(secure, head_bytes(f"{method} {target} HTTP/1.1", [*head, *headers.items()]) + body, deadline)
                return answer_on(secure, peer, deadline, answer_max)
    except TimeoutError:
        raise ChannelError(f"{peer}: no answer within {timeout_s:g} s") from None
    except ssl.SSLError as error:
        raise ChannelError(f"{peer}: is no agent of a cluster ({error.reason or error})") from None
    except OSError as error:
        raise ChannelError(f"{peer}: {error.strerror or error}") from None
    except HeadError as error:
        raise ChannelError(f"{peer}: answers no HTTP ({error.reason})") from None


def _send(secure: ssl.SSLSocket, data: bytes, deadline: float) -> None:
    view = memoryview(data)
    try:
        while view:
            secure.settimeout(_left(deadline))
            view = view[secure.send(view[:_PIECE]) :]
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
        # A peer may refuse before it has read a large body: its answer says why, if it still arrives.
        return


def answer_on(sock: socket.socket, peer: object, deadline: float, most: int) -> Answer:
    """What a peer answers to a request that has been sent. peer: as errors name it. deadline: by time.monotonic().
    most: bytes of its body. Raises ChannelError, HeadError, OSError."""
    scanner = HeadScanner(RESPONSE_LIMITS)
    found = None
    while found is None:
        found = scanner.feed(_received(sock, peer, deadline))
    head = parse_response(found[0], "GET")
    if head.length is None:
        raise ChannelError(f"{peer}: answers without a length")
    if head.length > most:
        raise ChannelError(f"{peer}: answers more than {most} bytes")
    pieces, size = [found[1]], len(found[1])
    while size < head.length:
        pieces.append(_received(sock, peer, deadline))
        size += len(pieces[-1])
    return Answer(head.status, b"".join(pieces)[: head.length], str(sock.getsockname()[0]))


def _received(sock: socket.socket, peer: object, deadline: float) -> bytes:
    # Set for every read: a peer that sends a byte now and then would else keep us for ever.
    sock.settimeout(_left(deadline))
    data = sock.recv(_PIECE)
    if not data:
        raise ChannelError(f"{peer}: closed before its answer was whole")
    return data


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
