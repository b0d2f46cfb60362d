"""What can be asked of an account: its containers and objects, as values. Over client/session.py.

Paths are text, unquoted: /container[/object]; '' is the account. Source: Swift API reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from objstore.client.errors import ClientError, Refused
from objstore.client.exchange import Body, Bytes
from objstore.client.login import Answer
from objstore.client.session import Headers, Session
from objstore.core.names import quoted
from objstore.http.status import HTTPStatus, is_success

_PAGE_ROWS = 10_000
_REPORT = {"Accept": "application/json"}
_BULK_LINES = 1000
"""Of one bulk delete, where the cluster does not say fewer."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a listing. size_bytes: of a container, all in it. count: objects of a container.

    is_directory: names with this beginning were rolled up (delimiter). is_manifest: a static large object, where the
    cluster's listings say so."""

    name: str
    size_bytes: int = 0
    etag: str = ""
    content_type: str = ""
    last_modified: str = ""
    count: int = 0
    is_directory: bool = False
    is_manifest: bool = False


@dataclass(frozen=True, slots=True)
class BulkResult:
    """errors: (path, status line)."""

    deleted: int
    missing: int
    errors: tuple[tuple[str, str], ...]


class Account:
    """Raises ClientError, of which Refused has the status, from every method."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._info: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        return unquote(urlsplit(self.session.storage_url).path.rstrip("/").rpartition("/")[2])

    def head(self, path: str = "", query: Mapping[str, str] | None = None) -> Headers | None:
        """The headers of what is at a path; None when there is nothing."""
        answer = self.session.request("HEAD", path, query=query, also=(HTTPStatus.NOT_FOUND,))
        return answer.headers if answer.status != HTTPStatus.NOT_FOUND else None

    def get(self, path: str, query: Mapping[str, str] | None = None, headers: Headers | None = None) -> Answer:
        """GET a short body: it is held in memory as a whole."""
        return self.session.request("GET", path, query=query, headers=headers)

    def put(
        self,
        path: str,
        body: Body | bytes = b"",
        headers: Headers | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = Bytes(body) if isinstance(body, bytes) else body
        return self.session.request("PUT", path, headers=headers, body=sent, query=query)

    def post(self, path: str, headers: Headers) -> Answer:
        """Set metadata."""
        return self.session.request("POST", path, headers=headers)

    def copy(self, source: str, to: str) -> str:
        """Within the cluster; the ETag of the copy, '' where that is not told. Blanks of the answer keep a connection
        that has to wait for a large one (feature A3.8)."""
        headers = {"X-Copy-From": quoted(source), **_REPORT}
        answer = self.session.request("PUT", to, query={"heartbeat": "on"}, headers=headers)
        found = answer.headers if answer.status != HTTPStatus.ACCEPTED else _copy_report(f"PUT {to}", answer.body)
        return found.get("etag", "").strip('"')

    def delete(self, path: str, query: Mapping[str, str] | None = None) -> bool:
        """Whether it was there; True when that cannot be told, because the first answer got lost."""
        answer = self.session.request("DELETE", path, query=query, also=(HTTPStatus.NOT_FOUND,))
        return answer.status != HTTPStatus.NOT_FOUND or answer.attempts > 1

    def delete_many(self, paths: Iterable[str]) -> BulkResult:
        """Delete these objects by one request; at most bulk_lines of them."""
        lines = "".join(f"{quote(path.encode('utf-8', 'surrogateescape'))}\n" for path in paths)
        headers = {"Content-Type": "text/plain", **_REPORT}
        answer = self.session.request(
            "POST", query={"bulk-delete": ""}, headers=headers, body=Bytes(lines.encode("ascii"))
        )
        return _bulk_result("bulk delete", answer)

    def delete_large(self, path: str) -> BulkResult:
        """A static large object with its segments."""
        query = {"multipart-manifest": "delete"}
        answer = self.session.request("DELETE", path, query=query, headers=_REPORT, also=(HTTPStatus.NOT_FOUND,))
        if answer.status == HTTPStatus.NOT_FOUND:
            return BulkResult(0, 1, ())
        return _bulk_result(f"DELETE {path}", answer)

    def objects(
        self, container: str, prefix: str = "", delimiter: str = "", *, limit: int = 0, is_unseen_empty: bool = False
    ) -> Iterator[Row]:
        """Page by page, as they are asked for. limit: of one page, and then no more. is_unseen_empty: a
        container that is not there, or that only may be written to, counts as an empty one."""
        yield from self._listing(f"/{container}", prefix, delimiter, limit, is_unseen_empty)

    def containers(self, prefix: str = "", delimiter: str = "") -> Iterator[Row]:
        yield from self._listing("", prefix, delimiter, 0, False)

    def _listing(self, path: str, prefix: str, delimiter: str, limit: int, is_unseen_empty: bool) -> Iterator[Row]:
        marker = ""
        while True:
            query = {"format": "json", "limit": str(limit or _PAGE_ROWS), "prefix": prefix, "marker": marker}
            if delimiter:
                query["delimiter"] = delimiter
            also = (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN) if is_unseen_empty else ()
            answer = self.session.request("GET", path, query=query, also=also)
            rows = _rows(answer.body) if is_success(answer.status) else []
            # Whoever pages in circles is not a listing.
            if not rows or rows[-1].name <= marker:
                return
            yield from rows
            if limit:
                return
            marker = rows[-1].name

    # What the cluster can do

    @property
    def info(self) -> Mapping[str, Any]:
        """/info; empty when the cluster does not tell."""
        if self._info is None:
            answer = self.session.get_beside("/info")
            try:
                found = json.loads(answer.body) if is_success(answer.status) else {}
            except (ValueError, RecursionError):
                found = {}
            self._info = found if isinstance(found, dict) else {}
        return self._info

    def limit(self, section: str, key: str, default: int) -> int:
        """A number that /info says."""
        entry = self.info.get(section)
        value = entry.get(key) if isinstance(entry, Mapping) else None
        return value if isinstance(value, int) and value > 0 else default

    @property
    def bulk_lines(self) -> int:
        """How many names one bulk delete may have; 0: the cluster has no bulk delete."""
        if "bulk_delete" not in self.info:
            return 0
        return min(_BULK_LINES, self.limit("bulk_delete", "max_deletes_per_request", _BULK_LINES))


def _bulk_result(what: str, answer: Answer) -> BulkResult:
    """The report of a request of many. Raises ClientError."""
    try:
        report = json.loads(answer.body)
        errors = tuple((str(path), str(status)) for path, status in report["Errors"])
        result = BulkResult(int(report["Number Deleted"]), int(report["Number Not Found"]), errors)
        status = str(report["Response Status"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ClientError(f"{what}: an answer that cannot be read") from None
    if not errors and not status.startswith("2") and not (result.deleted or result.missing):
        raise ClientError(f"{what}: answered {status}")
    return result


def _copy_report(what: str, body: bytes) -> Mapping[str, str]:
    """Headers of the answer that a report stands for, names lower case. Raises ClientError."""
    try:
        report = {str(name).lower(): str(value) for name, value in json.loads(body).items()}
        status = int(report["response status"].split()[0])
    except (ValueError, KeyError, AttributeError, IndexError, RecursionError):
        raise ClientError(f"{what}: a report of the copy that cannot be read") from None
    if not is_success(status):
        raise Refused(f"{what}: answered {report['response status']}", status)
    return report


def _rows(body: bytes) -> list[Row]:
    try:
        return [_row(item) for item in json.loads(body)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ClientError("a listing that cannot be read") from None


def _row(item: Any) -> Row:
    if "subdir" in item:
        return Row(str(item["subdir"]), is_directory=True)
    return Row(
        str(item["name"]),
        int(item.get("bytes", 0)),
        str(item.get("hash", "")),
        str(item.get("content_type", "")),
        str(item.get("last_modified", "")),
        int(item.get("count", 0)),
        is_manifest="slo_etag" in item,
    )
