"""Archive upload: every regular file of a tar archive becomes an object, while the archive arrives.

    PUT /v1/account[/container[/prefix]]?extract-archive=tar | tar.gz | tar.bz2

Without a container the first part of a name is one, and is made when it is missing. Each object is a PUT of its own
through the filters below, authorized as if the client had sent it, with the metadata and the life that the request's
own headers say; one that fails is reported and the rest goes on. Small files are stored a few at a time, because each
waits for disks; of two with one name the later wins, as it does for tar.
Source: feature A5.5; Swift API guide, "Extract archive".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from objstore.core.errors import BadRequest, ClientDisconnected, ClientTooSlow
from objstore.core.names import ClientPath, wsgi_of
from objstore.http.environ import Environ, WSGIApp
from objstore.http.errors import error_response
from objstore.http.status import HTTPStatus, is_success, status_line
from objstore.http.subrequest import IteratorInput, child_environ
from objstore.middleware.archive import ArchiveError, Member, Readable, members
from objstore.middleware.bulk_report import Report
from objstore.middleware.bulk_request import status_of
from objstore.runtime import green

SOURCE = "EA"
_PIECE_BYTES = 64 << 10
_SMALL_BYTES = 64 << 10
"""A file up to this size is held in memory while the archive is read on."""
_AT_ONCE = 32
"""PUTs under way. The container rows of those that end together travel together, which spares the container servers."""
_FOR_EVERY_FILE = ("HTTP_X_OBJECT_META_", "HTTP_X_DELETE_A", "HTTP_X_DETECT_CONTENT_TYPE")


@dataclass(frozen=True, slots=True)
class Limits:
    """containers: made by one request. failures: after which it is given up. file_bytes: of one object."""

    containers: int
    failures: int
    file_bytes: int


class _GivenUp(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Extraction:
    """One archive: bytes in, a Report out."""

    def __init__(self, app: WSGIApp, environ: Environ, path: ClientPath, limits: Limits) -> None:
        self._app = app
        self._environ = environ
        self._base = f"/{path.version}/{path.account}"
        self._under = "".join(f"{part}/" for part in (path.container, (path.obj or "").rstrip("/")) if part)
        self._limits = limits
        self._seen: set[str] = set()
        self._under_way: deque[_Put] = deque()
        self._made = 0
        self.report = Report("extract", "Number Files Created")

    def run(self, body: Readable, format_: str) -> Report:
        report = self.report
        try:
            try:
                for member in members(body, format_):
                    self._store(member)
                self._settle()
            finally:
                self._count_the_rest()
        except _GivenUp as error:
            report.fail(error.status, str(error))
        except ArchiveError as error:
            report.fail(HTTPStatus.BAD_REQUEST, f"Invalid Tar File: {error}")
        except (BadRequest, ClientDisconnected, ClientTooSlow) as error:
            response = error_response(error)
            assert response is not None
            report.fail(response.status, "The archive ended early or could not be read.")
        else:
            self._conclude()
        return report

    def _conclude(self) -> None:
        report = self.report
        if report.fail_of_errors():
            return
        if report.counts["Number Files Created"]:
            report.status = status_line(HTTPStatus.CREATED)
        else:
            report.fail(HTTPStatus.BAD_REQUEST, "Invalid Tar File: No Valid Files")

    def _store(self, member: Member) -> None:
        name = self._under + member.name
        container, _, obj = name.partition("/")
        if not container or not obj:
            return  # A file outside of every container is none of ours (http vectors bulk-up-bad-names).
        refusal = _refusal(name, member, self._limits)
        if refusal is not None:
            self._settle()
            return self._failed(name, refusal)
        if container not in self._seen:
            self._settle()
            self._seen.add(container)
            self._make_container(container)
        return self._put(name, member)

    def _make_container(self, container: str) -> None:
        """When it is missing. What goes wrong is reported once; its files are tried all the same."""
        status = self._ask("HEAD", container)
        if status == HTTPStatus.NOT_FOUND:
            if self._made >= self._limits.containers:
                why = f"More than {self._limits.containers} containers to create from tar."
                raise _GivenUp(HTTPStatus.BAD_REQUEST, why)
            self._made += 1
            status = self._ask("PUT", container)
        if not is_success(status):
            self._failed(f"{self._base}/{container}", status)

    def _ask(self, method: str, container: str) -> int:
        path = wsgi_of(f"{self._base}/{container}")
        return status_of(self._app, child_environ(self._environ, method, path, source=SOURCE))

    def _put(self, name: str, member: Member) -> None:
        if member.size > _SMALL_BYTES:
            self._settle()
            content = _Content(member)
            status = self._stored(name, member, content)
            if content.failure is not None:
                raise content.failure
            self._count(name, status)
            return
        content_in_memory = list(member.pieces(_PIECE_BYTES))
        if any(put.name == name for put in self._under_way):
            self._settle()
        self._settle(_AT_ONCE - 1)
        self._under_way.append(_Put(name, green.spawn(self._stored, name, member, content_in_memory)))

    def _settle(self, most: int = 0) -> None:
        """Until at most so many PUTs are under way; what became of them is counted in the order of the archive."""
        while len(self._under_way) > most:
            put = self._under_way.popleft()
            self._count(put.name, put.task.join())

    def _count_the_rest(self) -> None:
        """Of an archive that ended early: what was under way was stored, or not, all the same."""
        while self._under_way:
            put = self._under_way.popleft()
            with suppress(_GivenUp):
                self._count(put.name, put.task.join())

    def _stored(self, name: str, member: Member, content: Iterable[bytes]) -> int:
        """The status of one PUT."""
        try:
            headers = {key: wsgi_of(value) for key, value in member.headers.items()}
            child = child_environ(self._environ, "PUT", wsgi_of(f"{self._base}/{name}"), source=SOURCE, headers=headers)
        except UnicodeError:
            return HTTPStatus.PRECONDITION_FAILED
        for key, value in self._environ.items():
            if key.startswith(_FOR_EVERY_FILE):
                child.setdefault(key, value)
        child["wsgi.input"] = IteratorInput(content, member.size)
        child["CONTENT_LENGTH"] = str(member.size)
        return status_of(self._app, child)

    def _count(self, name: str, status: int) -> None:
        if is_success(status):
            self.report.counts["Number Files Created"] += 1
        else:
            self._failed(name, status)

    def _failed(self, name: str, status: int) -> None:
        if status == HTTPStatus.UNAUTHORIZED:
            raise _GivenUp(status, "")
        self.report.errors.append((quote(name.encode("utf-8", "surrogateescape")), status_line(status)))
        if len(self.report.errors) >= self._limits.failures:
            raise _GivenUp(HTTPStatus.BAD_REQUEST, "Max failures exceeded.")


def _refusal(name: str, member: Member, limits: Limits) -> int | None:
    if ".." in name.split("/"):
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if member.size > limits.file_bytes else None


@dataclass(frozen=True, slots=True)
class _Put:
    """Of a small file, under way; joined: its status."""

    name: str
    task: green.Task


class _Content:
    """The pieces of a file. An archive that ends in one looks to the filters below like a client that left: what it
    really was is kept in failure."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._member.pieces(_PIECE_BYTES)
        except (ArchiveError, BadRequest, ClientDisconnected, ClientTooSlow) as error:
            self.failure = error
            raise ClientDisconnected("the archive broke off") from error
