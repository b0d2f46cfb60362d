"""Paths in place of parts, for tests that mostly name one object after another: a view of tests/functional/api.py.

    c = site.container()
    site.put(f"{c}/o", b"body", {"X-Object-Meta-A": "b"})
    assert site.get(f"{c}/o").body == b"body"

Paths are below the account, as they stand in a request line.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tests.functional.api import Answer, Swift, User


class Site:
    def __init__(self, swift: Swift) -> None:
        self._swift = swift

    @property
    def member(self) -> str:
        """The user `member` as an ACL names it."""
        return self._swift.users["member"][0]

    def account(self) -> str:
        return self._swift.owner.account

    def container(self, headers: Mapping[str, str] | None = None) -> str:
        """A container of its own: the path /name."""
        path = f"/f{uuid.uuid4().hex[:12]}"
        assert self.put(path, headers=headers).status == 201
        return path

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        user: str = "owner",
    ) -> Answer:
        """Of the owner's account, whoever asks."""
        asks: User = getattr(self._swift, user)
        token = {"X-Auth-Token": asks.token} if asks.token else {}
        try:
            return asks.raw(method, f"/v1/{self.account()}{path}", {**(headers or {}), **token}, body or None)
        except BaseException:
            asks.close()  # Where an answer broke off, nobody knows what comes next.
            raise

    def get(self, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        return self.request("GET", path, b"", headers, **more)

    def head(self, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        return self.request("HEAD", path, b"", headers, **more)

    def put(self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        return self.request("PUT", path, body, headers, **more)

    def post(self, path: str, headers: Mapping[str, str], **more: Any) -> Answer:
        return self.request("POST", path, b"", headers, **more)

    def delete(self, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        return self.request("DELETE", path, b"", headers, **more)

    def copy(self, path: str, destination: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        return self.request("COPY", path, b"", {"Destination": destination, **(headers or {})}, **more)

    def put_manifest(
        self, path: str, segments: Sequence[Any], headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Answer:
        return self.put(f"{path}?multipart-manifest=put{query}", json.dumps(segments).encode(), headers)

    def listing(self, path: str, query: str = "") -> list[dict[str, Any]]:
        reply = self.get(f"{path}?format=json{query}")
        assert reply.status == 200, reply
        rows: list[dict[str, Any]] = reply.json
        return rows


def etag_of(reply: Answer) -> str:
    return reply.headers["etag"].strip('"')


def md5(data: bytes | str) -> str:
    return hashlib.md5(data if isinstance(data, bytes) else data.encode(), usedforsecurity=False).hexdigest()
