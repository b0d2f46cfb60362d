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
from urllib.parse import urlencode, urlsplit

from objstore.client.connections import Connections, Trust
from objstore.client.errors import ClientError, Refused, Stopped
from objstore.client.exchange import Body, Bytes, Reading, exchange, reason
from objstore.client.login import Answer, Given, Login, Question, Storage
from objstore.core.names import quoted
from objstore.http.status import RATE_LIMITED, HTTPStatus, is_success

PAUSE_FIRST_S = 0.25
PAUSE_MAX_S = 8.0
RETRIES = 5
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, RATE_LIMITED})
_REFUSALS = frozenset(range(HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR)) - _LATER
Headers = Mapping[str, str]


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
        """The URL of the account. Raises ClientError."""
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
        """An answer of the endpoint about itself, a refusal too: /info. path: from the root, quoted."""
        asked = _Asked("GET", path, path, {}, is_beside=True)
        reading, attempts = self._persistently(asked, _REFUSALS, self._retries, is_whole=True)
        return Answer(reading.status, reading.headers, reading.body, attempts)

    def pause(self, seconds: float) -> None:
        """Wait, but not past stop()."""
        self._sleep(seconds)

    def check(self) -> None:
        """Raises Stopped after stop(): whoever works for long without a request asks now and then."""
        if self._stopping.is_set():
            raise Stopped

    def stop(self) -> None:
        """Cut off what is under way, and begin nothing more. May be called from any thread."""
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
            problem, status = f"answered {reading.status}{reason(reading)}", reading.status
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
        parts = urlsplit(storage.url)
        base = f"{parts.scheme}://{parts.netloc}" if asked.is_beside else storage.url
        reading = exchange(self._connections, Question(asked.method, base + asked.target, headers), asked.body)
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
                reading = exchange(self._connections, question, Bytes(question.body) if question.body else None)
                reading.load()
            except (OSError, http.client.HTTPException) as error:
                problem = ClientError(f"{question.url}: {error or type(error).__name__}")
                continue
            if attempt < retries and _may_change(reading.status):
                continue
            self._has_been_in = True
            return self._login.storage(Answer(reading.status, reading.headers, reading.body))
        raise problem


@dataclass(frozen=True, slots=True)
class _Asked:
    """path: for people; target: behind the storage URL, or (is_beside) behind the host."""

    method: str
    path: str
    target: str
    headers: Headers
    body: Body | None = None
    is_beside: bool = False


def _query(query: Mapping[str, str] | None) -> str:
    """The query string with its question mark; '' for no parameters."""
    return f"?{urlencode(query, errors='surrogateescape')}" if query else ""


def _may_change(status: int) -> bool:
    """Whether the same request may be answered otherwise a moment later."""
    return status in _LATER or (status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED)
