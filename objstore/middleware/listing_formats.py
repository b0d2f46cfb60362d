"""listing_formats: inside, every listing is JSON; here, at the edge, it becomes what the client asked for.

`?format=` decides (an unknown one means text), else the Accept header, and then the answer varies by it. JSON goes out
as it came, byte for byte and without being looked at; text and XML are made from it. An empty text listing is 204.
Source: features A1.2, A5.16.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, reads
from objstore.core.accept import best_match
from objstore.core.errors import BadRequest
from objstore.core.listing import to_text, to_xml_account, to_xml_container
from objstore.core.names import ClientPath
from objstore.http.environ import Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus, status_line
from objstore.http.subrequest import SubResponse, call

_JSON = "application/json"
_TEXT = "text/plain"
_OFFERED = (_TEXT, _JSON, "application/xml", "text/xml")
_BY_FORMAT = {"plain": _TEXT, "json": _JSON, "xml": "application/xml"}
_JSON_ALONE = (_JSON,)
_VERSIONS = frozenset({"v1", "v1.0"})
_LISTING_STATUS = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT})
_LISTING_BYTES = 256 << 20
"""Far above any page of 10,000 names of 1,024 bytes with their escapes: a wall against a backend gone mad."""
_LABELS = frozenset({"content-type", "vary"})
_REWRITTEN = _LABELS | {"content-length"}


@dataclass(frozen=True)
class ListingFormatsSettings(Settings):
    pass


class ListingFormats:
    def __init__(self, app: WSGIApp) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD") or (path := _listed(environ)) is None:
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        try:
            wanted, varies = _wanted(environ, _OFFERED if not _lists_versions(environ, path) else _JSON_ALONE)
        except BadRequest as error:
            return page(HTTPStatus.BAD_REQUEST, error.reason)(environ, start_response)
        except UnicodeError:
            # As a reference system has it: this one error is text.
            refusal = Response(HTTPStatus.BAD_REQUEST, {"content-type": _TEXT}, b'"format" parameter not valid UTF-8')
            return refusal(environ, start_response)
        if wanted is None:
            return page(HTTPStatus.NOT_ACCEPTABLE, f"Listings are {', '.join(_OFFERED)}")(environ, start_response)
        environ["QUERY_STRING"] = _with_json(environ.get("QUERY_STRING", ""))
        if method == "HEAD" or wanted == _JSON:
            return self._relabelled(environ, start_response, wanted, varies)
        return self._converted(environ, start_response, path, wanted, varies)

    def _relabelled(
        self, environ: Environ, start_response: StartResponse, wanted: str, varies: bool
    ) -> Iterable[bytes]:
        """The same body, or none of a HEAD, under the type the client wants."""
        # The length of a HEAD is that of the JSON: of another form it is not known.
        dropped = _REWRITTEN if wanted != _JSON else _LABELS
        length = [("Content-Length", "0")] if wanted != _JSON else []

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if int(status[:3]) in _LISTING_STATUS:
                if _is_json(headers):
                    labels = _type_headers(wanted, varies, headers)
                    headers = [pair for pair in headers if pair[0].lower() not in dropped] + labels + length
                elif varies:
                    # A page that a filter below shows instead of the listing: with another Accept it might be that.
                    headers = [*(pair for pair in headers if pair[0].lower() != "vary"), _vary(headers)]
            return start_response(status, headers, *exc_info)

        body: Iterable[bytes] = self._app(environ, start)
        return body

    def _converted(
        self, environ: Environ, start_response: StartResponse, path: ClientPath, wanted: str, varies: bool
    ) -> Iterable[bytes]:
        answer = call(self._app, environ)
        if not _is_listing(answer):
            kept = answer.header_list
            if varies and answer.status in _LISTING_STATUS:
                kept = [*(pair for pair in kept if pair[0].lower() != "vary"), _vary(kept)]
            start_response(answer.status_line, kept)
            return answer.body
        items = json.loads(answer.read(_LISTING_BYTES) or b"[]")
        body = _rendered(items, path, wanted)
        status = answer.status_line
        if wanted == _TEXT:
            status = status_line(HTTPStatus.OK if body else HTTPStatus.NO_CONTENT)
        headers = [pair for pair in answer.header_list if pair[0].lower() not in _REWRITTEN]
        headers += [*_type_headers(wanted, varies, answer.header_list), ("Content-Length", str(len(body)))]
        start_response(status, headers)
        return (body,) if body else ()


def _listed(environ: Environ) -> ClientPath | None:
    """The account or container of the path; None for anything else. Raises InvalidName."""
    path = client_path_of(environ)
    if path is None or path.account is None or path.obj is not None or path.version not in _VERSIONS:
        return None
    return path


def _lists_versions(environ: Environ, path: ClientPath) -> bool:
    """?versions of a container, which is JSON and nothing else (A4.8)."""
    if "versions" not in environ.get("QUERY_STRING", "") or path.container is None:
        return False
    return environ["REQUEST_METHOD"] == "GET" and "versions" in Request(environ).query


def _wanted(environ: Environ, offered: tuple[str, ...]) -> tuple[str | None, bool]:
    """(media type or None when none is acceptable, whether Accept decided). Raises BadRequest, UnicodeError."""
    if "format" in environ.get("QUERY_STRING", ""):
        asked = Request(environ).query.get("format")
        if asked:
            asked.encode("utf-8")  # Surrogates stand for bytes that are not UTF-8.
            wanted = _BY_FORMAT.get(asked.lower(), _TEXT)
            return wanted if wanted in offered else None, False
    accept = environ.get("HTTP_ACCEPT", "")
    varies = len(offered) > 1
    if not accept or accept == "*/*":
        return offered[0], varies
    return best_match(accept, offered), varies


def _with_json(query: str) -> str:
    """The query with format=json as its only format; everything else stays as it was written."""
    if not query:
        return "format=json"
    parts = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) != "format"]
    return "&".join([*parts, "format=json"])


def _is_listing(answer: SubResponse) -> bool:
    return answer.status in _LISTING_STATUS and _is_json(answer.header_list)


def _is_json(headers: list[tuple[str, str]]) -> bool:
    return any(name.lower() == "content-type" and value.partition(";")[0].strip() == _JSON for name, value in headers)


def _type_headers(wanted: str, varies: bool, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """headers: of the answer that is relabelled."""
    labels = [("Content-Type", f"{wanted}; charset=utf-8")]
    if varies:
        return [*labels, _vary(headers)]
    return labels + [pair for pair in headers if pair[0].lower() == "vary"]


def _vary(headers: list[tuple[str, str]]) -> tuple[str, str]:
    """Accept, beside what the answer varies by already."""
    found = [value for name, value in headers if name.lower() == "vary"]
    return "Vary", ", ".join([*found, "Accept"])


def _rendered(items: list[Mapping[str, Any]], path: ClientPath, wanted: str) -> bytes:
    assert path.account is not None
    if wanted == _TEXT:
        return to_text(items)
    if path.container is None:
        return to_xml_account(path.account, items)
    return to_xml_container(path.container, items)


@reads(ListingFormatsSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], ListingFormats]:
    settings_for(ListingFormatsSettings, global_conf, local_conf)
    return ListingFormats
