"""tempurl: a link that lets whoever has it do one thing to one object (or to a prefix of names) until it expires.

    /v1/account/container/object?temp_url_sig=…&temp_url_expires=…
        [&temp_url_prefix=…] [&temp_url_ip_range=…] [&filename=…] [&inline]

signs METHOD, expiry and path with a key of the account or of the container. What the link lets through is authorized
here; what other filters ask on its behalf may not leave the account, or the container, whose key it was. Nothing can
be stored by a link that would later read other objects in the reader's name: manifests, links and copies are refused
(CVE-2015-5223, CVE-2026-71191). Source: features A5.1, A5.2; Swift API guide, "Temporary URL middleware".
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from objstore.config.boot import settings_for
from objstore.config.settings import Kind, Settings, reads, setting
from objstore.core.headers import header_name
from objstore.core.names import ClientPath
from objstore.core.signatures import DIGEST_BYTES, allowed_digests
from objstore.http import capabilities
from objstore.http import environ as keys
from objstore.http.environ import Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.request import Request
from objstore.http.response import page
from objstore.http.status import HTTPStatus, is_success
from objstore.middleware.signed_scope import Scope, signed_scope, unsigned
from objstore.middleware.tempurl_link import Link, disposition, holds_link

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})
_READS = ("GET", "HEAD")
_NEVER_STORED = {
    "HTTP_X_OBJECT_MANIFEST": "X-Object-Manifest",
    "HTTP_X_SYMLINK_TARGET": "X-Symlink-Target",
    "HTTP_X_COPY_FROM": "X-Copy-From",
    "HTTP_X_VERSIONS_LOCATION": "X-Versions-Location",
}
_MANIFEST = "multipart-manifest"
_VERSIONS = frozenset({"v1", "v1.0"})


def words(known: Iterable[str]) -> Kind:
    """Some of `known`, separated by spaces."""
    order = tuple(known)
    by_lower = {item.lower(): item for item in order}

    def parse(text: str) -> tuple[str, ...]:
        wrong = [word for word in text.split() if word.lower() not in by_lower]
        if wrong or not text.split():
            raise ValueError(f"not {' '.join(wrong)}" if wrong else "none is given")
        return tuple(dict.fromkeys(by_lower[word.lower()] for word in text.split()))

    return Kind(parse, f"some of {' '.join(order)}, separated by spaces")


_PATTERN = re.compile(r"[a-z0-9!#$%&'+.^_`|~-]+\*?")


def _header_patterns(text: str) -> tuple[str, ...]:
    patterns = tuple(text.lower().split())
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is not a name of a header")
    return patterns


_patterns = Kind(_header_patterns, "names of headers separated by spaces; a * at the end stands for any rest")


@dataclass(frozen=True)
class TempurlSettings(Settings):
    methods: tuple[str, ...] = setting("GET HEAD PUT POST DELETE", words(sorted(_METHODS)), "What links may do.")
    allowed_digests: tuple[str, ...] = setting(
        "sha1 sha256 sha512", words(DIGEST_BYTES), "Hashes that a signature may use; sha1 is for old clients."
    )
    incoming_remove_headers: tuple[str, ...] = setting(
        "x-timestamp x-open-expired", _patterns, "Headers of a request by link that are taken away.", advanced=True
    )
    incoming_allow_headers: tuple[str, ...] = setting(
        "", _patterns, "Exceptions to incoming_remove_headers.", advanced=True
    )
    outgoing_remove_headers: tuple[str, ...] = setting(
        "x-object-meta-*", _patterns, "Headers that an answer to a link does not show.", advanced=True
    )
    outgoing_allow_headers: tuple[str, ...] = setting(
        "x-object-meta-public-*", _patterns, "Exceptions to outgoing_remove_headers.", advanced=True
    )


class HeaderFilter:
    """Which headers are taken away: those that match `removed` and not `allowed`."""

    def __init__(self, removed: tuple[str, ...], allowed: tuple[str, ...]) -> None:
        self._removed = _matcher(removed)
        self._allowed = _matcher(allowed)

    def removes(self, name: str) -> bool:
        """name: lower case."""
        return self._removed(name) and not self._allowed(name)


class Tempurl:
    def __init__(self, app: WSGIApp, settings: TempurlSettings, now: Callable[[], float] = time.time) -> None:
        """now: wall seconds."""
        self._app = app
        self._methods = frozenset(settings.methods)
        self._digests = frozenset(settings.allowed_digests)
        self._incoming = HeaderFilter(settings.incoming_remove_headers, settings.incoming_allow_headers)
        self._outgoing = HeaderFilter(settings.outgoing_remove_headers, settings.outgoing_allow_headers)
        self._now = now

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        if "temp_url_" not in query or environ["REQUEST_METHOD"] == "OPTIONS":
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        request = Request(environ)
        if not holds_link(request.query):
            body = self._app(environ, start_response)
            return body
        path = client_path_of(environ)
        link = Link.parse(request.query)
        scope = self._scope(environ, link, path) if link is not None and path is not None else None
        if link is None or scope is None:
            return _invalid(environ, start_response)
        refused = _forbidden_header(environ)
        if refused:
            why = f"The header {refused!r} is not allowed in a request by temporary URL"
            return page(HTTPStatus.BAD_REQUEST, why)(environ, start_response)
        assert path is not None
        self._admit(environ, scope, path)
        if link.prefix is not None:
            environ[keys.TEMP_URL_PREFIX] = link.prefix
        body = self._app(environ, self._answering(environ, start_response, link, path))
        return body

    def _scope(self, environ: Environ, link: Link, path: ClientPath) -> Scope | None:
        """None when the link is no good."""
        method = environ["REQUEST_METHOD"]
        if method not in self._methods or not _is_object_or_site(path, link, method):
            return None
        if link.signature.algorithm not in self._digests or link.expires < self._now():
            return None
        if not link.admits(environ.get("REMOTE_ADDR", "")) or not link.covers(path):
            return None
        return signed_scope(environ, path, link.signature, link.messages(method, environ["PATH_INFO"], path))

    def _admit(self, environ: Environ, scope: Scope, path: ClientPath) -> None:
        # A link shows what an object is, not what it is made of.
        parts = environ.get("QUERY_STRING", "").split("&")
        environ["QUERY_STRING"] = "&".join(part for part in parts if part.partition("=")[0] != _MANIFEST)
        for key in [key for key in environ if key.startswith("HTTP_") and self._incoming.removes(header_name(key))]:
            del environ[key]
        if path.obj is not None:
            environ[keys.AUTHORIZE_OVERRIDE] = True
        scope.govern(environ, ".wsgi.tempurl")

    def _answering(
        self, environ: Environ, start_response: StartResponse, link: Link, path: ClientPath
    ) -> StartResponse:
        is_read = environ["REQUEST_METHOD"] in _READS

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            shown = [pair for pair in headers if not self._outgoing.removes(pair[0].lower())]
            if is_read and is_success(int(status[:3])) and path.obj is not None:
                shown = disposition(link, path.obj, shown)
            return start_response(status, shown, *exc_info)

        return start


def _is_object_or_site(path: ClientPath, link: Link, method: str) -> bool:
    """A link is for an object; one for a prefix also for the page that static web makes of a container."""
    if path.version not in _VERSIONS or path.container is None:
        return False
    return path.obj is not None or (link.prefix is not None and method in _READS)


def _forbidden_header(environ: Environ) -> str:
    """The name of a header that a link must not carry, '' when there is none."""
    for key, name in _NEVER_STORED.items():
        if key in environ:
            return name
    if environ["REQUEST_METHOD"] == "PUT" and _MANIFEST in Request(environ).query:
        return _MANIFEST
    return ""


def _invalid(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """One answer for every reason: which of them it was is nobody's business."""
    response = unsigned("Temp URL invalid")
    if environ["REQUEST_METHOD"] == "HEAD":
        response.body = b""
    return response(environ, start_response)


def _matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    exact = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
    prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
    return lambda name: name in exact or (bool(prefixes) and name.startswith(prefixes))


@reads(TempurlSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Tempurl]:
    settings = settings_for(TempurlSettings, global_conf, local_conf)
    capabilities.register(
        "tempurl",
        methods=list(settings.methods),
        incoming_remove_headers=list(settings.incoming_remove_headers),
        incoming_allow_headers=list(settings.incoming_allow_headers),
        outgoing_remove_headers=list(settings.outgoing_remove_headers),
        outgoing_allow_headers=list(settings.outgoing_allow_headers),
        **allowed_digests(settings.allowed_digests),
    )
    return lambda app: Tempurl(app, settings)
