"""One object on its way into a file.

1. What is there already, the same by size and checksum, is left as it is.
2. The bytes go into a file of another name (client/landing.py), each piece compared with its checksum: the object's
   MD5, or those of the segments in its manifest, several at once. A body that breaks off goes on by Range;
   and so does a copy that was cut off, when the object is still the same (If-Match).
3. When all of it is there and right, it gets its name.

Bytes that nobody has a checksum of (dynamic large objects, manifests within manifests) are compared by their number.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from objstore.client.account import Account
from objstore.client.content import AT_ONCE_BYTES, md5_of
from objstore.client.errors import ClientError, Refused
from objstore.client.facts import Facts, facts_of_answer, look, mtime_ns_of, pieces_of
from objstore.client.landing import Landing, Part
from objstore.client.large import Piece
from objstore.client.place import Place
from objstore.client.stretch import Damaged, Stretch, grouped
from objstore.client.work import Done, Kind, Workers
from objstore.http.status import HTTPStatus

BREAKS_AT_MOST = 10
"""Breaks of a body in a row, without a byte between them, before it is given up."""


class _Otherwise(Exception):
    """The object is not what it was taken for: it was changed, or it is a link or a large object."""


class Downloader:
    def __init__(self, account: Account, workers: Workers, *, always: bool = False) -> None:
        """always: fetch also what seems to be there."""
        self.account = account
        self.workers = workers
        self.always = always

    def download(self, place: Place, known: Facts | None, landing: Landing, parts: Sequence[str]) -> Done:
        """known: what a listing says of it. parts: its path below the landing. Raises ClientError, OSError."""
        facts = known or self._look(place)
        try:
            return _Download(self, place, facts, landing, parts).run()
        except _Otherwise:
            try:
                return _Download(self, place, self._look(place), landing, parts).run()
            except _Otherwise:
                raise ClientError(f"{place}: it is being changed; copy it again") from None

    def _look(self, place: Place) -> Facts:
        facts = look(self.account, place)
        if facts is None:
            raise ClientError(f"{place}: no such object")
        return facts


class _Download:
    def __init__(self, owner: Downloader, place: Place, facts: Facts, landing: Landing, parts: Sequence[str]) -> None:
        self._owner = owner
        self._account = owner.account
        self._place = place
        self._facts = facts
        self._landing = landing
        self._parts = parts
        self._headers: Mapping[str, str] = facts.headers or {}
        self._count: Callable[[int], None] = owner.workers.progress.counter()

    def run(self) -> Done:
        """Raises _Otherwise, ClientError, OSError."""
        if self._facts.is_manifest and not self._facts.is_sure:
            raise _Otherwise  # A listing has another ETag for it than it has itself.
        self._owner.workers.progress.resize(self._facts.size_bytes)
        pieces = self._pieces()
        is_verified = all(piece.etag for piece in pieces)
        shown = self._landing.shown(self._parts)
        if is_verified and not self._owner.always and self._is_there(pieces):
            return Done(Kind.SKIPPED, str(self._place), shown, self._facts.size_bytes)
        with self._landing.part(self._parts, self._facts.etag) as part:
            self._fill(part, pieces, can_resume=is_verified)
            part.commit(self._facts.size_bytes, mtime_ns_of(self._headers))
        return Done(Kind.COPIED, str(self._place), shown, self._facts.size_bytes, is_verified=is_verified)

    def _pieces(self) -> list[Piece]:
        if self._facts.is_manifest:
            pieces = pieces_of(self._account, self._place)
            if sum(piece.size_bytes for piece in pieces) != self._facts.size_bytes:
                raise _Otherwise
            return pieces
        return [Piece(0, self._facts.size_bytes, self._facts.md5)]

    def _is_there(self, pieces: Sequence[Piece]) -> bool:
        with self._landing.existing(self._parts) as descriptor:
            if descriptor is None:
                return False
            if os.fstat(descriptor).st_size != self._facts.size_bytes:
                return False
            check = self._account.session.check
            return all(md5_of(descriptor, piece.start, piece.size_bytes, check) == piece.etag for piece in pieces)

    def _fill(self, part: Part, pieces: Sequence[Piece], *, can_resume: bool) -> None:
        """Raises Damaged when what comes is wrong, also without what an earlier copy has left."""
        has_left = part.size_bytes > 0
        if not can_resume:
            part.restart()
        try:
            self._fetch_all(part, pieces)
        except Damaged:
            # Of what an earlier copy left, nobody knows whose fault it is.
            part.restart()
            if not (has_left and can_resume):
                with suppress(OSError):
                    part.discard()
                raise
            self._fetch_all(part, pieces)

    def _fetch_all(self, part: Part, pieces: Sequence[Piece]) -> None:
        stretches = [Stretch(group) for group in grouped(pieces)]
        if not stretches:
            self._fetch_empty()
            return
        self._owner.workers.pieces(stretches, lambda stretch: self._fetch(part, stretch))

    def _fetch_empty(self) -> None:
        """An object that seems empty: a link or a large object may only look so in a listing."""
        if self._facts.is_sure:
            return
        with self._owner.workers.slots:
            facts = look(self._account, self._place)
        if facts is None or facts.size_bytes or facts.etag != self._facts.etag:
            raise _Otherwise
        self._headers = facts.headers or {}

    def _fetch(self, part: Part, stretch: Stretch) -> None:
        before = stretch.position
        stretch.take_up(part, self._account.session.check)
        self._count(stretch.position - before)
        breaks = 0
        while stretch.left_bytes:
            before = stretch.position
            problem = self._ask(part, stretch)
            self._account.session.check()
            breaks = breaks + 1 if stretch.position == before else 0
            if problem and breaks >= BREAKS_AT_MOST:
                raise ClientError(f"{self._place}: broke off again and again ({problem})")

    def _ask(self, part: Part, stretch: Stretch) -> str:
        """One request for what is left; why it broke off, '' when it did not."""
        headers = {}
        if self._facts.etag and not self._facts.is_joined:
            headers["If-Match"] = f'"{self._facts.etag}"'
        if stretch.position or stretch.end != self._facts.size_bytes:
            headers["Range"] = f"bytes={stretch.position}-{stretch.end - 1}"
        try:
            with self._account.session.reading(self._place.path, headers=headers) as answer:
                self._check_head(answer.status, answer.headers, "Range" in headers, stretch)
                for data in answer.pieces(AT_ONCE_BYTES):
                    position = stretch.position
                    stretch.feed(data)
                    part.write(data, position)
                    self._count(len(data))
        except Refused as error:
            if error.status in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
                raise _Otherwise from None
            raise
        except http.client.HTTPException as error:
            return str(error) or type(error).__name__
        except (ConnectionError, TimeoutError) as error:
            return str(error)
        return "it ended early" if stretch.left_bytes else ""

    def _check_head(self, status: int, headers: Mapping[str, str], is_range: bool, stretch: Stretch) -> None:
        """Whether this is the answer to what was asked, of the object that was meant. Raises _Otherwise."""
        said = facts_of_answer(headers)
        if (said.is_manifest, said.is_joined) != (self._facts.is_manifest, self._facts.is_joined):
            raise _Otherwise
        if said.etag != self._facts.etag or is_range != (status == HTTPStatus.PARTIAL_CONTENT):
            raise _Otherwise
        if is_range and not headers.get("content-range", "").startswith(f"bytes {stretch.position}-"):
            raise _Otherwise
        if not is_range and said.size_bytes != self._facts.size_bytes:
            raise _Otherwise
        self._headers = headers
