"""What a client of a scenario was told, written down as the final check wants it.

    ledger = Ledger(cluster.request)
    ledger.container("c")
    ledger.put("c", "o", b"body")
    ledger.delete("c", "o")

Every method demands success; may_put() and its like take any answer, and note that both may be true afterwards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.support.final_check import ABSENT

Request = Callable[..., tuple[int, dict[str, str], bytes]]
"""As Cluster.request."""


class Ledger:
    """expected, joined: what FinalCheck is given."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.expected: dict[str, dict[str, frozenset[str]]] = {}
        self.joined: dict[str, str] = {}

    def container(self, name: str, headers: Mapping[str, str] | None = None) -> None:
        self._must((201, 202), "PUT", f"/{name}", None, headers)
        self.expected.setdefault(name, {})

    def put(self, container: str, name: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self._must((201,), "PUT", f"/{container}/{name}", body, headers)
        self.expected[container][name] = frozenset({_etag(body)})

    def large(self, container: str, name: str, bodies: Sequence[bytes]) -> None:
        """A large object, of segments beside it: name.0, name.1, …"""
        manifest = []
        for number, body in enumerate(bodies):
            self.put(container, f"{name}.{number}", body)
            path = f"/{container}/{name}.{number}"
            manifest.append({"path": path, "etag": _etag(body), "size_bytes": len(body)})
        sent = json.dumps(manifest).encode()
        self._must((201,), "PUT", f"/{container}/{name}", sent, query="?multipart-manifest=put")
        etag = _etag("".join(map(_etag, bodies)).encode())
        self.joined[etag] = _etag(b"".join(bodies))
        self.expected[container][name] = frozenset({etag})

    def post(self, container: str, name: str, headers: Mapping[str, str]) -> None:
        self._must((202,), "POST", f"/{container}/{name}", None, headers)

    def delete(self, container: str, name: str) -> None:
        self._must((204,), "DELETE", f"/{container}/{name}")
        self.expected[container][name] = frozenset({ABSENT})

    def may_put(self, container: str, name: str, body: bytes) -> int:
        """The status. 201 is an answer like any other; else it may have happened, now or later."""
        status, _, _ = self._request("PUT", f"/{container}/{name}", body)
        before = self.expected[container].get(name, frozenset({ABSENT}))
        self.expected[container][name] = frozenset({_etag(body)}) | (frozenset() if status == 201 else before)
        return status

    def may_post(self, container: str, name: str, headers: Mapping[str, str]) -> int:
        """The status. What metadata may be there is for the scenario to know."""
        status, _, _ = self._request("POST", f"/{container}/{name}", None, headers)
        return status

    def is_gone(self, container: str, name: str) -> None:
        """It went by itself: expired, or with its account."""
        self.expected[container][name] = frozenset({ABSENT})

    def _must(self, allowed: tuple[int, ...], *request: Any, query: str = "") -> None:
        status, _, body = self._request(*request, query=query)
        assert status in allowed, f"{request[:2]}: {status} {body[:300]!r}"


def _etag(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()
