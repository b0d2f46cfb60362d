"""The client of the black-box suite. It hides nothing: one request, one answer, every header as it came.

    c = owner.new_container({"X-Container-Meta-A": "b"})
    owner.put(c, "ünï cödé", body=b"x")                  parts are text and are quoted here
    owner.get(f"{c}/o?multipart-manifest=get")           one piece stands as it is in the request line
    swift.anonymous.get(c)                               somebody else asks for the same

It knows the Swift API and nothing of the server. Everybody asks for the account of `owner` unless told another.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tests.functional.secrets import Secrets

PATIENCE_S = 60.0
_newcomers = itertools.count()
# An object at the limits has more headers than http.client takes by itself (100).
http.client._MAXHEADERS = 1000


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
    secrets: Secrets = field(default_factory=Secrets)
    is_thrown_away: bool = False
    """Whether nobody will miss order in this endpoint after the run."""

    def __getattr__(self, name: str) -> User:
        if name not in self.users and name != "anonymous":
            raise AttributeError(name)
        if name not in self._known:
            self._known[name] = User(self) if name == "anonymous" else self._log_in(*self.users[name])
        return self._known[name]

    def __getitem__(self, name: str) -> User:
        user: User = getattr(self, name)
        return user

    @property
    def home(self) -> str:
        """The account of `owner`."""
        return self.owner.account

    @property
    def info(self) -> Any:
        """What the endpoint says of itself."""
        answer = self.anonymous.raw("GET", "/info")
        assert answer.status == 200, answer
        return answer.json

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.auth_url)
        return parts.hostname or "", parts.port or 80

    def _log_in(self, user: str, key: str) -> User:
        anonymous = User(self)
        answer = anonymous.raw("GET", urlsplit(self.auth_url).path, {"X-Auth-User": user, "X-Auth-Key": key})
        assert answer.status == 200, (user, answer)
        account = urlsplit(answer.headers["x-storage-url"]).path.rpartition("/")[2]
        anonymous.close()
        return User(self, user, answer.headers["x-auth-token"], account)

    def newcomer(self) -> User:
        """Nobody, where the endpoint is on this machine from an address that has not asked before: wrong keys make all
        who come from an address wait."""
        host, _ = self.address
        number = next(_newcomers)
        return User(self, source=f"127.1.{number // 250}.{number % 250 + 1}" if host.startswith("127.") else "")

    def close(self) -> None:
        for user in self._known.values():
            user.close()


class User:
    """Somebody who asks. name: as an ACL names it; account: its own."""

    def __init__(self, swift: Swift, name: str = "", token: str = "", account: str = "", source: str = "") -> None:
        self.swift = swift
        self._source = (source, 0) if source else None
        self.name = name
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
            except BaseException:
                self.close()  # Where an answer broke off, nobody knows what comes next.
                raise
        raise AssertionError

    def _exchange(self, method: str, target: str, headers: Mapping[str, bytes], body: Any, is_chunked: bool) -> Answer:
        said = self.swift.secrets.note(target, headers)
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                *self.swift.address, timeout=PATIENCE_S, source_address=self._source
            )
        self._connection.request(method, target, body=body, headers=dict(headers), encode_chunked=is_chunked)
        response = self._connection.getresponse()
        content = response.read()
        found: dict[str, str] = {}
        for name, value in response.getheaders():
            text = value.encode("latin-1").decode("utf-8", "replace")
            key = name.lower()
            found[key] = f"{found[key]}, {text}" if key in found else text
        answer = Answer(response.status, found, content, response.reason)
        shown = f"{found} {answer.text}" if answer.status >= 400 else ""
        assert not any(secret in shown for secret in said), f"an error tells a secret: {answer}"
        return answer

    def status_of_head(self, method: str, *path: str, headers: Mapping[str, str] | None = None) -> int:
        """What the head of a request is answered whose body never comes; nothing is added but the token."""
        connection = http.client.HTTPConnection(*self.swift.address, timeout=PATIENCE_S)
        try:
            connection.putrequest(method, self.path(*path))
            for name, value in {"X-Auth-Token": self.token, **(headers or {})}.items():
                connection.putheader(name, value)
            connection.endheaders()
            return connection.getresponse().status
        finally:
            connection.close()

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

    def options(self, *path: str, **options: Any) -> Answer:
        return self.request("OPTIONS", *path, **options)

    def copy(self, *path: str, to: str = "", headers: Mapping[str, str] | None = None, **options: Any) -> Answer:
        destination = {"Destination": to} if to else {}
        return self.request("COPY", *path, headers={**destination, **(headers or {})}, **options)

    def path(self, *path: str, account: str | None = None) -> str:
        """The request target of the account, a container or an object; of one piece it is taken as it is."""
        if len(path) > 1:
            path = ("/".join(quote(part, safe="/" if index else "") for index, part in enumerate(path)),)
        return "/".join(["/v1", quote(account or self.swift.home), *(part.removeprefix("/") for part in path if part)])

    # What tests begin and end with

    def new_container(self, headers: Mapping[str, str] | None = None) -> str:
        name = f"c-{uuid.uuid4().hex[:12]}"
        answer = self.put(name, headers=headers)
        # 202 too: of a name that is new, it says that a slow replica was asked twice.
        assert answer.status in (201, 202), answer
        return name

    def upload(
        self, container: str, name: str, body: bytes = b"content", headers: Mapping[str, str] | None = None
    ) -> str:
        """The ETag of an object that is stored for a test."""
        answer = self.put(container, name, body=body, headers=headers)
        assert answer.status == 201, answer
        assert etag_of(answer) == md5(body)
        return etag_of(answer)

    def put_manifest(
        self, path: str, segments: Sequence[Any], headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Answer:
        """Store a static large object; query: more of it, beginning with &."""
        body = json.dumps(segments).encode()
        return self.put(f"{path}?multipart-manifest=put{query}", headers=headers, body=body)

    def listing(self, path: str, query: str = "") -> list[dict[str, Any]]:
        """The rows of a container, or of the account (""); query: more of it, beginning with &."""
        answer = self.get(f"{path}?format=json{query}")
        assert answer.status == 200, answer
        rows: list[dict[str, Any]] = answer.json
        return rows

    def names(self, container: str, **query: str) -> list[str]:
        """The names of a listing, and subdirs with a delimiter."""
        return [row.get("name", row.get("subdir", "")) for row in self.listing(container, f"&{urlencode(query)}")]

    def tidy(self, container: str) -> None:
        """empty(), unless the endpoint is thrown away."""
        if not self.swift.is_thrown_away:
            self.empty(container)

    def empty(self, container: str) -> None:
        """Delete a container and all that is in it; of things that are deleted late, wait for the listing to say so."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for name in self.names(container):
                self.delete(container, name)
            answer = self.delete(container)
            if answer.status in (204, 404) or time.monotonic() > deadline:
                assert answer.status in (204, 404), answer
                return
            for row in self.listing(container, "&versions"):
                self.delete(f"{container}/{quote(row['name'])}?version-id={row.get('version_id', 'null')}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def etag_of(answer: Answer) -> str:
    """The ETag, quoted or not (A3.12)."""
    return answer.headers["etag"].strip('"')


def md5(data: bytes | str) -> str:
    return hashlib.md5(data if isinstance(data, bytes) else data.encode(), usedforsecurity=False).hexdigest()
