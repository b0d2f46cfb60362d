"""Another cluster, as container sync sees it: what it has, and what it says to what we bring.

Every request is signed and carries the timestamp of the original. Answers become a Verdict; only a plain "yes", "I have
that" or "I have something newer" counts as done, everything else leaves the row to be tried again. Nothing that the
other cluster says makes us delete or change anything of ours. Source: formats 6.10; feature B3.12.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import cycle
from typing import Protocol

from objstore.container.passes.sync_target import Target
from objstore.core.errors import DomainError
from objstore.core.timestamp import ZERO, InvalidTimestamp, Timestamp
from objstore.http.client import PeerError
from objstore.http.outgoing import Headers, OpenAnswer, ServiceError
from objstore.http.status import HTTPStatus, is_success

_ANSWER_BYTES = 65536
_AS_IT_IS = "?symlink=get"
"""A link itself, not what it leads to."""


class Verdict(Enum):
    DONE = "done"
    FAILED = "failed"
    """This row, by what is wrong with it here or with its place there; others may do better."""
    AWAY = "away"
    """The other cluster cannot be reached, is silent or breaks off."""
    REFUSED = "refused"
    """It does not know us, or has no such container: other rows will hardly do better."""


@dataclass(frozen=True, slots=True)
class Said:
    """why: for the log; '' when done. is_known: done without sending anything."""

    verdict: Verdict
    why: str = ""
    is_known: bool = False


DONE = Said(Verdict.DONE)
KNOWN = Said(Verdict.DONE, is_known=True)


class SourceBroken(Exception):
    """The object could not be read to its end."""


class Client(Protocol):
    """http.outgoing.Outgoing, as far as it is used here."""

    def open(
        self,
        method: str,
        url: str,
        headers: Headers = (),
        body: bytes | Iterable[bytes] = b"",
        length: int | None = None,
    ) -> OpenAnswer: ...


class Peer:
    """clients: one for each way to the other cluster; each request takes the next."""

    def __init__(self, clients: Sequence[Client]) -> None:
        assert clients
        self._clients: Iterator[Client] = cycle(clients)

    def newest(self, target: Target, name: str, at: Timestamp) -> Timestamp | Said:
        """The timestamp of what is there, ZERO for nothing. Said, when that cannot be told."""
        answer = self._ask("HEAD", target, name, at, query=_AS_IT_IS)
        if isinstance(answer, Said):
            return answer
        status, headers = answer
        if status == HTTPStatus.NOT_FOUND:
            return ZERO
        if not is_success(status):
            return _said("HEAD", status)
        try:
            return Timestamp.parse(headers.get("x-timestamp", ""))
        except InvalidTimestamp:
            return ZERO  # Whatever it is, a PUT finds out which is newer.

    def put(
        self,
        target: Target,
        name: str,
        at: Timestamp,
        headers: Mapping[str, str],
        body: Iterable[bytes],
        length: int,
        query: str = "",
    ) -> Said:
        """headers: WSGI strings. What reading the body raises means that it was cut off: the row failed."""
        answer = self._ask("PUT", target, name, at, list(headers.items()), body, length, query)
        if isinstance(answer, Said):
            return answer
        status = answer[0]
        if status == HTTPStatus.CONFLICT:
            return DONE  # It has something newer.
        if status == HTTPStatus.NOT_FOUND:
            return Said(Verdict.REFUSED, "PUT was answered with 404: there is no such container")
        return DONE if is_success(status) else _said("PUT", status)

    def delete(self, target: Target, name: str, at: Timestamp) -> Said:
        answer = self._ask("DELETE", target, name, at)
        if isinstance(answer, Said):
            return answer
        status = answer[0]
        # 404: nothing was there, and what comes later and is older finds the tombstone. 409: something newer is.
        if is_success(status) or status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            return DONE
        return _said("DELETE", status)

    def _ask(
        self,
        method: str,
        target: Target,
        name: str,
        at: Timestamp,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | Iterable[bytes] = b"",
        length: int | None = None,
        query: str = "",
    ) -> tuple[int, Mapping[str, str]] | Said:
        path = target.object_path(name)
        if not isinstance(body, bytes):
            body = _from_here(body)
        signed = target.credentials(method, path, at.normal, os.urandom(16).hex())
        try:
            with next(self._clients).open(
                method, target.root + path + query, [*headers, *signed], body, length
            ) as answer:
                answer.read_all(_ANSWER_BYTES)
                return answer.status, answer.headers
        except ServiceError as error:
            return Said(Verdict.AWAY, str(error))
        except (SourceBroken, ValueError) as error:
            return Said(Verdict.FAILED, f"{method}: what was read here broke off: {error}")


def _from_here(body: Iterable[bytes]) -> Iterator[bytes]:
    """What goes wrong in reading it is not the other cluster's fault. Raises SourceBroken."""
    try:
        yield from body
    except (DomainError, PeerError, OSError) as error:
        raise SourceBroken(str(error)) from error


def _said(method: str, status: int) -> Said:
    why = f"{method} was answered with {status}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Said(Verdict.REFUSED, f"{why}: is the key the same on both sides, and the realm's?")
    return Said(Verdict.FAILED, why)
