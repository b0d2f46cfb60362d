"""Containers whose versions are kept: switching it on and off, what they show, and their listings.

The hidden container is made before the container says that it has one, and goes only when both are empty.
Source: features A4.7, A4.8; formats 8.5.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from objstore.core.errors import BadRequest
from objstore.core.headers import is_true
from objstore.core.info import ContainerInfo
from objstore.core.limits import Limits
from objstore.core.names import ClientPath, quoted, wsgi_of
from objstore.http import environ as keys
from objstore.http.access import denial
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.request import Request
from objstore.http.response import Response, page, plain
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import call
from objstore.middleware.listing_rows import LISTING_BYTES_MAX, is_json_listing, rewritten, send_listing
from objstore.middleware.versioning.archive import internal
from objstore.middleware.versioning.legacy import HISTORY, STACK, container_named, location_of
from objstore.middleware.versioning.listing import merged, show_current
from objstore.middleware.versioning.names import (
    AFTER_IDS,
    NULL,
    parse_id,
    versions_container,
)
from objstore.middleware.versioning.settings import VersionedWritesSettings

_ENABLED_KEY = "HTTP_X_VERSIONS_ENABLED"
_SYS_ENABLED, _SYS_CONTAINER = "X-Container-Sysmeta-Versions-Enabled", "X-Container-Sysmeta-Versions-Container"
_SYS_LOCATION, _SYS_MODE = "X-Container-Sysmeta-Versions-Location", "X-Container-Sysmeta-Versions-Mode"
_LOCATION_KEYS = {"HTTP_X_VERSIONS_LOCATION": STACK, "HTTP_X_HISTORY_LOCATION": HISTORY}
_REMOVAL_KEYS = ("HTTP_X_REMOVE_VERSIONS_LOCATION", "HTTP_X_REMOVE_HISTORY_LOCATION")
_POLICY = "X-Backend-Storage-Policy-Index"


class _Refused(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def asks_for_versions(environ: Environ) -> bool:
    """Whether a PUT or POST of a container says anything of versions."""
    return any(key in environ for key in (_ENABLED_KEY, *_LOCATION_KEYS, *_REMOVAL_KEYS))


class ContainerVersions:
    def __init__(self, app: WSGIApp, settings: VersionedWritesSettings, limits: Limits) -> None:
        self._app = app
        self._settings = settings
        self._limits = limits

    # Switching

    def change(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo
    ) -> Iterable[bytes]:
        """A PUT or POST that says something of versions."""
        try:
            self._take_location(environ, info)
            wanted = environ.pop(_ENABLED_KEY, None)
            if wanted is None:
                body: Iterable[bytes] = self._app(environ, start_response)
                return body
            return self._switch(environ, start_response, path, info, is_on=is_true(wanted))
        except _Refused as refused:
            return refused.response(environ, start_response)

    def _take_location(self, environ: Environ, info: ContainerInfo) -> None:
        """Turn the headers of the older kind into system metadata. Raises _Refused."""
        given = {mode: environ.pop(key) for key, mode in _LOCATION_KEYS.items() if key in environ}
        is_removed = any([bool(environ.pop(key, "")) for key in _REMOVAL_KEYS])
        if not given and not is_removed:
            return
        if len(given) > 1:
            why = "Only one of X-Versions-Location or X-History-Location may be specified"
            raise _Refused(_text(HTTPStatus.BAD_REQUEST, why))
        mode, location = next(iter(given.items()), ("", ""))
        if location:
            if not self._settings.allow_versioned_writes:
                raise _Refused(page(HTTPStatus.PRECONDITION_FAILED, "Versioned Writes is disabled"))
            if _ENABLED_KEY in environ or info.sysmeta.get("versions-container"):
                why = "A container has either X-Versions-Enabled or X-Versions-Location, not both."
                raise _Refused(page(HTTPStatus.BAD_REQUEST, why))
            if "/" in location or container_named(location) is None:
                raise _Refused(page(HTTPStatus.PRECONDITION_FAILED, "Expected the name of a container, without '/'"))
        environ[_key(_SYS_LOCATION)] = location
        environ[_key(_SYS_MODE)] = mode if location else ""
        if info.versions:
            environ["HTTP_X_REMOVE_VERSIONS_LOCATION"] = "true"  # In the form of the oldest versions of Swift.

    def _switch(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo, *, is_on: bool
    ) -> Iterable[bytes]:
        if not self._settings.allow_object_versioning:
            raise _Refused(page(HTTPStatus.PRECONDITION_FAILED, "Object versioning is disabled"))
        if location_of(info) or environ.get(_key(_SYS_LOCATION)):
            why = "Versions are kept in another container already: remove X-Versions-Location first."
            raise _Refused(page(HTTPStatus.BAD_REQUEST, why))
        denied = denial(Request(environ))
        if denied is not None:
            raise _Refused(denied)
        if not is_on:
            environ[_key(_SYS_ENABLED)] = "False"
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        if environ["REQUEST_METHOD"] == "PUT":
            return self._made_with_versions(environ, start_response, path)
        if info.exists:
            self._make_hidden(environ, path, info.policy_index)
            self._say_enabled(environ, path)
        body = self._app(environ, start_response)
        return body

    def _made_with_versions(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        """First the container, because its policy decides that of the hidden one; then both, in order."""
        answer = call(self._app, environ)
        if answer.is_success:
            info = environ[keys.INFO].container(environ, path.account, path.container)
            self._make_hidden(environ, path, info.policy_index)
            post = internal(environ, "POST", environ["PATH_INFO"])
            self._say_enabled(post, path)
            said = call(self._app, post)
            said.discard()
            if not said.is_success:
                answer.close()
                raise _Refused(_unavailable("The container is there, but versions could not be switched on."))
        start_response(answer.status_line, answer.header_list)
        return answer.body

    def _make_hidden(self, environ: Environ, path: ClientPath, policy_index: int) -> None:
        """Raises _Refused."""
        put = internal(environ, "PUT", _hidden_path(path), **{_POLICY: str(policy_index)})
        answer = call(self._app, put)
        text = answer.read(65536)
        if answer.status == HTTPStatus.BAD_REQUEST:
            raise _Refused(Response(answer.status, answer.headers, text))
        if not answer.is_success:
            raise _Refused(_unavailable("The container for versions could not be made."))

    def _say_enabled(self, environ: Environ, path: ClientPath) -> None:
        environ[_key(_SYS_ENABLED)] = "True"
        environ[_key(_SYS_CONTAINER)] = quoted(versions_container(path.container or ""))

    # Removal

    def delete(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        """Of a container with a hidden one: that goes first, and only when nothing is in either."""
        denied = denial(Request(environ))
        if denied is not None:
            return denied(environ, start_response)
        own = call(self._app, internal(environ, "HEAD", environ["PATH_INFO"], x_newest="true"))
        own.discard()
        if own.is_success and own.headers.get("x-container-object-count") == "0":
            hidden = call(self._app, internal(environ, "DELETE", _hidden_path(path)))
            hidden.discard()
            if hidden.status == HTTPStatus.CONFLICT:
                return page(HTTPStatus.CONFLICT, "Versions of objects are left: see ?versions.")(
                    environ, start_response
                )
            if not (hidden.is_success or hidden.status == HTTPStatus.NOT_FOUND):
                return _unavailable("The container for versions could not be removed.")(environ, start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    # Reading

    def read(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo
    ) -> Iterable[bytes]:
        request = Request(environ)
        if environ["REQUEST_METHOD"] == "GET" and "versions" in request.query:
            try:
                return self._list(environ, self._with_totals(environ, start_response, path, info), path, info)
            except BadRequest as error:
                return page(HTTPStatus.BAD_REQUEST, error.reason)(environ, start_response)
        start = self._with_totals(environ, start_response, path, info)
        if environ["REQUEST_METHOD"] == "GET" and info.sysmeta.get("versions-container"):
            account, container = path.account or "", path.container or ""
            return rewritten(
                self._app,
                environ,
                start,
                b"symlink_path",
                lambda row: show_current(row, path.version, account, container),
            )
        body: Iterable[bytes] = self._app(environ, start)
        return body

    def _with_totals(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo
    ) -> StartResponse:
        """start_response that shows what is switched on, and counts the bytes of versions."""

        def start(status: str, headers: list[tuple[str, str]], *exc_info: object) -> object:
            known = {name.lower(): value for name, value in headers}
            shown = []
            if status[:1] == "2":
                enabled = known.get(_SYS_ENABLED.lower())
                if enabled:
                    shown.append(("X-Versions-Enabled", enabled))
                location, mode = known.get(_SYS_LOCATION.lower()), known.get(_SYS_MODE.lower())
                if location:
                    shown.append(("X-History-Location" if mode == HISTORY else "X-Versions-Location", location))
                    headers = [pair for pair in headers if pair[0].lower() != "x-versions-location"]
                if known.get(_SYS_CONTAINER.lower()):
                    extra = self._hidden_bytes(environ, path)
                    headers = [_with_bytes(name, value, extra) for name, value in headers]
            return start_response(status, [*headers, *shown], *exc_info)

        return start

    def _hidden_bytes(self, environ: Environ, path: ClientPath) -> int:
        answer = call(self._app, internal(environ, "HEAD", _hidden_path(path)))
        answer.discard()
        text = answer.headers.get("x-container-bytes-used", "")
        return int(text) if answer.is_success and text.isdigit() else 0

    def _list(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo
    ) -> Iterable[bytes]:
        """All versions of all objects: the rows of this container among those of the hidden one. Raises BadRequest."""
        query = dict(Request(environ).query)
        marker, version_marker = query.get("marker", ""), query.pop("version_marker", "")
        hidden_query = _hidden_query(query, version_marker)
        query.pop("versions")
        answer = call(self._app, {**environ, "QUERY_STRING": _encoded(query)})
        if not is_json_listing(answer):
            start_response(answer.status_line, answer.header_list)
            return answer.body
        current = json.loads(answer.read(LISTING_BYTES_MAX))
        for row in current:
            row.setdefault("symlink_path", "")
        has_versions = info.sysmeta.get("versions-container")
        versions = self._hidden_rows(environ, path, hidden_query) if has_versions else []
        most = self._limits.container_listing_limit
        limit = query.get("limit", "")
        count = int(limit[:20]) if limit.isascii() and limit.isdigit() else most
        reverse = is_true(query.get("reverse"))
        after = marker if version_marker and version_marker != NULL and not reverse else ""
        rows = merged(current, versions, path.container or "", min(count, most), reverse=reverse, after=after)
        for row in rows:
            if not row.get("symlink_path", True):
                del row["symlink_path"]
        return send_listing(answer, json.dumps(rows).encode(), start_response)

    def _hidden_rows(self, environ: Environ, path: ClientPath, query: dict[str, str]) -> list[dict[str, object]]:
        answer = call(self._app, internal(environ, "GET", _hidden_path(path), _encoded(query)))
        if not is_json_listing(answer):
            answer.discard()
            if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.NO_CONTENT):
                return []
            raise BadRequest("The versions could not be listed; please try again.")
        found: list[dict[str, object]] = json.loads(answer.read(LISTING_BYTES_MAX))
        return found


def _hidden_query(query: Mapping[str, str], version_marker: str) -> dict[str, str]:
    """The parameters of a listing of versions as the hidden container is asked for them: a version stands there as
    `\\0name\\0id`, the newest first. version_marker: an id, or NULL for an object that has none. Raises BadRequest."""
    marker = query.get("marker", "")
    at = parse_id(version_marker) if version_marker else None
    if version_marker and not marker:
        raise BadRequest("version_marker needs a marker")
    reverse = is_true(query.get("reverse"))
    hidden = {name: value for name, value in query.items() if name != "versions"}
    if marker:
        end = "" if reverse else AFTER_IDS
        if version_marker == NULL:
            end = AFTER_IDS if reverse else ""
        elif at is not None:
            end = at.inverted().internal
        hidden["marker"] = f"\0{marker}\0{end}"
    if query.get("end_marker"):
        hidden["end_marker"] = f"\0{query['end_marker']}" + (f"\0{AFTER_IDS}" if reverse else "")
    hidden["prefix"] = "\0" + query.get("prefix", "")
    return hidden


def _encoded(query: dict[str, str]) -> str:
    return urlencode(query, errors="surrogateescape")


def _key(name: str) -> str:
    return "HTTP_" + name.upper().replace("-", "_")


def _hidden_path(path: ClientPath) -> str:
    return wsgi_of(f"/{path.version}/{path.account}/{versions_container(path.container or '')}")


def _with_bytes(name: str, value: str, extra: int) -> tuple[str, str]:
    if name.lower() == "x-container-bytes-used" and value.isdigit():
        return name, str(int(value) + extra)
    return name, value


def _text(status: int, why: str) -> Response:
    return Response(status, {"content-type": "text/plain"}, why.encode())


def _unavailable(why: str) -> Response:
    return plain(HTTPStatus.SERVICE_UNAVAILABLE, f"{why} Please try again.")
