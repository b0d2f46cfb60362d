"""symlink: objects that lead to others. Source: features A4.9, A4.10; formats 8.4.

A link is an empty object with the target in system metadata. GET and HEAD follow it: whatever the link's own answer is
(a condition or a range may have been about its zero bytes), the same question is asked of the target, with the client's
rights there. A static link also names the target's ETag, and leads nowhere (409) once that is another. A link that the
system made for a version of an object (formats 8.5) does not count against the limit of links in a row, and leads into
the versions container of its own container whoever may read it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, number, reads, setting
from objstore.core.errors import BadRequest
from objstore.core.headers import environ_key, is_true
from objstore.core.names import RESERVED, ClientPath, quoted, text_of, wsgi_of
from objstore.core.row_etag import joined
from objstore.http import capabilities
from objstore.http import environ as keys
from objstore.http.environ import Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import SubResponse, call, child_environ
from objstore.middleware.listing_rows import Row, rewritten, taken

SOURCE = "SYM"
TARGET = "x-symlink-target"
TARGET_ACCOUNT = "x-symlink-target-account"
TARGET_ETAG = "x-symlink-target-etag"
TARGET_BYTES = "x-symlink-target-bytes"
_SYSMETA = "x-object-sysmeta-"
_STORED = {_SYSMETA + name[2:]: name for name in (TARGET, TARGET_ACCOUNT, TARGET_ETAG, TARGET_BYTES)}
SYS_TARGET, SYS_ACCOUNT, SYS_ETAG, SYS_BYTES = _STORED
LINK_HEADERS = {shown: stored for stored, shown in _STORED.items()}
"""What a link says of its target, to the system metadata that holds it."""
VERSION_PATH = "x-backend-version-name"
"""Told to the filter above: the version (a name in the versions container, percent-encoded) a link of its led to."""
LOOP_EXTEND = _SYSMETA + "symloop-extend"
ALLOW_RESERVED = _SYSMETA + "allow-reserved-names"
OVERRIDE_ETAG = _SYSMETA + "container-update-override-etag"
_SYS_TITLE = "X-Object-Sysmeta-Symlink-Target"
EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
DEFAULT_TYPE = "application/symlink"
_HOPS_AT_MOST = 10
"""Links of the system count nothing, but even they end somewhere."""
_ROW_PARAMETERS = ("symlink_target", "symlink_target_account", "symlink_target_etag", "symlink_target_bytes")
_SLO_SIZE = "x-object-sysmeta-slo-size"


@dataclass(frozen=True)
class SymlinkSettings(Settings):
    symloop_max: int = setting("2", number(1, 10), "Links that a request follows from one to the next.")


@dataclass(frozen=True, slots=True)
class Link:
    """Where a link leads: names are text; etag '' for a dynamic one."""

    account: str
    container: str
    obj: str
    etag: str
    extends_loop: bool
    may_be_reserved: bool

    @classmethod
    def of(cls, headers: dict[str, str], own: ClientPath) -> Link | None:
        """The link in a stored object's headers."""
        target = headers.get(SYS_TARGET)
        if not target:
            return None
        container, _, obj = text_of(unquote(target, encoding="latin-1")).partition("/")
        account = headers.get(SYS_ACCOUNT)
        return cls(
            text_of(unquote(account, encoding="latin-1")) if account else own.account or "",
            container,
            obj,
            headers.get(SYS_ETAG, ""),
            is_true(headers.get(LOOP_EXTEND)),
            is_true(headers.get(ALLOW_RESERVED)),
        )

    def path(self, version: str) -> str:
        return f"/{version}/{self.account}/{self.container}/{self.obj}"

    def is_own_version(self, own: ClientPath) -> bool:
        """Whether it leads from an object to a version of an object of the same container."""
        return (
            self.may_be_reserved
            and self.account == own.account
            and self.container == f"{RESERVED}versions{RESERVED}{own.container}"
        )


