"""A client for functional tests: requests as one of the users, names that no other test uses.

    c = site.container()
    site.put(f"{c}/o", b"body", {"X-Object-Meta-A": "b"})
    assert site.get(f"{c}/o").body == b"body"

Paths are below the account, as they stand in a request line. It knows nothing of objstore.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.replay.client import Outgoing, exchange, head_bytes
from tests.replay.placeholders import to_bytes
from tests.replay.world import Target

_numbers = itertools.count()
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    is_truncated: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def etag(self) -> str:
        return self.headers["etag"].strip('"')


class Site:
    def __init__(self, target: Target) -> None:
        self._target = target

    def account(self, user: str = "tester") -> str:
        return self._target.account(user)

    def container(self, headers: Mapping[str, str] | None = None, *, user: str = "tester") -> str:
        """A container of its own: the path /name."""
        path = f"/f{os.getpid()}-{next(_numbers)}"
        assert self.put(path, headers=headers, user=user).status == 201
        return path

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        user: str | None = "tester",
        account: str = "",
    ) -> Reply:
        """user None: without a token. account: another one than the user's own."""
        pairs = {"Host": self._target.host, **(headers or {})}
        if user is not None:
            pairs["X-Auth-Token"] = self._target.token(user)
        if body or method in ("PUT", "POST", "COPY"):
            pairs["Content-Length"] = str(len(body))
        target = f"/v1/{account or self.account(user or 'tester')}{path}"
        lines = [(to_bytes(name), to_bytes(value)) for name, value in pairs.items()]
        head = head_bytes(to_bytes(method), to_bytes(target), b"HTTP/1.1", lines)
        outgoing = Outgoing(head, body, is_head=method == "HEAD")
        answer = exchange(self._target.address, outgoing, timeout_s=PATIENCE_S)
        assert answer.status is not None, f"{method} {target}: {answer.problem}"
        found = {name.lower(): value for name, value in answer.headers}
        return Reply(answer.status, found, answer.body, answer.is_truncated)

    def get(self, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Reply:
        return self.request("GET", path, b"", headers, **more)

    def head(self, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Reply:
        return self.request("HEAD", path, b"", headers, **more)

    def put(self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, **more: Any) -> Reply:
        return self.request("PUT", path, body, headers, **more)

    def post(self, path: str, headers: Mapping[str, str], **more: Any) -> Reply:
        return self.request("POST", path, b"", headers, **more)

    def delete(self, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Reply:
        return self.request("DELETE", path, b"", headers, **more)

    def copy(self, path: str, destination: str, headers: Mapping[str, str] | None = None, **more: Any) -> Reply:
        return self.request("COPY", path, b"", {"Destination": destination, **(headers or {})}, **more)

    def put_manifest(
        self, path: str, segments: Sequence[Any], headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Reply:
        return self.put(f"{path}?multipart-manifest=put{query}", json.dumps(segments).encode(), headers)

    def listing(self, path: str, query: str = "") -> list[dict[str, Any]]:
        reply = self.get(f"{path}?format=json{query}")
        assert reply.status == 200, reply
        rows: list[dict[str, Any]] = reply.json
        return rows


def md5(data: bytes | str) -> str:
    return hashlib.md5(data if isinstance(data, bytes) else data.encode(), usedforsecurity=False).hexdigest()
