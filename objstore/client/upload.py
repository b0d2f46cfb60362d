"""One file on its way to the cluster.

1. What is there already, the same by size and checksum, is left as it is.
2. A file up to a segment's size: its MD5 goes before it as ETag, so that what arrives otherwise never gets the name.
3. A larger one: its segments, several at once; those that are there with the same MD5 (an upload that was cut off) are
   not sent again. Then the manifest, which names them with their MD5s, and only when the file is still the same.
4. Segments of the object it has replaced go, when they were of this client's making and nothing else may read them:
   not in a container that keeps versions, and not when another has written the object meanwhile.
"""

from __future__ import annotations

import mimetypes
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from objstore.client import facts
from objstore.client.account import Account
from objstore.client.content import FileChanged, FileRegion, md5_of
from objstore.client.errors import ClientError, Refused
from objstore.client.facts import Facts, facts_of_answer, keeps_versions, pieces_of
from objstore.client.large import (
    SEGMENT_BYTES,
    SEGMENTS_MAX,
    Cut,
    Piece,
    cut,
    manifest_body,
    manifest_etag,
    segments_prefix,
)
from objstore.client.place import Place
from objstore.client.tree import LocalFile
from objstore.client.work import Done, Kind, Workers
from objstore.http.status import HTTPStatus

OBJECT_BYTES_MAX = (5 << 30) + 2
_ANY_TYPE = "application/octet-stream"
_MANIFEST_PUT = {"multipart-manifest": "put"}


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """segment_bytes: above it a file is cut. always: send also what seems to be there. keeps_segments: of what is
    replaced."""

    segment_bytes: int = SEGMENT_BYTES
    always: bool = False
    keeps_segments: bool = False


