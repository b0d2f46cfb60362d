"""copy: COPY with Destination, and PUT with X-Copy-From: a GET of the source streamed into a PUT of the target.

Both are requests of the pipeline below, each authorized by itself: reading by the source's rules, writing by the
target's. Conditions and Range are about the source; what the client sends as metadata is laid over what the source
has. Nothing is buffered but one piece of the body. Source: feature A3.8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from objstore.config.boot import settings_for, swift_dir_of
from objstore.config.cluster import load_cluster
from objstore.config.settings import Settings, reads
from objstore.core.errors import BadRequest, InvalidName
from objstore.core.headers import environ_key, header_name, is_true, title
from objstore.core.limits import Limits
from objstore.core.names import RESERVED, ClientPath, client_path, quoted, text_of, wsgi_of
from objstore.http import environ as keys
from objstore.http.environ import Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.request import Request
from objstore.http.response import page
from objstore.http.status import HTTPStatus, is_success
from objstore.http.subrequest import BytesInput, IteratorInput, SubResponse, call, child_environ
from objstore.middleware.copy_heartbeat import CopyReport, report_type

SOURCE = "COPY"
_OF_THE_SOURCE = (
    "HTTP_IF_MATCH",
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_UNMODIFIED_SINCE",
    "HTTP_IF_RANGE",
    "HTTP_RANGE",
)
_NOT_FOR_THE_TARGET = (
    *_OF_THE_SOURCE,
    "HTTP_DESTINATION",
    "HTTP_DESTINATION_ACCOUNT",
    "HTTP_ETAG",
    "HTTP_EXPECT",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_X_COPY_FROM",
    "HTTP_X_COPY_FROM_ACCOUNT",
    "HTTP_X_FRESH_METADATA",
    keys.OWNER,
    keys.ACL,
    keys.PATH,
)
_SOURCE_QUERY = frozenset({"multipart-manifest", "symlink", "version-id"})
_LINK = frozenset({"x-symlink-target", "x-symlink-target-account", "x-symlink-target-etag"})
"""Of a link that is copied as a link: the copy leads where it does."""
_MANIFEST = "multipart-manifest=get"
_META, _SYSMETA, _TRANSIENT = "x-object-meta-", "x-object-sysmeta-", "x-object-transient-sysmeta-"
_KEPT = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "expires",
        "x-delete-at",
        "x-robots-tag",
    }
)
# These speak of the stored bytes, and the copy's may be others.
_OF_THE_BYTES = ("x-object-sysmeta-objstore-", "x-object-sysmeta-container-update-override-")


@dataclass(frozen=True)
class CopySettings(Settings):
    pass


@dataclass(frozen=True, slots=True)
class _Name:
    """An object, as text."""

    account: str
    container: str
    obj: str

    @property
    def shown(self) -> str:
        return quoted(f"{self.container}/{self.obj}")

    def path(self, version: str) -> str:
        return wsgi_of(f"/{version}/{self.account}/{self.container}/{self.obj}")


class _Refused(Exception):
    """The request cannot be carried out; `response` says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.response = page(status, why)


class Copy:
    def __init__(self, app: WSGIApp, limits: Limits) -> None:
        self._app = app
        self._size_max = limits.max_file_size

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        is_copy = method == "COPY" or (method == "PUT" and "HTTP_X_COPY_FROM" in environ)
        if not is_copy and method != "OPTIONS":
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        path = client_path_of(environ)
        if path is None or path.obj is None:
            body = self._app(environ, start_response)
        elif method == "OPTIONS":
            body = self._app(environ, _with_copy_allowed(start_response))
        elif method == "PUT" and not environ["HTTP_X_COPY_FROM"]:
            body = self._app(environ, start_response)
        else:
            try:
                return self._copy(environ, start_response, path)
            except _Refused as refused:
                return refused.response(environ, start_response)
        return body

    def _copy(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        source, target = _names(environ, path)
        answer = call(self._app, self._source_environ(environ, path.version, source))
        if not answer.is_success:
            start_response(answer.status_line, answer.header_list)
            return answer.body
        try:
            put = self._target_environ(environ, path.version, target, answer)
            shown = _shown(source, answer, put)
        except BaseException:
            answer.close()
            raise
        if is_true(Request(environ).query.get("heartbeat")):
            report = CopyReport(lambda: self._put(put, answer), answer.close, shown, report_type(environ))
            return report.start(start_response)
        written = self._put(put, answer)
        headers = written.header_list + (shown if written.is_success else [])
        start_response(written.status_line, headers)
        return written.body

    def _put(self, put: Environ, source: SubResponse) -> SubResponse:
        try:
            return call(self._app, put)
        finally:
            source.close()

    def _source_environ(self, environ: Environ, version: str, source: _Name) -> Environ:
        if "," in environ.get("HTTP_RANGE", ""):
            # The answer would be a multipart body, which nobody wants to store.
            raise _Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "A copy takes one range.")
        query = [part for part in environ.get("QUERY_STRING", "").split("&") if part.partition("=")[0] in _SOURCE_QUERY]
        if _MANIFEST in query:
            query.append("format=raw")  # A static large object's, in the form in which it can be PUT again.
        child = child_environ(
            environ,
            "GET",
            source.path(version),
            source=SOURCE,
            query="&".join(query),
            headers={"x-newest": "true"},
        )
        child.update({key: environ[key] for key in _OF_THE_SOURCE if key in environ})
        return child

    def _target_environ(self, environ: Environ, version: str, target: _Name, source: SubResponse) -> Environ:
        """The client's own request, as a PUT of the source's body and metadata. Raises _Refused."""
        headers = source.headers
        length = headers.get("content-length", "")
        if not length.isdigit() or int(length) > self._size_max:
            why = f"The source is longer than {self._size_max} bytes, or of a length that is not known."
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why)
        environ.setdefault(keys.FINISH, [])
        put = {key: value for key, value in environ.items() if key not in _NOT_FOR_THE_TARGET}
        if environ["REQUEST_METHOD"] == "COPY":
            # Whoever let this request through looked at its path, which is the source.
            put.pop(keys.AUTHORIZE_OVERRIDE, None)
        put["REQUEST_METHOD"] = "PUT"
        put["PATH_INFO"] = target.path(version)
        query = [part for part in environ.get("QUERY_STRING", "").split("&") if part]
        put["QUERY_STRING"] = "&".join(
            part for part in query if part.partition("=")[0] not in (*_SOURCE_QUERY, "heartbeat")
        )
        if _MANIFEST in query and is_true(headers.get("x-static-large-object")):
            # Its segments are looked at again, with the rights of whoever copies it.
            put["QUERY_STRING"] = "&".join([part for part in (put["QUERY_STRING"], "multipart-manifest=put") if part])
        put["CONTENT_LENGTH"] = length
        put["wsgi.input"] = IteratorInput(source.body, int(length)) if int(length) else BytesInput()
        _lay_under(put, headers, is_fresh=is_true(environ.get("HTTP_X_FRESH_METADATA")))
        if _MANIFEST in query and "x-object-manifest" in headers:
            put.setdefault("HTTP_X_OBJECT_MANIFEST", headers["x-object-manifest"])
        if _is_plain(source):
            put["HTTP_ETAG"] = headers["etag"]  # What is stored must be what was read.
        return put