class _Refused(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class Symlink:
    def __init__(self, app: WSGIApp, settings: SymlinkSettings) -> None:
        self._app = app
        self._loop_max = settings.symloop_max

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method in ("GET", "HEAD"):
            path = client_path_of(environ)
            if path is not None and path.obj is not None:
                return self._read(environ, start_response, path)
            if path is not None and path.container is not None and method == "GET":
                root = path.version, path.account or ""
                return rewritten(
                    self._app, environ, start_response, b"symlink_target=", lambda row: show_target(row, *root)
                )
        elif method in ("PUT", "POST"):
            path = client_path_of(environ)
            if path is not None and path.obj is not None:
                try:
                    if method == "POST":
                        return self._post(environ, start_response, path)
                    if environ_key(TARGET) in environ:
                        return self._put(environ, start_response, path)
                    if environ_key(TARGET_ETAG) in environ or environ_key(TARGET_ACCOUNT) in environ:
                        raise _Refused(_text(HTTPStatus.BAD_REQUEST, "X-Symlink-Target is missing."))
                except _Refused as refused:
                    return refused.response(environ, start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    # Following

    def _read(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        answer = call(self._app, environ)
        if not _is_link(answer.header_list):
            start_response(answer.status_line, answer.header_list)
            return answer.body
        query = environ.get("QUERY_STRING", "")
        if "symlink" in query and Request(environ).query.get("symlink") == "get":
            start_response(answer.status_line, _shown(answer))
            return answer.body
        try:
            answer, told = self._follow(environ, path, answer)
        except _Refused as refused:
            return refused.response(environ, start_response)
        start_response(answer.status_line, [*answer.header_list, *told])
        return answer.body

    def _follow(
        self, environ: Environ, path: ClientPath, answer: SubResponse
    ) -> tuple[SubResponse, list[tuple[str, str]]]:
        """(the answer at the end of the links, headers that tell where that is). Raises _Refused."""
        counted, location = 0, ""
        versions: list[tuple[str, str]] = []
        asked = environ
        for _ in range(_HOPS_AT_MOST):
            try:
                link = Link.of(answer.headers, path)
            except BadRequest:
                answer.discard()
                raise _Refused(_text(HTTPStatus.CONFLICT, "The link leads to what is no name.")) from None
            if link is None:
                return answer, [("Content-Location", location), *versions] if location else []
            answer.discard()
            counted += not link.extends_loop
            if counted > self._loop_max:
                break
            next_path = link.path(path.version)
            asked = _asked_there(asked, link, path, next_path)
            location = quoted(next_path)
            if asked.get(keys.AUTHORIZE_OVERRIDE):
                versions = versions or [(VERSION_PATH, quoted(link.obj))]
            answer = call(self._app, asked)
            problem = _static_problem(answer, link)
            if problem:
                answer.discard()
                raise _Refused(_text(HTTPStatus.CONFLICT, problem, {"content-location": location}))
            path = client_path_of(asked) or path
        why = f"Too many levels of symbolic links, maximum allowed is {self._loop_max}"
        raise _Refused(_text(HTTPStatus.CONFLICT, why))

    # Making

    def _put(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        container, obj, account = self._wanted(environ, path)
        if _has_body(environ):
            raise _Refused(_text(HTTPStatus.BAD_REQUEST, "Symlink requests require a zero byte body"))
        etag = environ.pop(environ_key(TARGET_ETAG), "").strip().strip('"')
        told_bytes = environ.pop(environ_key(TARGET_BYTES), "")
        stored = {SYS_TARGET: quoted(f"{container}/{obj}")}
        if account != path.account:
            stored[SYS_ACCOUNT] = quoted(account)
        if etag and environ.get(keys.SYNCED) and told_bytes.isascii() and told_bytes.isdigit():
            # Whoever brings it may not look at the target, which may come later; every GET compares the ETag.
            stored |= {SYS_ETAG: etag, SYS_BYTES: told_bytes}
        elif etag:
            stored |= {SYS_ETAG: etag, SYS_BYTES: self._checked_target(environ, path, account, container, obj, etag)}
        elif not environ.get("CONTENT_TYPE"):
            environ["CONTENT_TYPE"] = DEFAULT_TYPE
        store_link(environ, stored)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _wanted(self, environ: Environ, path: ClientPath) -> tuple[str, str, str]:
        """(container, object, account) of the headers, taken out of the environ. Raises _Refused."""
        text = environ.pop(environ_key(TARGET))
        given = environ.pop(environ_key(TARGET_ACCOUNT), "")
        try:
            account = text_of(unquote(given, encoding="latin-1")) if given else path.account or ""
            names = text_of(unquote(text, encoding="latin-1")).removeprefix("/")
        except BadRequest as error:
            raise _Refused(_text(HTTPStatus.PRECONDITION_FAILED, f"X-Symlink-Target: {error.reason}")) from None
        container, slash, obj = names.partition("/")
        if not (container and slash and obj):
            why = "X-Symlink-Target header must be of the form <container name>/<object name>"
            raise _Refused(page(HTTPStatus.PRECONDITION_FAILED, why))
        if not account or "/" in account:
            why = "X-Symlink-Target-Account must be the name of an account, without a slash."
            raise _Refused(page(HTTPStatus.PRECONDITION_FAILED, why))
        if (account, container, obj) == (path.account, path.container, path.obj):
            raise _Refused(_text(HTTPStatus.BAD_REQUEST, "Symlink cannot target itself"))
        return container, obj, account

    def _checked_target(
        self, environ: Environ, path: ClientPath, account: str, container: str, obj: str, etag: str
    ) -> str:
        """The bytes of a static link's target, which must be there with that ETag. Takes its type for the link's.
        Raises _Refused."""
        name = f"/{path.version}/{account}/{container}/{obj}"
        child = child_environ(
            environ, "HEAD", wsgi_of(name), source=SOURCE, query="symlink=get", headers={"x-newest": "true"}
        )
        answer = call(self._app, child)
        answer.discard()
        headers = answer.headers
        location = {"content-location": quoted(name)}
        if not answer.is_success:
            known = {name: headers[name] for name in ("www-authenticate",) if name in headers}
            missing = answer.status == HTTPStatus.NOT_FOUND
            status = HTTPStatus.CONFLICT if missing else answer.status
            raise _Refused(_text(status, "The target of a static link must exist.", location | known))
        found = _effective_etag(headers)
        if found != etag:
            why = f"X-Symlink-Target-Etag: {etag} was given, the target has {found}"
            raise _Refused(_text(HTTPStatus.CONFLICT, why, location))
        if not environ.get("CONTENT_TYPE"):
            given, _, size = headers.get("content-type", "").partition(";swift_bytes=")
            environ["CONTENT_TYPE"] = given
            if size:
                environ[keys.CONTENT_TYPE_PARAMETERS] = f";swift_bytes={size}"
        return headers.get(SYS_BYTES) or headers.get(_SLO_SIZE) or headers.get("content-length", "0")

    def _post(self, environ: Environ, start_response: StartResponse, path: ClientPath) -> Iterable[bytes]:
        """A link takes metadata of its own, but whoever posts to it mostly means what it leads to: 307 says where."""
        if environ_key(TARGET) in environ:
            raise _Refused(_text(HTTPStatus.BAD_REQUEST, "A PUT request is required to set a symlink target"))
        answer = call(self._app, environ)
        link = Link.of(answer.headers, path) if _is_link(answer.header_list) else None
        if link is None or not answer.is_success:
            start_response(answer.status_line, answer.header_list)
            return answer.body
        answer.discard()
        why = "The requested POST was applied to a symlink. POST directly to the target to apply requested metadata."
        private = {name: value for name, value in answer.headers.items() if name.startswith(_SYSMETA)}
        location = {"location": quoted(link.path(path.version))}
        return page(HTTPStatus.TEMPORARY_REDIRECT, why, private | location)(environ, start_response)


def store_link(environ: Environ, stored: dict[str, str]) -> None:
    """Make a PUT's environ that of a link; stored: system metadata, names as SYS_TARGET and its like."""
    for name, value in stored.items():
        environ[environ_key(name)] = value
    row = [(name[len(_SYSMETA) :].replace("-", "_"), stored[name]) for name in _STORED if name in stored]
    environ[environ_key(OVERRIDE_ETAG)] = joined(EMPTY_ETAG, row)


def show_target(row: Row, version: str, account: str) -> None:
    """A link's row as clients see it."""
    found = taken(row, _ROW_PARAMETERS)
    if "symlink_target" not in found:
        return
    owner = found.get("symlink_target_account") or quoted(account)
    row["symlink_path"] = f"/{version}/{owner}/{found['symlink_target']}"
    if "symlink_target_etag" in found:
        row["symlink_etag"] = found["symlink_target_etag"]
    if found.get("symlink_target_bytes", "").isdigit():
        row["symlink_bytes"] = int(found["symlink_target_bytes"])


def _is_link(headers: list[tuple[str, str]]) -> bool:
    """Runs for every GET: the proxy's names are in title case."""
    for name, _ in headers:
        if len(name) == 31 and (name == _SYS_TITLE or name.lower() == SYS_TARGET):
            return True
    return False


def _shown(answer: SubResponse) -> list[tuple[str, str]]:
    """The headers of a link itself: its target under the names by which it can be PUT again."""
    found = []
    for name, value in answer.header_list:
        lower = name.lower()
        if lower == "content-type":
            value = value.partition(";swift_bytes=")[0]
        if lower not in (OVERRIDE_ETAG, *_STORED):
            found.append((name, value))
    headers = answer.headers
    return [*found, *((shown.title(), headers[stored]) for stored, shown in _STORED.items() if stored in headers)]


def _asked_there(asked: Environ, link: Link, path: ClientPath, next_path: str) -> Environ:
    """The question for the next hop. Whoever was let through to the link by its name alone is asked again."""
    child = {**asked, "PATH_INFO": wsgi_of(next_path)}
    for key in (keys.AUTHORIZE_OVERRIDE, keys.ACL, keys.PATH, "HTTP_X_BACKEND_STORAGE_POLICY_INDEX"):
        child.pop(key, None)
    if link.may_be_reserved:
        child["HTTP_X_BACKEND_ALLOW_RESERVED_NAMES"] = "true"
    if link.is_own_version(path):
        child[keys.AUTHORIZE_OVERRIDE] = True
    child.setdefault(keys.SOURCE, SOURCE)
    return child


def _static_problem(answer: SubResponse, link: Link) -> str:
    """Why a static link leads nowhere, or ''. An answer without an ETag is about something else, such as rights."""
    headers = answer.headers
    if not link.etag or "etag" not in headers:
        return ""
    found = _effective_etag(headers)
    return "" if found == link.etag else f"Object Etag {found} does not match X-Symlink-Target-Etag header {link.etag}"


def _effective_etag(headers: dict[str, str]) -> str:
    """The ETag that a static link to this object must name: for an object that is a static link itself, the one that
    it names."""
    return headers.get(SYS_ETAG) or headers.get(TARGET_ETAG) or headers.get("etag", "").strip('"')


def _has_body(environ: Environ) -> bool:
    if environ.get("CONTENT_LENGTH", "") not in ("", "0"):
        return True
    chunked = "HTTP_TRANSFER_ENCODING" in environ
    return chunked and bool(environ["wsgi.input"].read(1))


def _text(status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    return Response(status, {"content-type": "text/plain", **(headers or {})}, why.encode("utf-8", "replace"))


@reads(SymlinkSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Symlink]:
    settings = settings_for(SymlinkSettings, global_conf, local_conf)
    capabilities.register("symlink", symloop_max=settings.symloop_max, static_links=True)
    return lambda app: Symlink(app, settings)
