"""Objects of a container whose versions are kept: the object versioning API. Source: feature A4.8, formats 8.5.

The data of every version lies in the hidden container; the object itself is a link to the current one. Order of a PUT:
what is there and is no version yet becomes one, the new data is stored as a version, and then the link is turned to it.
So nothing is replaced before it has a copy, and whatever is cut off leaves at worst a version that nobody points to.
A DELETE stores a marker in the same way and then removes the link.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from objstore.core.errors import BadRequest
from objstore.core.headers import environ_key, is_true
from objstore.core.info import ContainerInfo
from objstore.core.names import ClientPath, quoted, text_of, wsgi_of
from objstore.core.row_etag import split
from objstore.core.timestamp import InvalidTimestamp, Timestamp
from objstore.http import environ as keys
from objstore.http.access import denial
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.request import Request
from objstore.http.response import Response, page, plain
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import SubResponse, call
from objstore.middleware.symlink import (
    ALLOW_RESERVED,
    EMPTY_ETAG,
    LOOP_EXTEND,
    OVERRIDE_ETAG,
    SYS_BYTES,
    SYS_ETAG,
    SYS_TARGET,
    VERSION_PATH,
    Link,
    store_link,
)
from objstore.middleware.versioning.archive import SOURCE, internal, read_current, store
from objstore.middleware.versioning.names import (
    DELETED_PARAMETER,
    DELETED_TYPE,
    NULL,
    is_deleted,
    parse_id,
    parse_version_name,
    version_name,
    versions_container,
    with_id,
)
from objstore.runtime.clock import Clock

VERSION_ID = "X-Object-Version-Id"
CURRENT_ID = "X-Object-Current-Version-Id"
VERSIONS_SYMLINK = "x-object-sysmeta-versions-symlink"
_LINK_OFFSET = 1
"""Of the link's timestamp after its version's: a PUT and its link are one write, in this order."""
_ALLOW_RESERVED_KEY = "HTTP_X_BACKEND_ALLOW_RESERVED_NAMES"
_OF_THE_LINK = ("HTTP_IF_NONE_MATCH", "HTTP_X_DELETE_AT", "HTTP_X_DELETE_AFTER")
_ABOUT_AN_OBJECT = frozenset(
    {
        HTTPStatus.OK,
        HTTPStatus.PARTIAL_CONTENT,
        HTTPStatus.NOT_MODIFIED,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.PRECONDITION_FAILED,
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    }
)


@dataclass(frozen=True, slots=True)
class _Version:
    """A stored version as its link tells of it. etag and size: of what is stored, a manifest's own."""

    at: Timestamp
    etag: str
    size: int
    content_type: str
    slo_etag: str = ""


