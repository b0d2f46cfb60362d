"""ldap3 over our own streams: the only module that knows the library.

ldap3 brings sockets of its own, which would stop every request of a worker; of it we use what makes and reads messages.
A connection here waits in green threads, with a deadline for every answer, verifies TLS as http/tls.py does and reads
at most a bounded answer. Referrals are not followed: nobody's password is sent where a directory says.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from objstore.http.client import PeerError, connected
from objstore.http.dial import secured
from objstore.http.stream import PlainStream, Stream
from objstore.middleware.tempauth_users import UsersAway
from objstore.runtime.green import TimedOut, monotonic

with warnings.catch_warnings():
    # ldap3 2.9 uses former names of pyasn1.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core.exceptions import LDAPException
    from ldap3.operation.search import parse_filter
    from ldap3.strategy.sync import SyncStrategy
    from ldap3.utils.conv import escape_filter_chars

__all__ = ["Entry", "LdapAway", "LdapConnection", "LdapServer", "check_filter", "escaped"]

_ANSWER_BYTES = 4 << 20
_START_TLS = "1.3.6.1.4.1.1466.20037"
_SUCCESS, _SIZE_LIMIT = 0, 4
_NO_SUCH_OBJECT = 32
_REFUSED = frozenset({19, 32, 34, 48, 49, 50, 53})
"""Results of a bind that speak of the user: constraint (locked), no such object, invalid DN, no password there, wrong
password, no right, unwilling (RFC 4511 appendix A). Any other speaks of the directory."""


class LdapAway(UsersAway):
    """The directory did not answer as one should: nothing is known about a user."""


@dataclass(frozen=True, slots=True)
class LdapServer:
    """tls: None only where an operator allows passwords in the clear. starts_tls: on the plain port, first of all."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    starts_tls: bool
    connect_timeout_s: float
    timeout_s: float

    def __str__(self) -> str:
        return f"ldap server {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Entry:
    """attributes: values as text by lower-case name; those that are no UTF-8 in hexadecimal."""

    dn: str
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def escaped(text: str) -> str:
    """A value as it may stand in a filter (RFC 4515)."""
    return str(escape_filter_chars(text))


def check_filter(text: str) -> None:
    """Raises ValueError for what is not a filter."""
    try:
        parse_filter(text, None, True, False, None, False)
    except LDAPException as error:
        raise ValueError(str(error)) from None


class LdapConnection:
    """One conversation with a directory, used by one green thread at a time. After LdapAway: close()."""

    def __init__(self, server: LdapServer) -> None:
        """Connects, with TLS where the server has it. Raises LdapAway."""
        self._server = server
        self._ldap = ldap3.Connection(
            ldap3.Server(server.host, server.port, get_info=ldap3.NONE),
            auto_referrals=False,
            auto_range=False,
            check_names=False,
        )
        _install(self._ldap, server)
        try:
            self._asked(self._ldap.open)
            if server.starts_tls:
                self._start_tls()
        except BaseException:
            self.close()
            raise

    def bind(self, dn: str, password: str) -> bool:
        """Whether the password is that of dn. Empty ones never are: a directory would take them for nobody's and say
        yes (RFC 4513 5.1.2). Raises LdapAway."""
        if not dn or not password:
            return False
        simple = {"authentication": ldap3.SIMPLE, "read_server_info": False}
        self._asked(lambda: self._ldap.rebind(dn, password.encode(), **simple))
        code = self._ldap.result["result"]
        # The library remembers what it was given last.
        self._ldap.password = None
        if code != _SUCCESS and code not in _REFUSED:
            raise LdapAway(f"{self._server}: a login was answered with {self._ldap.result['description']}")
        return bool(code == _SUCCESS)

    def search(self, base: str, filter_: str, attributes: Sequence[str], at_most: int) -> list[Entry]:
        """Entries below base, one more than at_most if there are more. Raises LdapAway."""
        self._asked(
            lambda: self._ldap.search(
                base,
                filter_,
                ldap3.SUBTREE,
                attributes=list(attributes),
                size_limit=at_most + 1,
                time_limit=max(1, int(self._server.timeout_s)),
            )
        )
        code = self._ldap.result["result"]
        if code not in (_SUCCESS, _SIZE_LIMIT, _NO_SUCH_OBJECT):
            raise LdapAway(f"{self._server}: a search below {base!r} ended with {self._ldap.result['description']}")
        found = [_entry(item) for item in self._ldap.response or () if item.get("type") == "searchResEntry"]
        return found[: at_most + 1]

    @property
    def is_usable(self) -> bool:
        """Whether the directory has neither closed it nor said something unasked."""
        transport = self._ldap.socket
        return transport is not None and transport.stream.is_silent()

    def close(self) -> None:
        self._ldap.strategy.close()

    def _start_tls(self) -> None:
        self._asked(lambda: self._ldap.extended(_START_TLS))
        if self._ldap.result["result"] != _SUCCESS:
            raise LdapAway(f"{self._server}: refuses StartTLS: {self._ldap.result['description']}")
        self._asked(self._ldap.socket.secure)

    def _asked(self, call: Any) -> None:
        try:
            call()
        except LDAPException as error:
            said = str(error) or type(error).__name__
            raise LdapAway(f"{self._server}: {said}") from None
        except (PeerError, OSError) as error:
            raise LdapAway(f"{self._server}: {error}") from None
        except TimedOut:
            raise LdapAway(f"{self._server}: no answer within {self._server.timeout_s:g} s") from None
        except Exception as error:
            # Whatever the library's decoders raise over an answer that is none: they have no one word for it.
            raise LdapAway(f"{self._server}: an answer that cannot be read ({type(error).__name__})") from error


