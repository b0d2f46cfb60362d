"""A client of a Swift API for tools: authentication version 1, one account, requests from several native threads.

Everything but an answer is tried again, with pauses that double; a token that is refused is asked for anew once.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from objstore.http.status import HTTPStatus, is_success

TIMEOUT_S = 60.0
PAUSE_FIRST_S = 0.25
PAUSE_MAX_S = 8.0
_PAGE_ROWS = 10_000


class ClientError(Exception):
    """The text says what was asked, and what came of it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    url: str
    user: str
    key: str
    is_insecure: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class SwiftClient:
    """retries: of each request. sleep(seconds): between them. retried: how often one was made again."""

    def __init__(
        self, credentials: Credentials, retries: int = 5, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._credentials = credentials
        self._retries = retries
        self._sleep = sleep
        self._lock = threading.RLock()  # Held while a token is asked for, which makes a connection.
        self._storage = ("", "")
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self.retried = 0

    @property
    def account(self) -> str:
        """The account's name. Raises ClientError."""
        url, _ = self._authorized()
        return urlsplit(url).path.rstrip("/").rpartition("/")[2]

    def put(self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """path: /container[/object], unquoted. Raises ClientError for every answer but 2xx."""
        self._request("PUT", quote(path), headers or {}, body)

    def listing(self, path: str, prefix: str) -> Iterator[str]:
        """Names of containers (path "") or of a container's objects; none where there is no such container. Raises
        ClientError."""
        marker = ""
        while True:
            query = f"?format=json&limit={_PAGE_ROWS}&prefix={quote(prefix, safe='')}&marker={quote(marker, safe='')}"
            answer = self._request("GET", quote(path) + query, {}, b"", also=(HTTPStatus.NOT_FOUND,))
            names = _names(answer.body) if answer.status == HTTPStatus.OK else []
            if not names or names[-1] <= marker:
                return
            yield from names
            marker = names[-1]

    def _request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, also: tuple[int, ...] = ()
    ) -> Answer:
        pause_s, problem = PAUSE_FIRST_S, ""
        for attempt in range(self._retries + 1):
            if attempt:
                with self._lock:
                    self.retried += 1
                self._sleep(pause_s)
                pause_s = min(PAUSE_MAX_S, pause_s * 2)
            url, token = self._authorized()
            try:
                answer = self._exchange(url, method, target, {**headers, "X-Auth-Token": token}, body)
            except (OSError, http.client.HTTPException) as error:
                problem = str(error) or type(error).__name__
                continue
            if is_success(answer.status) or answer.status in also:
                return answer
            problem = f"answered {answer.status}"
            if answer.status == HTTPStatus.UNAUTHORIZED:
                self._forget(token)
            elif answer.status < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status != HTTPStatus.REQUEST_TIMEOUT:
                break  # It will say the same again.
        raise ClientError(f"{method} {target.partition('?')[0] or '/'}: {problem}")

    def _authorized(self) -> tuple[str, str]:
        """(storage URL, token). Raises ClientError."""
        with self._lock:
            if not self._storage[0]:
                self._storage = self._authenticate()
            return self._storage

    def _forget(self, token: str) -> None:
        with self._lock:
            if self._storage[1] == token:
                self._storage = ("", "")

    def _authenticate(self) -> tuple[str, str]:
        given = self._credentials
        headers = {"X-Auth-User": given.user, "X-Auth-Key": given.key}
        try:
            answer = self._exchange(given.url, "GET", "", headers, b"")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ClientError(f"{given.url}: {error}") from None
        url, token = answer.headers.get("x-storage-url", ""), answer.headers.get("x-auth-token", "")
        if not is_success(answer.status) or not url or not token:
            raise ClientError(f"{given.url}: user {given.user} is not let in (answered {answer.status})")
        return url.rstrip("/"), token

    def _exchange(self, url: str, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises OSError, HTTPException; ValueError for a URL that is none."""
        parts = urlsplit(url)
        connection = self._connection(parts.scheme, parts.netloc)
        try:
            connection.request(method, parts.path + target, body, {"User-Agent": "objstore-tools", **headers})
            response = connection.getresponse()
            content = response.read()
        except BaseException:
            connection.close()
            raise
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    def _connection(self, scheme: str, address: str) -> http.client.HTTPConnection:
        """This thread's own; it connects again by itself."""
        kept: dict[tuple[str, str], http.client.HTTPConnection] = vars(self._local).setdefault("kept", {})
        if (scheme, address) not in kept:
            connection = kept[scheme, address] = self._made(scheme, address)
            with self._lock:
                self._connections.append(connection)
        return kept[scheme, address]

    def _made(self, scheme: str, address: str) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(address, timeout=TIMEOUT_S)
        if scheme != "https":
            raise ValueError("expected a URL that begins with http:// or https://")
        context = ssl.create_default_context()
        if self._credentials.is_insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(address, timeout=TIMEOUT_S, context=context)

    def close(self) -> None:
        """Called once no thread uses it any more."""
        for connection in self._connections:
            connection.close()


def _names(body: bytes) -> list[str]:
    try:
        items: Any = json.loads(body)
        return [str(item["name"]) for item in items if "name" in item]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ClientError("a listing that cannot be read") from None