class _Refused(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class ObjectVersions:
    def __init__(self, app: WSGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    def __call__(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo
    ) -> Iterable[bytes]:
        try:
            version_id = asked_id(environ)
            respond = {
                "GET": self._read, "HEAD": self._read, "PUT": self._put, "POST": self._post, "DELETE": self._delete
            }[environ["REQUEST_METHOD"]]  # fmt: skip
            return respond(environ, start_response, path, info, version_id)
        except BadRequest as error:
            return page(HTTPStatus.BAD_REQUEST, error.reason)(environ, start_response)
        except _Refused as refused:
            return refused.response(environ, start_response)

    # Reading

    def _read(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo, asked: str
    ) -> Iterable[bytes]:
        at = parse_id(asked) if asked else None
        if at is not None:
            return self._read_version(environ, start_response, path, at, asked)
        answer = call(self._app, environ)
        headers = answer.headers
        found = _version_of(headers, path)
        if asked and found is not None:
            answer.close()
            return page(HTTPStatus.NOT_FOUND, "", {VERSION_ID: NULL})(environ, start_response)
        shown = _shown(answer, path, found) if answer.status in _ABOUT_AN_OBJECT else answer.header_list
        start_response(answer.status_line, shown)
        return answer.body

    def _read_version(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, at: Timestamp, asked: str
    ) -> Iterable[bytes]:
        answer = call(self._app, _at_version(environ, path, at))
        headers = answer.headers
        if answer.is_success and is_deleted(headers.get("content-type", "")):
            answer.close()
            marker = {"content-type": headers["content-type"], VERSION_ID: asked}
            return page(HTTPStatus.NOT_FOUND, "", marker)(environ, start_response)
        shown = list(answer.header_list)
        if answer.is_success or answer.status in (HTTPStatus.NOT_MODIFIED, HTTPStatus.PRECONDITION_FAILED):
            shown.append((VERSION_ID, asked))
        start_response(answer.status_line, shown)
        return answer.body

    # Writing

    def _put(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo, asked: str
    ) -> Iterable[bytes]:
        if asked:
            return self._restore(environ, start_response, path, info, asked)
        if not is_enabled(info):
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        self._admit(environ, info)
        if "HTTP_IF_NONE_MATCH" in environ:
            self._refuse_if_present(environ, path)
        self._keep_current(environ, path)
        at = self._clock.now()
        data = _data_environ(environ, path, at)
        answer = call(self._app, data)
        if not answer.is_success:
            start_response(answer.status_line, answer.header_list)
            return answer.body
        answer.discard()
        linked = self._link(environ, path, self._version(data, path, at, answer))
        headers = [pair for pair in answer.header_list if pair[0].lower() != "content-length"]
        if linked.is_success:
            return Response(answer.status, {**_dict(headers), VERSION_ID: at.normal})(environ, start_response)
        # The data stays: on some replicas the link may lead to it already.
        return Response(linked.status, linked.headers, linked.body)(environ, start_response)

    def _restore(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo, asked: str
    ) -> Iterable[bytes]:
        at = parse_id(asked)
        if at is None:
            raise BadRequest("The null version cannot be made current: it is what is current, or is nowhere.")
        if environ.get("CONTENT_LENGTH", "0") not in ("", "0") or environ["wsgi.input"].read(1):
            raise _Refused(_text(HTTPStatus.BAD_REQUEST, "PUT version-id requests require a zero byte body"))
        self._admit(environ, info)
        answer = read_current(self._app, environ, _version_path(path, at), "HEAD")
        answer.discard()
        headers = answer.headers
        if answer.status != HTTPStatus.OK or is_deleted(headers.get("content-type", "")):
            missing = answer.status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
            status = HTTPStatus.NOT_FOUND if missing else HTTPStatus.SERVICE_UNAVAILABLE
            raise _Refused(_text(status, "The specified version does not exist"))
        self._keep_current(environ, path)
        etag = headers.get("x-symlink-target-etag") or headers.get("etag", "").strip('"')
        row_etag = split(headers.get(OVERRIDE_ETAG, ""))[1]
        size = int(headers.get("content-length", "0"))
        version = _Version(at, etag, size, headers.get("content-type", ""), row_etag.get("slo_etag", ""))
        linked = self._link(environ, path, version, self._clock.now())
        if not linked.is_success:
            return Response(linked.status, linked.headers, linked.body)(environ, start_response)
        shown = {name: value for name, value in linked.headers.items() if name != "content-length"}
        return Response(linked.status, {**shown, "etag": etag, VERSION_ID: asked})(environ, start_response)

    def _post(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo, asked: str
    ) -> Iterable[bytes]:
        if asked:
            raise BadRequest("POST takes no version-id: only the current version's metadata can be changed.")
        answer = call(self._app, environ)
        link = Link.of(answer.headers, path)
        if answer.status == HTTPStatus.TEMPORARY_REDIRECT and link is not None and link.is_own_version(path):
            answer.discard()
            version = _elsewhere(environ, wsgi_of(link.path(path.version)), is_authorized=True)
            for key in _OF_THE_LINK:
                version.pop(key, None)
            answer = call(self._app, version)
        start_response(answer.status_line, answer.header_list)
        return answer.body

    def _delete(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo, asked: str
    ) -> Iterable[bytes]:
        if asked:
            return self._delete_version(environ, start_response, path, info, asked)
        if not is_enabled(info):
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        self._admit(environ, info)
        self._keep_current(environ, path)
        at = self._clock.now()
        marker = internal(environ, "PUT", _version_path(path, at), x_timestamp=at.internal)
        marker["CONTENT_TYPE"] = DELETED_TYPE
        marker[keys.CONTENT_TYPE_PARAMETERS] = DELETED_PARAMETER
        written = call(self._app, marker)
        written.discard()
        if not written.is_success:
            raise _Refused(_unavailable("The delete marker could not be stored."))
        environ["HTTP_X_TIMESTAMP"] = Timestamp(at.ticks, _LINK_OFFSET).internal
        answer = call(self._app, environ)
        start_response(answer.status_line, [*answer.header_list, (VERSION_ID, at.normal)])
        return answer.body

    def _delete_version(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, info: ContainerInfo, asked: str
    ) -> Iterable[bytes]:
        at = parse_id(asked)
        current = self._current(environ, path)
        if at is None:
            if current is not None:
                raise _Refused(page(HTTPStatus.NOT_FOUND, "", {VERSION_ID: NULL, CURRENT_ID: current.normal}))
            answer = call(self._app, {**environ, "QUERY_STRING": _without_id(environ)})
            start_response(answer.status_line, [*answer.header_list, (VERSION_ID, NULL), (CURRENT_ID, NULL)])
            return answer.body
        version = _at_version(environ, path, at)
        shown = {VERSION_ID: asked, CURRENT_ID: current.normal if current is not None else NULL}
        hidden = environ[keys.INFO].container(environ, path.account, versions_container(path.container or ""))
        denied = denial(Request(version), hidden.write_acl)
        if denied is not None:
            denied.headers.update(shown)
            return denied(environ, start_response)
        if current == at:
            # The link first: a version that nobody points to is found in the list, a link to nothing is an error.
            unlinked = call(self._app, internal(environ, "DELETE", environ["PATH_INFO"]))
            unlinked.discard()
            if not (unlinked.is_success or unlinked.status == HTTPStatus.NOT_FOUND):
                raise _Refused(_unavailable("The current version could not be unlinked."))
            shown[CURRENT_ID] = NULL
        answer = call(self._app, version)
        start_response(answer.status_line, [*answer.header_list, *shown.items()])
        return answer.body

    # Steps

    def _admit(self, environ: Environ, info: ContainerInfo) -> None:
        """What follows is done with the system's rights: the client's are asked here (CVE-2015-1856). Raises
        _Refused."""
        denied = denial(Request(environ), info.write_acl)
        if denied is not None:
            raise _Refused(denied)

    def _refuse_if_present(self, environ: Environ, path: ClientPath) -> None:
        answer = read_current(self._app, environ, environ["PATH_INFO"], "HEAD")
        answer.discard()
        if answer.is_success:
            raise _Refused(page(HTTPStatus.PRECONDITION_FAILED))
        if answer.status != HTTPStatus.NOT_FOUND:
            raise _Refused(_unavailable("Whether the object exists could not be found out."))

    def _keep_current(self, environ: Environ, path: ClientPath) -> None:
        """Make a version of the current object, if it is not one yet. Raises _Refused when that is not confirmed."""
        found = read_current(self._app, environ, environ["PATH_INFO"])
        headers = found.headers
        if found.status == HTTPStatus.NOT_FOUND or is_true(headers.get(VERSIONS_SYMLINK)):
            found.discard()
            return
        if found.status != HTTPStatus.OK:
            found.close()
            raise _Refused(_unavailable("The current object could not be read."))
        try:
            at = Timestamp.parse(headers.get("x-timestamp", ""))
        except InvalidTimestamp:
            found.close()
            raise _Refused(_unavailable("The current object has no timestamp.")) from None
        # Expiry is for what is current: it leaves the versions behind, as a DELETE does.
        stored = store(self._app, environ, found, _version_path(path, at), expires=False, x_timestamp=at.internal)
        if not stored.is_success:
            raise _Refused(_unavailable("The current object could not be kept as a version."))

    def _version(self, data: Environ, path: ClientPath, at: Timestamp, answer: SubResponse) -> _Version:
        """Of a PUT that has gone through: filters and the proxy have left in its environ what they made of it."""
        etag = data.get(environ_key(SYS_ETAG)) or answer.headers.get("etag", EMPTY_ETAG).strip('"')
        slo_etag = split(data.get(environ_key(OVERRIDE_ETAG), ""))[1].get("slo_etag", "")
        size, content_type = data.get("CONTENT_LENGTH", ""), data.get("CONTENT_TYPE", "")
        if not size:
            head = read_current(self._app, data, _version_path(path, at), "HEAD")
            head.discard()
            size = head.headers.get("content-length", "0")
        return _Version(at, etag, int(size), content_type, slo_etag)

    def _link(self, environ: Environ, path: ClientPath, version: _Version, at: Timestamp | None = None) -> SubResponse:
        """Make a version the current one. at: the link's own time, when it is not that of the version."""
        assert path.container is not None and path.obj is not None
        stamp = Timestamp((at or version.at).ticks, _LINK_OFFSET)
        put = internal(environ, "PUT", environ["PATH_INFO"], x_timestamp=stamp.internal)
        for key in _OF_THE_LINK:
            if key in environ:
                put[key] = environ[key]
        target = f"{versions_container(path.container)}/{version_name(path.obj, version.at)}"
        store_link(put, {SYS_TARGET: quoted(target), SYS_ETAG: version.etag, SYS_BYTES: str(version.size)})
        if version.slo_etag:
            put[environ_key(OVERRIDE_ETAG)] += f"; slo_etag={version.slo_etag}"
        for name in (VERSIONS_SYMLINK, LOOP_EXTEND, ALLOW_RESERVED):
            put[environ_key(name)] = "true"
        type_, separator, parameter = version.content_type.partition(";swift_")
        put["CONTENT_TYPE"] = type_
        put[keys.CONTENT_TYPE_PARAMETERS] = separator + parameter
        answer = call(self._app, put)
        answer.body = (answer.read(65536),)
        return answer

    def _current(self, environ: Environ, path: ClientPath) -> Timestamp | None:
        """The version that the object's link leads to; None for a null version, or nothing at all. Raises _Refused."""
        answer = read_current(self._app, environ, environ["PATH_INFO"], "HEAD")
        answer.discard()
        if answer.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise _Refused(_unavailable("The current version could not be found out."))
        link = Link.of(_as_stored(answer.headers), path)
        if link is None or not link.is_own_version(path):
            return None
        found = parse_version_name(link.obj)
        return Timestamp.parse(found[1]) if found is not None else None


def is_enabled(info: ContainerInfo) -> bool:
    return is_true(info.sysmeta.get("versions-enabled"))


def asked_id(environ: Environ) -> str:
    """The version-id of a request; '' for none."""
    query = environ.get("QUERY_STRING", "")
    return Request(environ).query.get("version-id", "") if "version-id" in query else ""


def _version_path(path: ClientPath, at: Timestamp) -> str:
    assert path.container is not None and path.obj is not None
    hidden = versions_container(path.container)
    return wsgi_of(f"/{path.version}/{path.account}/{hidden}/{version_name(path.obj, at)}")


def _elsewhere(environ: Environ, target: str, *, is_authorized: bool) -> Environ:
    """The client's own request, of another name."""
    child = {**environ, "PATH_INFO": target, keys.SOURCE: SOURCE, _ALLOW_RESERVED_KEY: "true"}
    for key in (keys.PATH, keys.ACL, keys.AUTHORIZE_OVERRIDE):
        child.pop(key, None)
    if is_authorized:
        child[keys.AUTHORIZE_OVERRIDE] = True
    return child


def _at_version(environ: Environ, path: ClientPath, at: Timestamp) -> Environ:
    """The client's own request, of a version, with the client's rights there."""
    child = _elsewhere(environ, _version_path(path, at), is_authorized=False)
    child["QUERY_STRING"] = _without_id(environ)
    return child


def _data_environ(environ: Environ, path: ClientPath, at: Timestamp) -> Environ:
    """The client's PUT as the PUT of a version."""
    child = _elsewhere(environ, _version_path(path, at), is_authorized=True)
    for key in _OF_THE_LINK:
        child.pop(key, None)
    child["HTTP_X_TIMESTAMP"] = at.internal
    return child


def _without_id(environ: Environ) -> str:
    parts = environ.get("QUERY_STRING", "").split("&")
    return "&".join(part for part in parts if part.partition("=")[0] != "version-id")


def _version_of(headers: dict[str, str], path: ClientPath) -> str | None:
    """The id of the version that an answer is about, when its object is a link to one."""
    followed = headers.get(VERSION_PATH)
    if followed is None:
        link = Link.of(_as_stored(headers), path)
        if link is None or not link.is_own_version(path):
            return None
        name = link.obj
    else:
        name = text_of(unquote(followed, encoding="latin-1"))
    found = parse_version_name(name)
    return found[1] if found is not None else None


def _as_stored(headers: dict[str, str]) -> dict[str, str]:
    """The headers of an answer about a link itself (symlink=get), as Link.of takes them."""
    target = headers.get("x-symlink-target")
    return {**headers, SYS_TARGET: target} if target else headers


def _shown(answer: SubResponse, path: ClientPath, version_id: str | None) -> list[tuple[str, str]]:
    """The headers that the client sees: with the version's id, and no trace of where the version is stored."""
    found = []
    for name, value in answer.header_list:
        lower = name.lower()
        if lower in (VERSION_PATH, VERSIONS_SYMLINK, LOOP_EXTEND, ALLOW_RESERVED):
            continue
        if version_id is not None:
            if lower == "content-location" and "%00versions%00" in value:
                value = with_id(f"/{path.version}/{path.account}/{path.container}/{path.obj}", version_id)
            elif lower == "x-symlink-target":
                value = with_id(f"{path.container}/{path.obj}", version_id)
        found.append((name, value))
    return [*found, (VERSION_ID, version_id or NULL)]


def _dict(headers: list[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def _text(status: int, why: str) -> Response:
    return Response(status, {"content-type": "text/plain"}, why.encode())


def _unavailable(why: str) -> Response:
    return plain(HTTPStatus.SERVICE_UNAVAILABLE, f"{why} Nothing has been changed; please try again.")
