"""A stand-in for an LDAP directory: binds and searches over a real socket, TLS and StartTLS included.

Entries are {dn: {attribute: [values]}}; a search compares its whole filter text with what the entry has: `(a=b)` and
`(&(a=b)(c=d))`. Enough for one filter's questions; tests/unit/middleware/ldap/test_slapd.py asks a real directory.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from ldap3.protocol import rfc4511
    from ldap3.utils.asn1 import decoder, encode
    from pyasn1.error import PyAsn1Error

SUCCESS, WRONG_PASSWORD, BUSY = 0, 49, 51
START_TLS = "1.3.6.1.4.1.1466.20037"

PEOPLE, GROUPS = "ou=people,dc=example", "ou=groups,dc=example"
"""Where tests have people and groups."""
SERVICE, SERVICE_PASSWORD = "cn=objstore,dc=example", "planted-service-password"
OPTIONS = {
    "user_base": PEOPLE,
    "group_base": GROUPS,
    "bind_dn": SERVICE,
    "bind_password": SERVICE_PASSWORD,
    "start_tls": "no",
    "allow_plaintext": "yes",
    "reseller_admin_group": "swift-admins",
    "reseller_reader_group": "swift-readers",
    "connect_timeout": "20",
    "timeout": "20",
}
"""Of ldapauth, but for ldap_url."""


def person(name: str) -> str:
    """The dn of a user."""
    return f"uid={name},{PEOPLE}"


@dataclass
class FakeDirectory:
    """passwords: by dn. asked: (what, text) of each request. result: given instead of every other. hold: waited for
    before each answer. injects: sent in the clear behind the answer to StartTLS."""

    entries: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    result: int | None = None
    hold: threading.Event | None = None
    injects: bytes = b""
    host: str = ""
    port: int = 0
    connection_count: int = 0

    def questions(self, kind):
        return [text for what, text in self.asked if what == kind]

    def serve(self, connection, tls, starts_tls):
        with contextlib.ExitStack() as open_:
            open_.callback(lambda: connection.close())
            with contextlib.suppress(OSError, ValueError, PyAsn1Error):
                if tls is not None and not starts_tls:
                    connection = tls.wrap_socket(connection, server_side=True)
                held = b""
                while data := connection.recv(65536):
                    held += data
                    while (size := _message_size(held)) and len(held) >= size:
                        message, _ = decoder.decode(held[:size], asn1Spec=rfc4511.LDAPMessage())
                        held = held[size:]
                        if self.hold is not None:
                            self.hold.wait(60)
                        answers = self._answers(message)
                        if answers is None:
                            return
                        # Before the answer is out: the test may clear what was asked as soon as it has it.
                        is_secure_next = starts_tls and self.asked[-1] == ("extended", START_TLS) and not self.result
                        connection.sendall(b"".join(answers))
                        if is_secure_next:
                            connection.sendall(self.injects)
                            connection = tls.wrap_socket(connection, server_side=True)

    def _answers(self, message):
        number, operation = int(message["messageID"]), message["protocolOp"]
        kind, request = operation.getName(), operation.getComponent()
        if kind == "bindRequest":
            dn, password = str(request["name"]), bytes(request["authentication"].getComponent()).decode()
            self.asked.append(("bind", dn))
            # As real ones do: a name without a password is nobody's, and welcome (RFC 4513 5.1.2).
            is_right = not password or self.passwords.get(dn) == password
            return [_done(number, "bindResponse", rfc4511.BindResponse(), self._code(is_right))]
        if kind == "searchRequest":
            return self._found(number, request)
        if kind == "extendedReq":
            self.asked.append(("extended", bytes(request["requestName"]).decode()))
            return [_done(number, "extendedResp", rfc4511.ExtendedResponse(), self._code(True))]
        return None

    def _code(self, is_right):
        if self.result is not None:
            return self.result
        return SUCCESS if is_right else WRONG_PASSWORD

    def _found(self, number, request):
        base, wanted = str(request["baseObject"]), _filter(request["filter"])
        self.asked.append(("search", f"{base} {wanted}"))
        names = [str(name) for name in request["attributes"]]
        answers = []
        for dn, attributes in self.entries.items():
            if dn.endswith(base) and all(value in attributes.get(name, ()) for name, value in wanted):
                answers.append(_entry(number, dn, {name: attributes.get(name, []) for name in names}))
        answers = answers[: int(request["sizeLimit"]) or None] if self.result is None else []
        return [*answers, _done(number, "searchResDone", rfc4511.SearchResultDone(), self._code(True))]


def _filter(tree):
    """[(attribute, value)], all of which must hold."""
    kind, content = tree.getName(), tree.getComponent()
    if kind == "and":
        return [pair for part in content for pair in _filter(part)]
    assert kind == "equalityMatch", kind
    return [(bytes(content["attributeDesc"]).decode(), bytes(content["assertionValue"]).decode())]


def _entry(number, dn, attributes):
    entry = rfc4511.SearchResultEntry()
    entry["object"] = dn
    listed = rfc4511.PartialAttributeList()
    for name, values in attributes.items():
        if not values:
            continue
        attribute = rfc4511.PartialAttribute()
        attribute["type"] = name
        texts = rfc4511.Vals()
        for index, value in enumerate(values):
            texts[index] = value
        attribute["vals"] = texts
        listed[len(listed)] = attribute
    entry["attributes"] = listed
    return _message(number, "searchResEntry", entry)


def _done(number, kind, response, code):
    response["resultCode"] = code
    response["matchedDN"] = ""
    response["diagnosticMessage"] = ""
    return _message(number, kind, response)


def _message(number, kind, operation):
    message = rfc4511.LDAPMessage()
    message["messageID"] = number
    message["protocolOp"] = rfc4511.ProtocolOp().setComponentByName(kind, operation)
    return encode(message)


def _message_size(data):
    """Of the first message; 0 when too little is there."""
    if len(data) < 2:
        return 0
    if data[1] < 128:
        return 2 + data[1]
    count = data[1] & 127
    return 2 + count + int.from_bytes(data[2 : 2 + count], "big") if len(data) >= 2 + count else 0


class _ClosedWhenReset(ssl.SSLSocket):
    """SSLContext.wrap_socket (CPython 3.11) leaves its socket open when the client has reset the connection before the
    handshake: the recv() by which it finds out raises through."""

    def recv(self, *arguments: int) -> bytes:
        try:
            return super().recv(*arguments)
        except OSError:
            self.close()
            raise


@contextlib.contextmanager
def running_directory(tls=None, *, starts_tls=False, **options) -> Iterator[FakeDirectory]:
    """Served by native threads: nothing of it waits in the hub of what is tested."""
    if tls is not None:
        tls.sslsocket_class = _ClosedWhenReset
    directory = FakeDirectory(**options)
    listener = socket.create_server(("127.0.0.1", 0))
    directory.host, directory.port = listener.getsockname()[:2]
    threads: list[threading.Thread] = []
    doors: list[int] = []

    def accept():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                directory.connection_count += 1
                # A descriptor of our own to shut it by: wrapping it in TLS makes another socket of it.
                doors.append(os.dup(connection.fileno()))
                threads.append(threading.Thread(target=directory.serve, args=(connection, tls, starts_tls)))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield directory
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        acceptor.join(60)
        listener.close()
        for door in doors:
            with socket.socket(fileno=door) as connection, contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(60)
