"""staticweb: a container as a web site, for who comes without a token (or says X-Web-Mode: true).

    X-Container-Meta-Web-Index            the object that a directory shows: index.html
    X-Container-Meta-Web-Error            <status><this> is the page of an error: 404error.html
    X-Container-Meta-Web-Listings         yes: a directory without an index shows its listing; -CSS and -Label for it
    X-Container-Meta-Web-Directory-Type   the type of objects that mark directories

Everything is asked in the visitor's own name: reading needs .r:*, listings .rlistings, or a temporary URL with a
prefix, whose parameters the links of a listing carry on. Source: feature A5.4; Swift API guide, "Static web".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from objstore.config.boot import settings_for
from objstore.config.settings import Kind, Settings, reads, setting
from objstore.core.errors import BodyTooLarge, InvalidName
from objstore.core.headers import is_true
from objstore.core.names import ClientPath, quoted, text_of, wsgi_of
from objstore.http import capabilities
from objstore.http.environ import (
    INFO,
    RAW_TARGET,
    REMOTE_USER,
    TEMP_URL_PREFIX,
    Environ,
    StartResponse,
    WSGIApp,
    client_path_of,
)
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus, is_success
from objstore.http.subrequest import SubResponse, call, child_environ
from objstore.middleware.staticweb_page import Directory, Web, render

SOURCE = "SW"
_LISTING_BYTES = 64 << 20
_PAGE_BYTES = 1 << 20
_ERRORS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND)
_HTML = "text/html; charset=UTF-8"


_URL_BASE = re.compile(r"(?:https?:(?://[^/?#\s]+/?)?)?")


def _url_base(text: str) -> str:
    if not _URL_BASE.fullmatch(text):
        raise ValueError("neither a scheme nor scheme://host")
    return text.rstrip("/")


@dataclass(frozen=True)
class StaticwebSettings(Settings):
    url_base: str = setting(
        "",
        Kind(_url_base, "nothing, https: or https://host"),
        "Where redirects lead when this proxy stands behind something that changes scheme or host.",
    )


class Staticweb:
    def __init__(self, app: WSGIApp, settings: StaticwebSettings) -> None:
        self._app = app
        self._url_base = settings.url_base

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        visit = self._visit(environ)
        if visit is None:
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        answer = visit.answer()
        if isinstance(answer, Response):
            return answer(environ, start_response)
        start_response(answer.status_line, answer.header_list)
        return answer.body

    def _visit(self, environ: Environ) -> Visit | None:
        """The visit that a request is; None where the request is not a visitor's, or the container is not a site."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return None
        is_by_link = TEMP_URL_PREFIX in environ
        if environ.get(REMOTE_USER) and not is_by_link and not is_true(environ.get("HTTP_X_WEB_MODE")):
            return None
        path = client_path_of(environ)
        if path is None or path.container is None:
            return None
        info = environ[INFO].container(environ, path.account, path.container)
        if not info.exists:
            return None
        web = Web.of({name: _text(value) for name, value in info.meta.items() if name.startswith("web-")})
        return Visit(self._app, environ, path, web, self._url_base) if web is not None else None


