"""A client for the black-box suite that hides nothing: one request, one answer, every header as it came.

It knows the Swift API and nothing of the server: names are text, paths are quoted here, connections are kept.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

PATIENCE_S = 60.0


@dataclass
class Answer:
    """headers: names lower case; of a repeated one all values, joined by a comma."""

    status: int
    headers: dict[str, str]
    body: bytes
    reason: str = ""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


@dataclass
class Swift:
    """One endpoint and its users, logged in when first needed."""

    auth_url: str
    users: Mapping[str, tuple[str, str]]
    _known: dict[str, User] = field(default_factory=dict)

    def __getattr__(self, name: str) -> User:
        if name not in self.users and name != "anonymous":
            raise AttributeError(name)
        if name not in self._known:
            self._known[name] = User(self, "", "") if name == "anonymous" else self._log_in(*self.users[name])
        return self._known[name]

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.auth_url)
        return parts.hostname or "", parts.port or 80

    def _log_in(self, user: str, key: str) -> User:
        anonymous = User(self, "", "")
        answer = anonymous.raw("GET", urlsplit(self.auth_url).path, {"X-Auth-User": user, "X-Auth-Key": key})
        assert answer.status == 200, (user, answer)
        account = urlsplit(answer.headers["x-storage-url"]).path.rpartition("/")[2]
        anonymous.close()
        return User(self, answer.headers["x-auth-token"], account)

    def close(self) -> None:
        for user in self._known.values():
            user.close()


class User:
    """Somebody who asks. Paths given as parts are below /v1/<account> of this user, or of `account`."""

    def __init__(self, swift: Swift, token: str, account: str) -> None:
        self.swift = swift
        self.token = token
        self.account = account
        self._connection: http.client.HTTPConnection | None = None

    # Requests

    def raw(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
    ) -> Answer:
        """target: as it stands in the request line. A body that is no bytes is sent chunked."""
        sent = {name: value.encode("utf-8") for name, value in (headers or {}).items()}
        is_chunked = body is not None and not isinstance(body, bytes)
        if body is None and method in ("PUT", "POST", "COPY", "DELETE") and "Content-Length" not in sent:
            sent["Content-Length"] = b"0"
        for attempt in (1, 2):
            try:
                return self._exchange(method, target, sent, body, is_chunked)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # A kept connection may have been closed meanwhile; a body that is an iterator cannot be sent again.
                self.close()
                if attempt == 2 or is_chunked:
                    raise
        raise AssertionError

    def _exchange(self, method: str, target: str, headers: Mapping[str, bytes], body: Any, is_chunked: bool) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self.swift.address, timeout=PATIENCE_S)
        self._connection.request(method, target, body=body, headers=dict(headers), encode_chunked=is_chunked)
        response = self._connection.getresponse()
        content = response.read()
        found: dict[str, str] = {}
        for name, value in response.getheaders():
            text = value.encode("latin-1").decode("utf-8", "replace")
            key = name.lower()
            found[key] = f"{found[key]}, {text}" if key in found else text
        return Answer(response.status, found, content, response.reason)

    def request(
        self,
        method: str,
        *path: str,
        query: Mapping[str, str] | str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        account: str | None = None,
    ) -> Answer:
        """path: container, object; query: a mapping, or as it is. The token is sent unless headers say one."""
        sent = dict(headers or {})
        if self.token and "X-Auth-Token" not in sent:
            sent["X-Auth-Token"] = self.token
        text = query if isinstance(query, str) else urlencode(query)
        target = self.path(*path, account=account) + (f"?{text}" if text else "")
        return self.raw(method, target, sent, body)

    def get(self, *path: str, **options: Any) -> Answer:
        return self.request("GET", *path, **options)

    def head(self, *path: str, **options: Any) -> Answer:
        return self.request("HEAD", *path, **options)

    def put(self, *path: str, **options: Any) -> Answer:
        return self.request("PUT", *path, **options)

    def post(self, *path: str, **options: Any) -> Answer:
        return self.request("POST", *path, **options)

    def delete(self, *path: str, **options: Any) -> Answer:
        return self.request("DELETE", *path, **options)

    def copy(self, *path: str, **options: Any) -> Answer:
        return self.request("COPY", *path, **options)

    def path(self, *path: str, account: str | None = None) -> str:
        """The quoted path of a container or object."""
        parts = [account or self.account, *path]
        return "/v1/" + "/".join(quote(part, safe="/" if index > 1 else "") for index, part in enumerate(parts))

    # What tests begin and end with

    def new_container(self, **headers: str) -> str:
        """headers: X_Container_Meta_… with underscores for dashes."""
        name = f"c-{uuid.uuid4().hex[:12]}"
        answer = self.put(name, headers={key.replace("_", "-"): value for key, value in headers.items()})
        assert answer.status == 201, answer
        return name

    def upload(self, container: str, name: str, body: bytes = b"content", **headers: str) -> str:
        """The ETag of an object that is stored for a test."""
        answer = self.put(container, name, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
        assert answer.status == 201, answer
        assert answer.headers["etag"] == hashlib.md5(body).hexdigest()
        return answer.headers["etag"]

    def names(self, container: str, **query: str) -> list[str]:
        """The listing: names, and subdirs with a delimiter."""
        answer = self.get(container, query={"format": "json", **query})
        assert answer.status == 200, answer
        return [row.get("name", row.get("subdir")) for row in answer.json]

    def empty(self, container: str) -> None:
        """Delete a container and what is in it; of things that are deleted late, wait for the listing to say so."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for name in self.names(container):
                self.delete(container, name)
            answer = self.delete(container)
            if answer.status in (204, 404) or time.monotonic() > deadline:
                assert answer.status in (204, 404), answer
                return

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
