"""Objects that are deleted: many in one request where the cluster takes that, large ones with their segments.

Segments stay where they may still be read: in a container that keeps versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from objstore.client.account import Account, BulkResult, Row
from objstore.client.errors import ClientError, Refused
from objstore.client.facts import facts_of_answer, keeps_versions
from objstore.client.place import Place
from objstore.client.work import Done, Job, Kind
from objstore.http.status import HTTPStatus


@dataclass(frozen=True, slots=True)
class Removed:
    """count: objects (and segments) that are gone. errors: (name, why)."""

    count: int
    errors: tuple[tuple[str, str], ...] = ()


class Remover:
    """container: the headers of the container that things are in."""

    def __init__(self, account: Account, container: Mapping[str, str], *, keeps_segments: bool = False) -> None:
        self._account = account
        self._with_segments = not keeps_segments and not keeps_versions(container)

    def one(self, place: Place) -> Removed | None:
        """Delete one object; None when it does not exist. Raises ClientError."""
        headers = self._account.head(place.path)
        if headers is None:
            return None
        if self._with_segments and facts_of_answer(headers).is_manifest:
            return _of(self._account.delete_large(place.path))
        self._account.delete(place.path)
        return Removed(1)

    def jobs(self, container: str, rows: Iterable[Row]) -> Iterator[Job]:
        """One for each request, in the order of the rows; do() gives a Done whose size is the number that are gone."""
        waiting: list[str] = []
        most = max(1, self._account.bulk_lines)
        for row in rows:
            place = Place(container, row.name)
            if row.is_manifest and self._with_segments:
                yield _job(str(place), partial(self._account.delete_large, place.path))
                continue
            waiting.append(place.path)
            if len(waiting) >= most:
                yield self._many(waiting)
                waiting = []
        if waiting:
            yield self._many(waiting)

    def _many(self, paths: list[str]) -> Job:
        if self._account.bulk_lines:
            return _job(f"{len(paths)} objects", partial(self._account.delete_many, paths))
        return _job(paths[0], partial(self._single, paths[0]))

    def _single(self, path: str) -> BulkResult:
        was_there = self._account.delete(path)
        return BulkResult(int(was_there), int(not was_there), ())


def remove_container(account: Account, container: str, tries: int = 5) -> bool:
    """Delete an empty container; what was deleted in it may still be listed for a moment. Whether it was there.

    Raises ClientError."""
    pause = account.session.pause
    for attempt in range(tries):
        try:
            return account.delete(f"/{container}")
        except Refused as error:
            if error.status != HTTPStatus.CONFLICT or attempt == tries - 1:
                raise
        pause(1.0)
    raise ClientError(f"/{container}: it is not empty")


def _job(source: str, do: partial[BulkResult]) -> Job:
    def run() -> Done:
        result = do()
        why = "; ".join(f"{path}: {status}" for path, status in result.errors)
        kind = Kind.FAILED if result.errors else Kind.COPIED
        return Done(kind, source, "", result.deleted, why)

    return Job(source, "", 1, run)


def _of(result: BulkResult) -> Removed:
    return Removed(result.deleted, result.errors)
