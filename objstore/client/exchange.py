"""One request and its answer, on a connection of the pool: what is sent, how the answer is read. Nothing is asked again
here (client/session.py does).
"""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Protocol
from urllib.parse import urlsplit

from objstore.client.connections import Connections
from objstore.client.errors import ClientError
from objstore.client.login import Question

AGENT = "objstore-client"
_REASON_CHARACTERS = 200


class Body(Protocol):
    """A request body, which can be read again from the start."""

    @property
    def size(self) -> int: ...

    def pieces(self) -> Iterable[bytes]: ...


@dataclass(frozen=True, slots=True)
class Bytes:
    """A Body."""

    data: bytes = b""

    @property
    def size(self) -> int:
        return len(self.data)

    def pieces(self) -> Iterable[bytes]:
        return (self.data,) if self.data else ()


class Reading:
    """An answer; its body is in `body` (whole) or read bit by bit. size: of the body, None when it was not said."""

    def __init__(
        self, connection: http.client.HTTPConnection, connections: Connections, *, is_last: bool = False
    ) -> None:
        """Waits for the head. is_last: of the connection. Raises OSError, HTTPException."""
        self._connection = connection
        self._connections = connections
        self._response = connection.getresponse()
        self.status = self._response.status
        self.headers = _headers(self._response)
        length = self.headers.get("content-length", "")
        self.size = int(length) if length.isascii() and length.isdigit() else None
        self.body = b""
        self._is_last = is_last or self._response.will_close

    def load(self) -> None:
        """Read the body whole. Raises OSError, HTTPException."""
        try:
            self.body = self._response.read()
        finally:
            self.close()

    def pieces(self, at_once_bytes: int) -> Iterator[bytes]:
        """Raises OSError, HTTPException; a body that is shorter than said just ends."""
        left = self.size
        while piece := self._response.read(at_once_bytes):
            left = None if left is None else left - len(piece)
            yield piece
        self._is_last |= bool(left)

    def close(self) -> None:
        """The connection is kept when the body was read to its end."""
        is_whole = self._response.isclosed() and not self._is_last
        self._response.close()
        if is_whole:
            self._connections.keep(self._connection)
        else:
            self._connections.drop(self._connection)


def exchange(connections: Connections, question: Question, body: Body | None = None) -> Reading:
    """The answer's head. Raises OSError, HTTPException, ClientError."""
    connection = connections.take(question.url)
    is_cut = False
    try:
        try:
            _send(connection, question, body)
        except (BrokenPipeError, ConnectionResetError):
            # Who refuses a body before it has come says why, and closes: that answer may be there.
            if body is None or connection.sock is None:
                raise
            is_cut = True
        return Reading(connection, connections, is_last=is_cut)
    except BaseException as error:
        connections.drop(connection)
        if isinstance(error, ValueError) and not isinstance(error, OSError):
            # Of http.client, whose text would show the value: it may be a key. (A bad certificate is both.)
            raise ClientError(f"{question.method}: a header or address holds what no request can have") from None
        raise


def _send(connection: http.client.HTTPConnection, question: Question, body: Body | None) -> None:
    parts = urlsplit(question.url)
    connection.putrequest(
        question.method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), skip_accept_encoding=True
    )
    sent = {"User-Agent": AGENT, **question.headers}
    if body is not None:
        sent["Content-Length"] = str(body.size)
    elif question.method in ("PUT", "POST", "COPY"):
        sent["Content-Length"] = "0"
    for name, value in sent.items():
        connection.putheader(name, value.encode("utf-8", "surrogateescape"))
    connection.endheaders()
    for piece in body.pieces() if body is not None else ():
        connection.send(piece)


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    return {
        name.lower(): value.encode("latin-1", "replace").decode("utf-8", "replace")
        for name, value in response.getheaders()
    }


class _Text(HTMLParser):
    """The text of a short page, without its tags; what it says twice (as a title, as a heading) once."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def reason(reading: Reading) -> str:
    """The explanation in the body of a refusal as one line; '' where there is none."""
    text = reading.body[: 4 * _REASON_CHARACTERS].decode("utf-8", "replace")
    if reading.headers.get("content-type", "").startswith("text/html"):
        parser = _Text()
        parser.feed(text)
        text = " ".join(dict.fromkeys(piece.strip() for piece in parser.found))
    line = " ".join(text.split())
    return f" ({line[:_REASON_CHARACTERS]})" if line else ""