def _names(environ: Environ, path: ClientPath) -> tuple[_Name, _Name]:
    """(source, target). Raises _Refused."""
    assert path.account is not None and path.container is not None and path.obj is not None
    here = _Name(path.account, path.container, path.obj)
    if environ["REQUEST_METHOD"] == "COPY":
        there = _other(environ, "HTTP_DESTINATION", path.account)
        return here, there
    if environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ:
        raise _Refused(HTTPStatus.BAD_REQUEST, "Copy requests require a zero byte body")
    return _other(environ, "HTTP_X_COPY_FROM", path.account), here


def _other(environ: Environ, key: str, account: str) -> _Name:
    """The object a header names: [/]container/object, percent-encoded or not. Raises _Refused."""
    name, account_key = title(header_name(key)), f"{key}_ACCOUNT"
    try:
        if account_key in environ:
            account = text_of(unquote(environ[account_key], encoding="latin-1"))
            if not account or "/" in account:
                raise BadRequest("an account name may not be empty or hold a slash")
        text = text_of(unquote(environ.get(key, ""), encoding="latin-1"))
        found = client_path(wsgi_of(f"/v1/{account}/{text.removeprefix('/')}"))
    except (BadRequest, InvalidName) as error:
        raise _Refused(HTTPStatus.PRECONDITION_FAILED, f"{name}: {error.reason}") from None
    if found is None or found.container is None or found.obj is None:
        raise _Refused(
            HTTPStatus.PRECONDITION_FAILED, f"{name} header must be of the form <container name>/<object name>"
        )
    if RESERVED in f"{account}{text}" and "HTTP_X_BACKEND_ALLOW_RESERVED_NAMES" not in environ:
        raise _Refused(HTTPStatus.PRECONDITION_FAILED, f"{name}: Invalid UTF8 or contains NULL")
    return _Name(account, found.container, found.obj)


def _lay_under(put: Environ, source: dict[str, str], *, is_fresh: bool) -> None:
    """Give the target the source's headers where the client sent none of its own; fresh: but not its user metadata."""
    if not put.get("CONTENT_TYPE") and "content-type" in source:
        put["CONTENT_TYPE"] = source["content-type"]
    for name, value in source.items():
        if name.startswith(_OF_THE_BYTES):
            continue
        is_users = name.startswith((_META, _TRANSIENT)) or name in _KEPT
        if name.startswith(_SYSMETA) or name in _LINK or (is_users and not is_fresh):
            put.setdefault(environ_key(name), value)


def _is_plain(source: SubResponse) -> bool:
    """Whether the source's Etag is the MD5 of the body that comes."""
    headers = source.headers
    is_made_up = "x-static-large-object" in headers or "x-object-manifest" in headers
    return source.status == HTTPStatus.OK and not is_made_up and len(headers.get("etag", "")) == 32


def _shown(source: _Name, answer: SubResponse, put: Environ) -> list[tuple[str, str]]:
    """Headers of the answer to a copy that the answer to a PUT does not have."""
    headers = [("X-Copied-From-Account", quoted(source.account)), ("X-Copied-From", source.shown)]
    modified = answer.headers.get("last-modified")
    if modified:
        headers.append(("X-Copied-From-Last-Modified", modified))
    version = answer.headers.get("x-object-version-id", "null")
    if version != "null":
        headers.append(("X-Copied-From-Version-Id", version))
    for key, value in put.items():
        if key.startswith("HTTP_X_OBJECT_META_") or key == "HTTP_X_DELETE_AT":
            headers.append((title(header_name(key)), value))
    return headers


def _with_copy_allowed(start_response: StartResponse) -> StartResponse:
    """OPTIONS of an object: the proxy below does not know COPY."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        if not is_success(int(status[:3])):
            return start_response(status, headers, *exc_info)
        allowed = [
            (name, f"{value}, COPY")
            if name.lower() in ("allow", "access-control-allow-methods") and "COPY" not in value
            else (name, value)
            for name, value in headers
        ]
        return start_response(status, allowed, *exc_info)

    return start


@reads(CopySettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Copy]:
    settings_for(CopySettings, global_conf, local_conf)
    limits = load_cluster(swift_dir_of(global_conf)).limits
    return lambda app: Copy(app, limits)
