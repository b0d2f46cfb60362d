"""Asks name servers for the alias (CNAME) of a host name, without holding up other green threads.

dnspython writes and reads the messages; the socket is our own and waits in the hub. A socket per question, connected to
the one server: the port is the kernel's choice and datagrams of others do not reach it, and an answer counts only with
the question's id and name. What does not fit into a datagram counts as a failure: an alias always fits.
Source: RFC 1035 4.1, 3.3.1; RFC 5452 4 (forged answers).
"""

from __future__ import annotations

import _socket
from collections.abc import Sequence
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from objstore.runtime import green

PORT = 53
_ANSWER_BYTES = 4096

Server = tuple[str, int]
"""Address and port of a name server."""


class CannotAsk(Exception):
    """No name server gave an answer that settles it. Text: which, and why."""


@dataclass(frozen=True, slots=True)
class Alias:
    """name: what the host name stands for, lower case without the last dot; '' when it stands for itself or is not
    known to the DNS. ttl_s: how long that may be believed; 0 for ''."""

    name: str
    ttl_s: int = 0


def system_servers() -> list[Server]:
    """Those of /etc/resolv.conf; none when it cannot be read."""
    try:
        return [(str(address), PORT) for address in dns.resolver.Resolver().nameservers]
    except dns.exception.DNSException:
        return []


def alias_of(name: str, servers: Sequence[Server], timeout_s: float) -> Alias:
    """Asks one server after the other, each for timeout_s at most. Raises CannotAsk, also for what can be no name."""
    try:
        question = dns.message.make_query(dns.name.from_text(name), dns.rdatatype.CNAME)
    except dns.exception.DNSException as error:
        raise CannotAsk(f"{name!r} is not a host name: {error}") from None
    problems = []
    for server in servers:
        try:
            answer = _asked(question, server, timeout_s)
        except (OSError, green.TimedOut, dns.exception.DNSException) as error:
            problems.append(f"{server[0]}: {str(error) or 'no answer'}")
            continue
        code = answer.rcode()
        if code in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) and not answer.flags & dns.flags.TC:
            return _alias_in(answer, question)
        problems.append(f"{server[0]}: {dns.rcode.to_text(code)}")
    raise CannotAsk("; ".join(problems) or "there is no name server to ask")


def _asked(question: dns.message.Message, server: Server, timeout_s: float) -> dns.message.Message:
    """Raises OSError, TimedOut, DNSException."""
    family = _socket.AF_INET6 if ":" in server[0] else _socket.AF_INET
    # Not socket.socket: that may be eventlet's, whose waits do not belong to the deadline here.
    udp = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    try:
        udp.connect(server)
        udp.send(question.to_wire())
        with green.deadline(timeout_s):
            while True:
                green.wait_readable(udp.fileno())
                try:
                    answer = dns.message.from_wire(udp.recv(_ANSWER_BYTES), ignore_trailing=True)
                except (BlockingIOError, dns.exception.DNSException):
                    continue  # Somebody sends junk in the server's name: the real answer may follow.
                if question.is_response(answer):
                    return answer
    finally:
        udp.close()


def _alias_in(answer: dns.message.Message, question: dns.message.Message) -> Alias:
    asked = question.question[0].name
    for rrset in answer.answer:
        if rrset.rdtype == dns.rdatatype.CNAME and rrset.name == asked:
            return Alias(rrset[0].target.to_text(omit_final_dot=True).lower(), rrset.ttl)
    return Alias("")