class Visit:
    """One request for a page of a site."""

    def __init__(self, app: WSGIApp, environ: Environ, path: ClientPath, web: Web, url_base: str) -> None:
        self._app = app
        self._environ = environ
        self._path = path
        self._web = web
        self._url_base = url_base
        self._name = path.obj or ""
        self._root = f"/{path.version}/{path.account}/{path.container}"

    def answer(self) -> Response | SubResponse:
        if not self._name:
            if not self._environ["PATH_INFO"].endswith("/"):
                return self._redirect() if self._web.index or self._web.has_listings else self._own()
            return self._directory()
        found = self._own()
        if is_success(found.status) and not self._marks_directory(found):
            return found
        if not is_success(found.status) and found.status != HTTPStatus.NOT_FOUND:
            return self._error(found) if found.status in _ERRORS else found
        found.close()
        if self._name.endswith("/"):
            return self._directory()
        if self._has_names_below():
            return self._redirect()
        return self._missing()

    # What may be shown

    def _directory(self) -> Response | SubResponse:
        """The index of a directory, else its listing, else an error."""
        if self._web.index:
            index = self._ask(self._name + self._web.index, headers=self._conditions())
            if index.status != HTTPStatus.NOT_FOUND:
                return self._error(index) if index.status in _ERRORS else index
            index.close()
        if self._web.has_listings:
            return self._listing()
        return self._missing()

    def _listing(self) -> Response | SubResponse:
        given = dict(parse_qsl(self._environ.get("QUERY_STRING", ""), keep_blank_values=True))
        query = {"format": "json", "delimiter": "/", "prefix": self._name}
        if given.get("marker"):
            query["marker"] = given["marker"]
        found = self._rows(query)
        if isinstance(found, SubResponse):
            return self._error(found) if found.status in _ERRORS else found
        if not found and self._name and "marker" not in query:
            return self._missing()
        text = render(self._web, self._shown(found, given), found).encode("utf-8", "replace")
        headers = {"content-type": _HTML, "content-length": str(len(text))}
        return Response(HTTPStatus.OK, headers, b"" if self._environ["REQUEST_METHOD"] == "HEAD" else text)

    def _shown(self, rows: list[dict[str, object]], given: dict[str, str]) -> Directory:
        prefix = self._environ.get(TEMP_URL_PREFIX)
        is_by_link = prefix is not None
        kept = {name: value for name, value in given.items() if name.startswith("temp_url_")} if is_by_link else {}
        limit = 10_000
        last = str(rows[-1].get("subdir") or rows[-1].get("name")) if len(rows) >= limit else ""
        title = f"{self._root}/{self._name}"
        has_parent = not is_by_link or len(self._name) > len(prefix or "")
        return Directory(title, self._name, urlencode(kept), last, has_parent)

    def _missing(self) -> Response | SubResponse:
        return self._error(Response(HTTPStatus.NOT_FOUND, {"content-type": _HTML}, b"<html><h1>Not Found</h1></html>"))

    def _error(self, plain: Response | SubResponse) -> Response | SubResponse:
        """The site's own page of this error, where it has one."""
        if not self._web.error:
            return plain
        found = self._ask(f"{plain.status}{self._web.error}", method="GET")
        if not is_success(found.status):
            found.close()
            return plain
        try:
            body = found.read(_PAGE_BYTES)
        except BodyTooLarge:
            return plain
        headers = {**found.headers, "content-length": str(len(body))}
        if isinstance(plain, SubResponse):
            plain.close()
            if "www-authenticate" in plain.headers:
                headers["www-authenticate"] = plain.headers["www-authenticate"]
        return Response(plain.status, headers, b"" if self._environ["REQUEST_METHOD"] == "HEAD" else body)

    def _redirect(self) -> Response:
        """To the same path with a slash, or every link of the page would lead astray."""
        # Only a signed link needs its query further on; filters on the way have added to QUERY_STRING.
        query = self._environ.get(RAW_TARGET, "").partition("?")[2] if TEMP_URL_PREFIX in self._environ else ""
        path = quoted(text_of(self._environ["PATH_INFO"])) + "/" + (f"?{query}" if query else "")
        base = self._url_base
        if not urlsplit(base).netloc:
            scheme = base.rstrip(":") or self._environ.get("wsgi.url_scheme", "http")
            base = f"{scheme}://{quote(self._environ.get('HTTP_HOST', 'localhost'), safe='[]:')}"
        response = page(HTTPStatus.MOVED_PERMANENTLY, f"It stands at {base + path}", {"location": base + path})
        if self._environ["REQUEST_METHOD"] == "HEAD":
            response.body = b""
        return response

    # Asking

    def _own(self) -> SubResponse:
        return call(self._app, self._environ)

    def _ask(self, name: str, method: str = "", headers: dict[str, str] | None = None) -> SubResponse:
        """An object of the site, in the visitor's name."""
        return call(self._app, self._child(f"/{name}", method or self._environ["REQUEST_METHOD"], headers=headers))

    def _rows(self, query: dict[str, str]) -> list[dict[str, object]] | SubResponse:
        """The rows of a page of the container's listing, or the answer where that was not a listing."""
        answer = call(self._app, self._child("", "GET", urlencode(query, errors="surrogateescape")))
        if not is_success(answer.status):
            return answer
        rows = json.loads(answer.read(_LISTING_BYTES) or b"[]")
        assert isinstance(rows, list)
        return rows

    def _has_names_below(self) -> bool:
        if not (self._web.index or self._web.has_listings):
            return False
        rows = self._rows({"format": "json", "delimiter": "/", "prefix": f"{self._name}/", "limit": "1"})
        if isinstance(rows, SubResponse):
            rows.close()
            return False
        return bool(rows)

    def _child(self, below: str, method: str, query: str = "", headers: dict[str, str] | None = None) -> Environ:
        child = child_environ(
            self._environ, method, wsgi_of(self._root + below), source=SOURCE, query=query, headers=headers
        )
        return child

    def _conditions(self) -> dict[str, str]:
        """An index is read under the conditions and the range of the directory it stands for."""
        names = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range")
        keys = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in names}
        return {name: self._environ[key] for name, key in keys.items() if key in self._environ}

    def _marks_directory(self, answer: SubResponse) -> bool:
        headers = answer.headers
        kind = headers.get("content-type", "").partition(";")[0].strip()
        return kind == self._web.directory_type and int(headers.get("content-length") or 0) <= 1


def _text(value: str) -> str:
    try:
        return text_of(value)
    except InvalidName:
        return value


@reads(StaticwebSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Staticweb]:
    settings = settings_for(StaticwebSettings, global_conf, local_conf)
    capabilities.register("staticweb")
    return lambda app: Staticweb(app, settings)
