"""A stand-in for a KMIP key manager: TLS with client certificates, and Get of symmetric keys; nothing of ours inside.

Source: OASIS KMIP 1.4. It answers in a native thread, one connection after another, by the C class of sockets: the
standard library's may have been made green by an earlier test, which is no good in a native thread.
"""

from __future__ import annotations

import _socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial


@dataclass
class FakeKmip:
    """keys: by id. refuse: said instead of a key. answer: bytes instead of everything. asked: ids, with the user."""

    keys: dict[str, bytes] = field(default_factory=dict)
    port: int = 0
    user: tuple[str, str] | None = None
    kind: int = 0x42008F
    key_format: int = 1
    answer: bytes | None = None
    asked: list[str] = field(default_factory=list)

    def serve(self, listener: _socket.socket, context: ssl.SSLContext) -> None:
        while True:
            try:
                descriptor, _ = listener._accept()
            except OSError:
                return
            plain = _socket.socket(fileno=descriptor)
            try:
                plain.settimeout(20)
                connection = _Tls(plain, context)
                head = connection.receive(8)
                (length,) = struct.unpack(">I", head[4:])
                body = connection.receive(length)
                connection.send(self.answer if self.answer is not None else self._reply(head + body))
            except OSError:
                continue  # A client that does not trust us, or that we do not trust.
            finally:
                plain.close()

    def _reply(self, message: bytes) -> bytes:
        fields = dict(_leaves(message))
        self.asked.append(fields[0x420094].decode())
        if self.user is not None and (fields.get(0x420099), fields.get(0x4200A1)) != tuple(map(str.encode, self.user)):
            return self._refusal("wrong user")
        key = self.keys.get(self.asked[-1])
        if key is None:
            return self._refusal("Could not locate object")
        value = _wrap(0x420045, _leaf(0x420043, 8, key))
        length = _leaf(0x42002A, 2, struct.pack(">I", len(key) * 8))
        block = _wrap(0x420040, _leaf(0x420042, 5, struct.pack(">I", self.key_format)), value, length)
        kind = _leaf(0x420057, 5, struct.pack(">I", 2))
        name = _leaf(0x420094, 7, fields[0x420094])
        return _response(_wrap(0x42007C, kind, name, _wrap(self.kind, block)), 0)

    def _refusal(self, why: str) -> bytes:
        return _response(_leaf(0x42007E, 5, struct.pack(">I", 1)) + _leaf(0x42007D, 7, why.encode()), 1)


class _Tls:
    """The server's side of a session, by memory BIOs."""

    def __init__(self, plain: _socket.socket, context: ssl.SSLContext) -> None:
        self._plain = plain
        self._received, self._produced = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._received, self._produced, server_side=True)
        self._until_done(self._session.do_handshake)

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._until_done(partial(self._session.read, size - len(data)))
            if not piece:
                raise OSError("the client closed")
            data += piece
        return data

    def send(self, data: bytes) -> None:
        if data:
            self._until_done(lambda: self._session.write(data))

    def _until_done(self, step):
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                came = self._plain.recv(65536)
                if not came:
                    raise OSError("the client closed") from None
                self._received.write(came)
                continue
            except ssl.SSLError:
                self._flush()  # The alert that says why.
                raise
            self._flush()
            return result

    def _flush(self) -> None:
        produced = self._produced.read()
        if produced:
            self._plain.sendall(produced)


def _response(rest: bytes, status: int) -> bytes:
    version = _wrap(0x420069, _leaf(0x42006A, 2, struct.pack(">I", 1)), _leaf(0x42006B, 2, struct.pack(">I", 2)))
    stamp = _leaf(0x420092, 9, struct.pack(">Q", 1_800_000_000))
    header = _wrap(0x42007A, version, stamp, _leaf(0x42000D, 2, struct.pack(">I", 1)))
    operation = _leaf(0x42005C, 5, struct.pack(">I", 10))
    result = _leaf(0x42007F, 5, struct.pack(">I", status))
    return _wrap(0x42007B, header, _wrap(0x42000F, operation, result, rest))


def _leaf(tag: int, kind: int, value: bytes) -> bytes:
    return struct.pack(">I", tag << 8 | kind) + struct.pack(">I", len(value)) + value + b"\0" * (-len(value) % 8)


def _wrap(tag: int, *items: bytes) -> bytes:
    return _leaf(tag, 1, b"".join(items))


def _leaves(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        tag_and_kind, length = struct.unpack(">II", data[:8])
        value, data = data[8 : 8 + length], data[8 + length + -length % 8 :]
        if tag_and_kind & 0xFF == 1:
            yield from _leaves(value)
        else:
            yield tag_and_kind >> 8, value


@contextmanager
def running_kmip(certificate: str, ca_file: str, **options) -> Iterator[FakeKmip]:
    """certificate: its own and its key, PEM; ca_file: of clients."""
    server = FakeKmip(**options)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    server.port = listener.getsockname()[1]
    thread = threading.Thread(target=server.serve, args=(listener, context), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(_socket.SHUT_RDWR)
        listener.close()
        thread.join(20)
