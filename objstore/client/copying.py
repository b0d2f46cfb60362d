"""What a copy is made of: sources and a destination become jobs, one for each file or object.

A file or object goes to the destination, or below it when that is a directory (a container, a name with a slash at its
end, a directory on disk). Of one directory the contents go below the destination, whether that is there or not, so that
the same command again goes on where the last one ended; of several sources each keeps its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from objstore.client.account import Account, Row
from objstore.client.download import Downloader
from objstore.client.errors import ClientError, Refused
from objstore.client.facts import Facts, facts_of_row, look
from objstore.client.file_names import NoFileName, parts_of
from objstore.client.joined import joined
from objstore.client.landing import Landing
from objstore.client.place import SCHEME, Place, is_remote, parse
from objstore.client.server_copy import ServerCopier
from objstore.client.tree import LeftOut, LocalFile, file_at, walk
from objstore.client.upload import Uploader, UploadOptions
from objstore.client.work import Done, Job, Kind, Workers
from objstore.http.status import HTTPStatus

Jobs = Iterator[Job | Done]
_DIRECTORY_TYPES = ("application/directory", "application/x-directory")


@dataclass(frozen=True, slots=True)
class CopyOptions:
    is_recursive: bool = False
    follows_links: bool = False
    always: bool = False
    upload: UploadOptions = field(default_factory=UploadOptions)


class Copying:
    def __init__(self, account: Account, workers: Workers, options: CopyOptions) -> None:
        self._account = account
        self._options = options
        self._uploader = Uploader(account, workers, options.upload)
        self._downloader = Downloader(account, workers, always=options.always)
        self._server = ServerCopier(account, workers, always=options.always)

    def jobs(self, sources: Sequence[str], destination: str) -> Jobs:
        """Raises ClientError, at once, for what can never be; what cannot be copied otherwise is a Done."""
        try:
            to = parse(destination) if is_remote(destination) else None
            places = [parse(source) if is_remote(source) else None for source in sources]
        except ValueError as error:
            raise ClientError(str(error)) from None
        if to is not None and not to.container:
            raise ClientError(f"{destination}: name a container to copy to")
        if to is None and not all(places):
            raise ClientError(f"neither side is in the cluster; write {SCHEME}container/object for what is there")
        for source, place in zip(sources, places, strict=True):
            self._check(source, place, to)
        is_one = len(sources) == 1
        streams = [
            self._of(source, place, to, destination, is_one) for source, place in zip(sources, places, strict=True)
        ]
        return (job for stream in streams for job in stream)

    def _check(self, source: str, place: Place | None, to: Place | None) -> None:
        is_tree = os.path.isdir(source) if place is None else place.is_directory
        if is_tree and not self._options.is_recursive:
            raise ClientError(f"{source}: a directory; copy all of it with -r")
        if place is None and not os.path.exists(source):
            raise ClientError(f"{source}: no such file or directory")
        if place is not None and to is not None and self._options.is_recursive:
            if not place.container:
                raise ClientError("an account is copied to a directory, or container by container")
            if place.container == to.container and to.below.startswith(place.below):
                raise ClientError(f"{to} lies in {place}: the copy would copy itself")

    def _of(self, source: str, place: Place | None, to: Place | None, destination: str, is_one: bool) -> Jobs:
        if place is None:
            assert to is not None
            return self._up(source, to, is_one)
        if to is not None:
            return self._across(place, to, is_one)
        return self._down(place, destination, is_one)

    # From this machine

    def _up(self, source: str, to: Place, is_one: bool) -> Jobs:
        name = os.path.basename(os.path.abspath(source))
        if not os.path.isdir(source):
            found = file_at(source, name)
            if isinstance(found, LeftOut):
                yield _left_out(found)
            else:
                place = to.child(name) if to.is_directory or not is_one else to
                yield Job(source, str(place), found.size_bytes, partial(self._put_alone, found, place))
            return
        base = to if is_one else to.child(name)
        rows = self._account.objects(base.container, base.below, is_unseen_empty=True)
        files = walk(source, follows_links=self._options.follows_links)
        offset = len(base.below)
        for item, row in joined(files, rows, _relative, lambda row: row.name[offset:]):
            if isinstance(item, LeftOut):
                yield _left_out(item)
                continue
            place = base.child(item.relative)
            there = facts_of_row(row) if row is not None else None
            yield Job(item.path, str(place), item.size_bytes, partial(self._uploader.upload, item, place, there))

    def _put_alone(self, file: LocalFile, place: Place) -> Done:
        try:
            there = look(self._account, place)
        except Refused as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            there = None  # What may only be written to is not compared.
        return self._uploader.upload(file, place, there)

    # To this machine

    def _down(self, place: Place, destination: str, is_one: bool) -> Jobs:
        if not place.container:
            for row in self._account.containers():
                yield from self._tree_down(Place(row.name), Landing(destination), f"{row.name}/")
            return
        is_inside = not is_one or destination.endswith("/") or os.path.isdir(destination)
        if self._options.is_recursive:
            above = "" if is_one else f"{_last_part(place)}/"
            is_any = False
            for job in self._tree_down(place, Landing(destination), above):
                is_any = True
                yield job
            if is_any or place.is_directory:
                return
        name = _last_part(place)
        try:
            if is_inside:
                landing, parts = Landing(destination), parts_of(name)
            else:
                landing, parts = Landing(os.path.dirname(destination) or "."), (os.path.basename(destination),)
        except NoFileName as error:
            yield Done(Kind.FAILED, str(place), destination, 0, str(error))
            return
        yield Job(str(place), landing.shown(parts), 0, partial(self._get_alone, place, landing, parts))

    def _get_alone(self, place: Place, landing: Landing, parts: Sequence[str]) -> Done:
        return self._downloader.download(place, None, landing, parts)

    def _tree_down(self, base: Place, landing: Landing, above: str) -> Jobs:
        """above: what stands in front of the path of each file below the landing."""
        for row in self._account.objects(base.container, base.below):
            place = Place(base.container, row.name)
            try:
                is_directory = row.name.endswith("/") or row.content_type in _DIRECTORY_TYPES
                parts = parts_of((above + row.name[len(base.below) :]).removesuffix("/" if is_directory else ""))
            except NoFileName as error:
                if above + row.name[len(base.below) :]:
                    yield Done(Kind.FAILED, str(place), "", row.size_bytes, str(error))
                continue
            if is_directory and not row.size_bytes:
                yield Job(str(place), landing.shown(parts), 0, partial(_make_directory, place, landing, parts))
                continue
            if is_directory:
                yield Done(Kind.FAILED, str(place), "", row.size_bytes, "a directory by its name, with content")
                continue
            do = partial(self._downloader.download, place, facts_of_row(row), landing, parts)
            yield Job(str(place), landing.shown(parts), row.size_bytes, do)

    # Within the cluster

    def _across(self, source: Place, to: Place, is_one: bool) -> Jobs:
        name = _last_part(source)
        if self._options.is_recursive:
            base = to if is_one else to.child(name)
            rows = self._account.objects(source.container, source.below)
            others = self._account.objects(base.container, base.below, is_unseen_empty=True)
            cut, other_cut = len(source.below), len(base.below)
            is_any = False
            pairs = joined(rows, others, lambda row: row.name[cut:], lambda row: row.name[other_cut:])
            for row, other in pairs:
                is_any = True
                yield self._across_row(Place(source.container, row.name), base.child(row.name[cut:]), row, other)
            if is_any or source.is_directory:
                return
        place = to.child(name) if to.is_directory or not is_one else to
        yield Job(str(source), str(place), 0, partial(self._copy_alone, source, place))

    def _across_row(self, source: Place, to: Place, row: Row, other: Row | None) -> Job:
        there: Facts | None = facts_of_row(other) if other is not None else None
        return Job(str(source), str(to), row.size_bytes, partial(self._server.copy, source, to, there))

    def _copy_alone(self, source: Place, to: Place) -> Done:
        return self._server.copy(source, to, look(self._account, to))


def _last_part(place: Place) -> str:
    return place.name.rstrip("/").rpartition("/")[2] or place.container


def _relative(item: LocalFile | LeftOut) -> str:
    return item.relative if isinstance(item, LocalFile) else ""


def _left_out(item: LeftOut) -> Done:
    return Done(Kind.FAILED if item.is_error else Kind.LEFT_OUT, item.path, "", 0, item.why)


def _make_directory(place: Place, landing: Landing, parts: Sequence[str]) -> Done:
    landing.make_directory(parts)
    return Done(Kind.SKIPPED, str(place), landing.shown(parts))
