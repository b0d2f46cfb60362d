"""X-Versions-Location and X-History-Location: what a PUT replaces is first copied to another container.

stack    DELETE brings the last version back
history  DELETE copies too, and leaves a delete marker; nothing is ever taken out of the other container

A copy is confirmed before the original is replaced or removed; what cannot be copied is not replaced (412 when the
container for versions is missing, else 503). A manifest is copied as the manifest it is, so that overwriting a dynamic
large object loses nothing. Source: feature A4.7, formats 8.5.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

from objstore.core.errors import BadRequest
from objstore.core.info import ContainerInfo
from objstore.core.names import RESERVED, ClientPath, text_of, wsgi_of
from objstore.core.timestamp import InvalidTimestamp, Timestamp
from objstore.http import environ as keys
from objstore.http.access import denial
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.request import Request
from objstore.http.response import Response, page, plain
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import SubResponse, call
from objstore.middleware.listing_rows import LISTING_BYTES_MAX, Row, is_json_listing
from objstore.middleware.versioning.archive import internal, read_current, store
from objstore.middleware.versioning.names import DELETED_PARAMETER, DELETED_TYPE, is_deleted, legacy_prefix
from objstore.runtime.clock import Clock

STACK, HISTORY = "stack", "history"
_PAGES_AT_MOST = 1000


class _Refused(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def location_of(info: ContainerInfo) -> tuple[str, str] | None:
    """(container for versions as it was given, mode) of a container."""
    location = info.sysmeta.get("versions-location") or info.versions
    return (location, info.sysmeta.get("versions-mode") or STACK) if location else None


def container_named(location: str) -> str | None:
    """The container that a header's value names, as text; None when it names none."""
    try:
        name = text_of(unquote(location, encoding="latin-1"))
    except BadRequest:
        return None
    return name if name and RESERVED not in name else None


class LegacyVersions:
    """location, mode: of the container that the request is about."""

    def __init__(self, app: WSGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    def put(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo, location: str
    ) -> Iterable[bytes]:
        try:
            self._admit(environ, info)
            self._keep(environ, path, location)
        except _Refused as refused:
            return refused.response(environ, start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def delete(
        self,
        environ: Environ,
        start_response: StartResponse,
        path: ClientPath,
        info: ContainerInfo,
        location: str,
        mode: str,
    ) -> Iterable[bytes]:
        try:
            self._admit(environ, info)
            if mode == HISTORY:
                self._keep(environ, path, location)
                self._mark_deleted(environ, path, location)
            else:
                answer = self._restore_last(environ, path, location)
                if answer is not None:
                    return answer(environ, start_response)
        except _Refused as refused:
            return refused.response(environ, start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _admit(self, environ: Environ, info: ContainerInfo) -> None:
        """The copies are made with the system's rights: the client's are asked here (CVE-2015-1856). Raises
        _Refused."""
        denied = denial(Request(environ), info.write_acl)
        if denied is not None:
            raise _Refused(denied)

    def _keep(self, environ: Environ, path: ClientPath, location: str) -> None:
        """Copy what is there, if anything is. Raises _Refused."""
        found = read_current(self._app, environ, environ["PATH_INFO"])
        if found.status == HTTPStatus.NOT_FOUND:
            found.discard()
            return
        if found.status != HTTPStatus.OK:
            found.close()
            raise _Refused(_unavailable("The current object could not be read."))
        try:
            at = Timestamp.parse(found.headers.get("x-timestamp", ""))
        except InvalidTimestamp:
            found.close()
            raise _Refused(_unavailable("The current object has no timestamp.")) from None
        _check(store(self._app, environ, found, _version_path(path, location, at)))

    def _mark_deleted(self, environ: Environ, path: ClientPath, location: str) -> None:
        marker = internal(environ, "PUT", _version_path(path, location, self._clock.now()))
        marker["CONTENT_TYPE"] = DELETED_TYPE
        marker[keys.CONTENT_TYPE_PARAMETERS] = DELETED_PARAMETER
        answer = call(self._app, marker)
        answer.discard()
        _check(answer)

    def _restore_last(self, environ: Environ, path: ClientPath, location: str) -> Response | None:
        """Stack mode: put the last version in the place of the current one. None: there is none, just delete."""
        for row in self._versions(environ, path, location):
            version = _path(path, location, row["name"])
            if is_deleted(str(row.get("content_type", ""))):
                # History mode left it: what it says was deleted may have been written again since.
                if self._is_there(environ):
                    return None
                self._remove(environ, version)
                continue
            found = read_current(self._app, environ, version)
            if found.status == HTTPStatus.NOT_FOUND:
                found.discard()  # Its row is behind the times.
                continue
            if found.status != HTTPStatus.OK:
                found.close()
                raise _Refused(_unavailable("The last version could not be read."))
            restored = store(self._app, environ, found, environ["PATH_INFO"])
            if not restored.is_success:
                raise _Refused(_unavailable("The last version could not be brought back."))
            self._remove(environ, version)
            return plain(HTTPStatus.NO_CONTENT)
        return None

    def _is_there(self, environ: Environ) -> bool:
        answer = read_current(self._app, environ, environ["PATH_INFO"], "HEAD")
        answer.discard()
        if answer.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise _Refused(_unavailable("The current object could not be read."))
        return answer.status == HTTPStatus.OK

    def _remove(self, environ: Environ, version: str) -> None:
        """A version that is current again; one that cannot be removed now would come back a second time, later."""
        call(self._app, internal(environ, "DELETE", version)).discard()

    def _versions(self, environ: Environ, path: ClientPath, location: str) -> Iterator[Row]:
        """Rows of the object's versions, the newest first. Raises _Refused."""
        container = container_named(location)
        if container is None:
            return
        prefix = legacy_prefix(path.obj or "")
        marker = ""
        for _ in range(_PAGES_AT_MOST):
            query = f"format=json&reverse=true&prefix={_quote(prefix)}" + (
                f"&marker={_quote(marker)}" if marker else ""
            )
            child = internal(environ, "GET", wsgi_of(f"/{path.version}/{path.account}/{container}"), query)
            answer = call(self._app, child)
            if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.NO_CONTENT):
                answer.discard()
                return
            if not is_json_listing(answer):
                answer.close()
                raise _Refused(_unavailable("The versions could not be listed."))
            rows = [row for row in json.loads(answer.read(LISTING_BYTES_MAX)) if "name" in row]
            if not rows:
                return
            yield from rows
            marker = rows[-1]["name"]


def _quote(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="")


def _path(path: ClientPath, location: str, name: str) -> str:
    container = container_named(location)
    if container is None:
        raise _Refused(_missing())
    return wsgi_of(f"/{path.version}/{path.account}/{container}/{name}")


def _version_path(path: ClientPath, location: str, at: Timestamp) -> str:
    return _path(path, location, legacy_prefix(path.obj or "") + at.normal)


def _check(stored: SubResponse) -> None:
    """Raises _Refused unless the copy is there."""
    if stored.is_success:
        return
    if stored.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _Refused(_missing())
    raise _Refused(_unavailable("The current object could not be kept as a version."))


def _missing() -> Response:
    return page(HTTPStatus.PRECONDITION_FAILED, "The container for versions does not exist, or takes no version.")


def _unavailable(why: str) -> Response:
    return plain(HTTPStatus.SERVICE_UNAVAILABLE, f"{why} Nothing has been changed; please try again.")