class Containers:
    """Those that are written to: made when they are missing, asked about once."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._known: dict[str, Mapping[str, str]] = {}
        self.made: list[str] = []

    def ensure(self, name: str, like: str = "") -> Mapping[str, str]:
        """Its headers. like: a container that a new one is to be like: storage policy, and who may read."""
        with self._lock:
            if name not in self._known:
                self._known[name] = self._found(name, self._known.get(like, {}))
            return self._known[name]

    def _found(self, name: str, like: Mapping[str, str]) -> Mapping[str, str]:
        try:
            headers = self._account.head(f"/{name}")
        except Refused as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            headers = {}  # Perhaps it may be written to: the PUT of the object tells.
        if headers is not None:
            return headers
        wanted = {key: like[key] for key in ("x-storage-policy", "x-container-read") if like.get(key)}
        self._account.put(f"/{name}", headers=wanted)
        self.made.append(name)
        return self._account.head(f"/{name}") or {}


class Uploader:
    def __init__(self, account: Account, workers: Workers, options: UploadOptions) -> None:
        self.account = account
        self.workers = workers
        self.options = options
        self.containers = Containers(account)

    def upload(self, file: LocalFile, to: Place, there: Facts | None) -> Done:
        """there: what the destination is, as far as that is known. Raises ClientError, OSError."""
        descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _Upload(self, file, to, there, descriptor).run()
        finally:
            os.close(descriptor)


class _Upload:
    def __init__(self, owner: Uploader, file: LocalFile, to: Place, there: Facts | None, descriptor: int) -> None:
        self._owner = owner
        self._account = owner.account
        self._file = file
        self._to = to
        self._there = there
        self._descriptor = descriptor
        self._begin = os.fstat(descriptor)
        self._size = self._begin.st_size
        self._md5 = ""

    def run(self) -> Done:
        if self._there is not None and not self._owner.options.always and self._is_there(self._there):
            return Done(Kind.SKIPPED, self._file.path, str(self._to), self._size)
        container = self._owner.containers.ensure(self._to.container)
        old = self._old_segments(container)
        if self._size <= min(self._owner.options.segment_bytes, self._object_bytes_max):
            etag = self._put_whole()
        else:
            etag = self._put_segments()
        if old:
            self._remove(old, etag)
        return Done(Kind.COPIED, self._file.path, str(self._to), self._size)

    @property
    def _object_bytes_max(self) -> int:
        return self._account.limit("swift", "max_file_size", OBJECT_BYTES_MAX)

    def _hash(self, start: int, size_bytes: int) -> str:
        return md5_of(self._descriptor, start, size_bytes, self._account.session.check)

    def _is_there(self, there: Facts) -> bool:
        """Whether the cluster has this very content."""
        if there.size_bytes != self._size:
            return False
        if there.md5:
            self._md5 = self._hash(0, self._size)
            return self._md5 == there.md5
        if not there.is_manifest:
            return False
        parts = pieces_of(self._account, self._to)
        if sum(part.size_bytes for part in parts) != self._size or not all(part.etag for part in parts):
            return False
        return all(self._hash(part.start, part.size_bytes) == part.etag for part in parts)

    # Whole

    def _put_whole(self) -> str:
        """The ETag."""
        etag = self._md5 or self._hash(0, self._size)
        body = FileRegion(self._descriptor, 0, self._size, self._owner.workers.progress.counter())
        with self._owner.workers.slots:
            try:
                answer = self._account.put(self._to.path, body, {**self._headers(), "ETag": etag})
            except Refused as error:
                raise self._changed(error) from None
        self._compare(answer.headers, etag)
        return etag

    # In segments

    def _put_segments(self) -> str:
        """The ETag."""
        if "slo" not in self._account.info:
            raise ClientError(f"{self._size} bytes are too large for one object, and the cluster has no large objects")
        segments = self._to.segments_container
        self._owner.containers.ensure(segments, like=self._to.container)
        plan = self._plan()
        there = {row.name: row for row in self._account.objects(segments, plan.prefix, is_unseen_empty=True)}
        count = self._owner.workers.progress.counter()

        def one(start: int) -> Piece:
            name, size = plan.name_at(start), plan.size_at(start)
            etag = self._hash(start, size)
            row = there.get(name)
            path = Place(segments, name).path
            if row is not None and (row.size_bytes, row.etag) == (size, etag):
                count(size)
            else:
                self._account.put(path, FileRegion(self._descriptor, start, size, count), {"ETag": etag})
            return Piece(start, size, etag, path)

        try:
            parts = self._owner.workers.pieces(list(plan.starts), one)
        except Refused as error:
            raise self._changed(error) from None
        self._check_unchanged()
        etag = manifest_etag(parts)
        headers = {**self._headers(), "ETag": etag}
        answer = self._account.put(self._to.path, manifest_body(parts), headers, _MANIFEST_PUT)
        self._compare(answer.headers, etag)
        return etag

    def _plan(self) -> Cut:
        return cut(
            self._to,
            self._size,
            str(self._begin.st_mtime_ns),
            self._owner.options.segment_bytes,
            self._account.limit("slo", "max_manifest_segments", SEGMENTS_MAX),
            self._object_bytes_max,
        )

    # Both

    def _headers(self) -> dict[str, str]:
        kind = mimetypes.guess_type(self._to.name)[0] or _ANY_TYPE
        return {"Content-Type": kind, facts.MTIME: facts.mtime_text(self._begin.st_mtime_ns)}

    def _check_unchanged(self) -> None:
        now = os.fstat(self._descriptor)
        if (now.st_size, now.st_mtime_ns) != (self._begin.st_size, self._begin.st_mtime_ns):
            raise FileChanged("the file was changed while it was copied; copy it again")

    def _changed(self, error: Refused) -> ClientError:
        """A refusal because of the checksum means that the file was not what it had been when it was hashed."""
        if error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            self._check_unchanged()
        return error

    def _compare(self, headers: Mapping[str, str], etag: str) -> None:
        stored = headers.get("etag", "").strip('"')
        if stored and stored != etag:
            raise ClientError(f"{self._to}: stored with ETag {stored}, expected {etag}; copy it again")

    # What was replaced

    def _old_segments(self, container: Mapping[str, str]) -> list[str]:
        """Paths of the segments that the object has now, if they may go with it."""
        if self._owner.options.keeps_segments or keeps_versions(container):
            return []
        if self._there is None or not self._there.is_manifest:
            return []
        ours = Place(self._to.segments_container, segments_prefix(self._to.name)).path
        return [part.path for part in pieces_of(self._account, self._to) if part.path.startswith(ours)]

    def _remove(self, old: list[str], etag: str) -> None:
        """Best effort: what stays is only room. Not when somebody else has written since, perhaps of these."""
        try:
            headers = self._account.head(self._to.path)
            if headers is None or facts_of_answer(headers).etag != etag:
                return
            now = set()
            if facts_of_answer(headers).is_manifest:
                now = {part.path for part in pieces_of(self._account, self._to)}
            for path in old:
                if path not in now:
                    self._account.delete(path)
        except ClientError:
            return
