"""Bulk delete: the names of objects and empty containers in a body, one a line, percent-encoded; deleted a few at a
time, each by a DELETE of its own through the filters below, authorized as if the client had sent it.

    POST or DELETE /v1/account[/container]?bulk-delete

with lines /container[/object], whichever of the two URLs it is.

A line that cannot be deleted is reported and the rest goes on; a body with too many lines, or too many that fail, ends
it. Source: feature A5.6; Swift API guide, "Bulk delete".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from objstore.core.errors import BadRequest, ClientDisconnected, ClientTooSlow
from objstore.http.body import RequestBody
from objstore.http.environ import Environ, WSGIApp
from objstore.http.errors import error_response
from objstore.http.status import HTTPStatus, is_success, status_line
from objstore.http.subrequest import child_environ
from objstore.middleware.bulk_report import Report
from objstore.middleware.bulk_request import status_of
from objstore.runtime import green

SOURCE = "BD"
_LINE_BYTES = 4 << 10
"""Above the name of any object and its container, percent-encoded."""
_NAME_BYTES = 3900


@dataclass(frozen=True, slots=True)
class Limits:
    """names: in one request. failures: after which it is given up. concurrency: DELETEs at once."""

    names: int
    failures: int
    concurrency: int


class _TooMany(Exception):
    """The request asks for more than the cluster does at once; the text is for the client."""


class Deletion:
    """One bulk request: lines in, a Report out."""

    def __init__(self, app: WSGIApp, environ: Environ, base: str, limits: Limits) -> None:
        """base: /v1/account as a WSGI string."""
        self._app = app
        self._environ = environ
        self._base = base
        self._limits = limits
        self._failures = 0
        self.report = Report("delete", "Number Deleted", "Number Not Found")

    def run(self, body: RequestBody) -> Report:
        report = self.report
        try:
            # All of the list first: one that is too long or no list deletes nothing.
            self._delete_all(list(_numbered(_lines(body), self._limits.names)))
        except _TooMany as error:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if "Maximum" in str(error) else HTTPStatus.BAD_REQUEST
            report.fail(status, str(error))
        except (BadRequest, ClientDisconnected, ClientTooSlow) as error:
            response = error_response(error)
            assert response is not None
            report.fail(response.status, "The list of names ended early or could not be read.")
        else:
            self._conclude()
        return report

    def _conclude(self) -> None:
        report = self.report
        if not report.fail_of_errors() and not any(report.counts.values()):
            report.fail(HTTPStatus.BAD_REQUEST, "Invalid bulk delete.")

    def _delete_all(self, lines: Sequence[bytes]) -> None:
        """A few at once, in the order of the lines; a container waits for everything before it. Raises what ends it,
        when the DELETEs under way are done and counted."""
        under_way: deque[green.Task] = deque()
        try:
            for line in lines:
                room = self._limits.concurrency - 1 if _names_object(line) else 0
                while len(under_way) > room:
                    under_way.popleft().join()
                if self._failures >= self._limits.failures:
                    raise _TooMany("Max delete failures exceeded")
                under_way.append(green.spawn(self._one, line))
        finally:
            while under_way:
                under_way.popleft().join()

    def _one(self, line: bytes) -> None:
        shown = line.decode("latin-1")
        path = unquote_to_bytes(line).decode("latin-1")
        try:
            path.encode("latin-1").decode("utf-8")
        except UnicodeError:
            self._failed(shown, HTTPStatus.PRECONDITION_FAILED)
            return
        if not path.strip("/"):
            self._failed(shown, HTTPStatus.FORBIDDEN)  # The account itself.
            return
        status = self._delete(f"{self._base}/{path.removeprefix('/')}")
        if is_success(status):
            self.report.counts["Number Deleted"] += 1
        elif status == HTTPStatus.NOT_FOUND:
            self.report.counts["Number Not Found"] += 1
        else:
            self._failed(quote(path.encode("latin-1")), status)

    def _delete(self, path: str) -> int:
        return status_of(self._app, child_environ(self._environ, "DELETE", path, source=SOURCE))

    def _failed(self, name: str, status: int) -> None:
        self.report.errors.append((name, status_line(status)))
        self._failures += 1


def _names_object(line: bytes) -> bool:
    return b"/" in line.strip(b"/")


def _lines(body: RequestBody) -> Iterator[bytes]:
    """Lines without blanks around them, empty ones left out. Raises _TooMany for one that is longer than any name."""
    while line := body.readline(_LINE_BYTES):
        name = line.strip()
        if len(line) >= _LINE_BYTES or len(name) > _NAME_BYTES:
            raise _TooMany("Invalid File Name")
        if name:
            yield name


def _numbered(lines: Iterator[bytes], most: int) -> Iterator[bytes]:
    """Raises _TooMany past `most` lines."""
    for number, line in enumerate(lines, 1):
        if number > most:
            raise _TooMany(f"Maximum Bulk Deletes: {most} per request")
        yield line
