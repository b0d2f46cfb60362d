"""Requests to one account: a token when one is needed, retries with pauses that double, answers as values.

What is asked for twice is the same as once (GET, HEAD, PUT, DELETE, and POST that sets metadata), so whatever got no
answer, or 5xx, is asked again; a request that is not like that says repeats=False.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from objstore.client.connections import Connections, Trust
from objstore.client.errors import ClientError, Refused, Stopped
from objstore.client.login import Answer, Given, Login, Question, Storage
from objstore.core.names import quoted
from objstore.http.status import RATE_LIMITED, HTTPStatus, is_success

AGENT = "objstore-client"
PAUSE_FIRST_S = 0.25
PAUSE_MAX_S = 8.0
RETRIES = 5
_REASON_CHARACTERS = 200
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, RATE_LIMITED})
Headers = Mapping[str, str]


class Body(Protocol):
    """What is sent; it can be begun anew."""

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

    def __init__(self, connection: http.client.HTTPConnection, connections: Connections) -> None:
        """Waits for the head. Raises OSError, HTTPException."""
        self._connection = connection
        self._connections = connections
        self._response = connection.getresponse()
        self.status = self._response.status
        self.headers = _headers(self._response)
        length = self.headers.get("content-length", "")
        self.size = int(length) if length.isascii() and length.isdigit() else None
        self.body = b""
        self._is_cut = False

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
        self._is_cut = bool(left)

    def close(self) -> None:
        """The connection is kept when the body was read to its end."""
        is_whole = self._response.isclosed() and not self._response.will_close and not self._is_cut
        self._response.close()
        if is_whole:
            self._connections.keep(self._connection)
        else:
            self._connections.drop(self._connection)


class Session:
    """retries: of each request. sleep(seconds): between them; None: a pause that stop() ends. retried: how often a
    request was made again."""

    def __init__(
        self,
        login: Login,
        trust: Trust | None = None,
        retries: int = RETRIES,
        *,
        account: str = "",
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """account: another one than the user's own, by name."""
        self._login = login
        self._connections = Connections(trust or Trust())
        self._retries = retries
        self._account = account
        self._stopping = threading.Event()
        self._sleep = sleep or self._stopping.wait
        self._lock = threading.RLock()  # Held while a token is asked for, which makes a connection.
        self._storage: Storage | None = None
        self._has_been_in = False
        self.retried = 0

    @property
    def storage_url(self) -> str:
        """Of the account. Raises ClientError."""
        return self._authorized().url

    def request(
        self,
        method: str,
        path: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Headers | None = None,
        body: Body | None = None,
        also: Iterable[int] = (),
        repeats: bool = True,
    ) -> Answer:
        """path: /container[/object], unquoted; '' is the account. also: statuses besides 2xx that are answers.

        Raises Refused for every other answer, ClientError when there is none."""
        asked = _Asked(method, path, quoted(path) + _query(query), headers or {}, body)
        reading, attempts = self._persistently(asked, frozenset(also), self._retries if repeats else 0, is_whole=True)
        return Answer(reading.status, reading.headers, reading.body, attempts)

    @contextmanager
    def reading(
        self, path: str, *, query: Mapping[str, str] | None = None, headers: Headers | None = None
    ) -> Iterator[Reading]:
        """A GET whose body is read inside the block. Nothing is asked again once there is an answer.

        Raises as request(); the block may raise OSError and HTTPException of the body."""
        asked = _Asked("GET", path, quoted(path) + _query(query), headers or {})
        reading, _ = self._persistently(asked, frozenset(), self._retries, is_whole=False)
        try:
            yield reading
        finally:
            reading.close()

    def get_beside(self, path: str) -> Answer:
        """An answer of the endpoint about itself, whatever it is: /info. path: from the root, quoted."""
        parts = urlsplit(self._authorized().url)
        reading = self._exchange(Question("GET", f"{parts.scheme}://{parts.netloc}{path}"), None)
        reading.load()
        return Answer(reading.status, reading.headers, reading.body)

    def pause(self, seconds: float) -> None:
        """Wait, but not past stop()."""
        self._sleep(seconds)

    def check(self) -> None:
        """Raises Stopped after stop(): whoever works for long without a request asks now and then."""
        if self._stopping.is_set():
            raise Stopped

    def stop(self) -> None:
        """From any thread: cut off what is under way, begin nothing more."""
        self._stopping.set()
        self._connections.abort()

    def close(self) -> None:
        """Called once no thread uses it any more."""
        self._connections.close()

    def _persistently(
        self, asked: _Asked, also: frozenset[int], retries: int, *, is_whole: bool
    ) -> tuple[Reading, int]:
        pause_s, problem, status, is_renewed = PAUSE_FIRST_S, "", 0, isinstance(self._login, Given)
        for attempt in range(retries + 1):
            if attempt:
                pause_s = self._paused(pause_s)
            self.check()
            storage = self._authorized()
            try:
                reading = self._attempt(storage, asked, is_whole)
            except (OSError, http.client.HTTPException) as error:
                problem, status = str(error) or type(error).__name__, 0
                continue
            if is_success(reading.status) or reading.status in also:
                return reading, attempt + 1
            problem, status = f"answered {reading.status}{_reason(reading)}", reading.status
            if status == HTTPStatus.UNAUTHORIZED and not is_renewed:
                is_renewed = True
                self._forget(storage)
            elif not _may_change(status):
                break
        self.check()
        text = f"{asked.method} {asked.path or '/'}: {problem}"
        raise Refused(text, status) if status else ClientError(text)

    def _paused(self, seconds: float) -> float:
        """Wait; the next pause."""
        with self._lock:
            self.retried += 1
        self._sleep(seconds)
        return min(PAUSE_MAX_S, seconds * 2)

    def _attempt(self, storage: Storage, asked: _Asked, is_whole: bool) -> Reading:
        headers = {**asked.headers, "X-Auth-Token": storage.token}
        reading = self._exchange(Question(asked.method, storage.url + asked.target, headers), asked.body)
        if is_whole or not is_success(reading.status):
            reading.load()
        return reading

    def _authorized(self) -> Storage:
        """Raises ClientError."""
        with self._lock:
            if self._storage is None:
                storage = self._logged_in()
                if self._account:
                    base = storage.url.rpartition("/")[0]
                    storage = Storage(f"{base}/{quoted(self._account)}", storage.token)
                self._storage = storage
            return self._storage

    def _forget(self, refused: Storage) -> None:
        with self._lock:
            if self._storage == refused:
                self._storage = None

    def _logged_in(self) -> Storage:
        question = self._login.question
        if question is None:
            return self._login.storage(Answer(0, {}))
        # The first time somebody waits who may have mistyped; later a cluster that is away for a moment comes back.
        retries, pause_s = (self._retries if self._has_been_in else 0), PAUSE_FIRST_S
        for attempt in range(retries + 1):
            if attempt:
                pause_s = self._paused(pause_s)
                self.check()
            try:
                reading = self._exchange(question, Bytes(question.body) if question.body else None)
                reading.load()
            except (OSError, http.client.HTTPException) as error:
                problem = ClientError(f"{question.url}: {error or type(error).__name__}")
                continue
            if attempt < retries and _may_change(reading.status):
                continue
            self._has_been_in = True
            return self._login.storage(Answer(reading.status, reading.headers, reading.body))
        raise problem

    def _exchange(self, question: Question, body: Body | None) -> Reading:
        """The answer's head. Raises OSError, HTTPException, ClientError."""
        connection = self._connections.take(question.url)
        try:
            try:
                _send(connection, question, body)
            except (BrokenPipeError, ConnectionResetError):
                # Who refuses a body before it has come says why, and closes: that answer may be there.
                if body is None or connection.sock is None:
                    raise
            return Reading(connection, self._connections)
        except BaseException as error:
            self._connections.drop(connection)
            if isinstance(error, ValueError) and not isinstance(error, OSError):
                # Of http.client, whose text would show the value: it may be a key. (A bad certificate is both.)
                raise ClientError(f"{question.method}: a header or address holds what no request can have") from None
            raise


@dataclass(frozen=True, slots=True)
class _Asked:
    """path: for people; target: behind the storage URL."""

    method: str
    path: str
    target: str
    headers: Headers
    body: Body | None = None


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


def _query(query: Mapping[str, str] | None) -> str:
    """With its question mark."""
    return f"?{urlencode(query, errors='surrogateescape')}" if query else ""


def _may_change(status: int) -> bool:
    """Whether the same request may be answered otherwise a moment later."""
    return status in _LATER or (status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED)


class _Text(HTMLParser):
    """The text of a short page, without its tags and its title."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def _reason(reading: Reading) -> str:
    """What a refusal says of itself, on one line, '' for nothing."""
    text = reading.body[: 4 * _REASON_CHARACTERS].decode("utf-8", "replace")
    if reading.headers.get("content-type", "").startswith("text/html"):
        parser = _Text()
        parser.feed(text)
        text = " ".join(parser.found)
    line = " ".join(text.split())
    return f" ({line[:_REASON_CHARACTERS]})" if line else ""