def _entry(item: dict[str, Any]) -> Entry:
    return Entry(
        item["dn"],
        {name.lower(): tuple(map(_text, values)) for name, values in item["raw_attributes"].items()},
    )


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeError:
        return value.hex()


class _Transport:
    """A socket for ldap3, on a green stream."""

    def __init__(self, server: LdapServer, stream: Stream) -> None:
        self.stream: Any = stream
        self._server = server
        self._left = _ANSWER_BYTES

    def secure(self) -> None:
        """TLS from here on. Whatever came in the clear behind the answer to StartTLS is an attempt to slip it in."""
        if not self.stream.is_silent():
            raise OSError("data in the clear after StartTLS")
        assert isinstance(self.stream, PlainStream) and self._server.tls is not None
        deadline = monotonic() + self._server.timeout_s
        self.stream = secured(self.stream, self._server.tls, self._server.host, deadline)

    def sendall(self, data: bytes) -> None:
        self._left = _ANSWER_BYTES
        self.stream.send(data, self._server.timeout_s)

    def recv(self, size: int) -> bytes:
        data: bytes = self.stream.recv(size, self._server.timeout_s)
        self._left -= len(data)
        if self._left < 0:
            raise OSError(f"an answer of more than {_ANSWER_BYTES} bytes")
        return data

    def shutdown(self, how: int) -> None:
        """close() does it."""

    def close(self) -> None:
        self.stream.close()


class _Strategy(SyncStrategy):  # type: ignore[misc]  # ldap3 is untyped
    """ldap3's strategy for asking and waiting, with a connection that we open."""

    def __init__(self, connection: Any, server: LdapServer) -> None:
        super().__init__(connection)
        self._to = server

    def open(self, reset_usage: bool = True, read_server_info: bool = True) -> None:
        self._outstanding: dict[int, Any] = {}
        to = self._to
        deadline = monotonic() + to.connect_timeout_s
        plain = connected(to.host, to.port, to.connect_timeout_s)
        stream: Stream = plain
        if to.tls is not None and not to.starts_tls:
            try:
                stream = secured(plain, to.tls, to.host, deadline)
            except BaseException:
                plain.close()
                raise
        self.connection.socket = _Transport(to, stream)
        self.connection.closed = False
        self._start_listen()


def _install(connection: Any, server: LdapServer) -> None:
    """Put our strategy in the place of the library's."""
    connection.strategy = strategy = _Strategy(connection, server)
    for name in ("send", "open", "get_response", "post_send_single_response", "post_send_search"):
        setattr(connection, name, getattr(strategy, name))
