"""Opening pieces on behalf of a client's request: with its rights, below the filter that asks.

Every answer is checked before a byte of it is used: status, ETag, length, and the range when a part is wanted. An
answer that does not fit may come from a replica that has missed the last write, so it is asked again of all of them
before the segment counts as changed.
"""

from __future__ import annotations

from urllib.parse import unquote

from objstore.core.names import ClientPath, client_path
from objstore.http.environ import SMALL_OBJECTS, Environ, SmallObjectService, WSGIApp
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import SubResponse, call, child_environ
from objstore.middleware.segments.collection import Collection
from objstore.middleware.segments.piece import Piece, SegmentFailed

_ABOUT_THE_WHOLE = frozenset(
    {
        "HTTP_IF_MATCH",
        "HTTP_IF_NONE_MATCH",
        "HTTP_IF_MODIFIED_SINCE",
        "HTTP_IF_UNMODIFIED_SINCE",
        "HTTP_IF_RANGE",
        "HTTP_RANGE",
    }
)
_FINAL = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class SegmentSource:
    """name: of the filter that asks, for the log."""

    def __init__(self, app: WSGIApp, environ: Environ, name: str) -> None:
        self._app = app
        self._environ = environ
        self._name = name

    def open(self, piece: Piece) -> SubResponse:
        """The answer that holds exactly the piece. Raises SegmentFailed."""
        headers = {}
        if piece.span.size != piece.size:
            headers["range"] = f"bytes={piece.span.start}-{piece.span.stop - 1}"
        why = ""
        for freshness in ({}, {"x-newest": "true"}):
            answer = self.get(piece.path, {**headers, **freshness})
            why = _difference(answer, piece)
            if not why:
                return answer
            answer.close()
            if answer.status in _FINAL:
                break
        raise SegmentFailed(piece.path, why)

    @property
    def collection(self) -> Collection | None:
        """Several pieces at once, where the pipeline can do that."""
        service: SmallObjectService | None = self._environ.get(SMALL_OBJECTS)
        return None if service is None else Collection(service, self._environ, self._name)

    def get(self, path: str, headers: dict[str, str] | None = None, query: str = "") -> SubResponse:
        child = child_environ(self._environ, "GET", path, source=self._name, query=query, headers=headers)
        return call(self._app, child)


def _difference(answer: SubResponse, piece: Piece) -> str:
    """Why an answer is not the piece that was asked for, or ''."""
    is_whole = piece.span.size == piece.size
    if answer.status != (HTTPStatus.OK if is_whole else HTTPStatus.PARTIAL_CONTENT):
        return f"answered with {answer.status_line}"
    headers = answer.headers
    etag = headers.get("etag", "").strip('"')
    if etag != piece.etag:
        return f"its ETag is {etag}, the manifest says {piece.etag}"
    if headers.get("content-length") != str(piece.span.size):
        return f"{headers.get('content-length')} bytes came, {piece.span.size} were asked for"
    if not is_whole and headers.get("content-range") != piece.span.content_range(piece.size):
        return f"it is {headers.get('content-range')}, the manifest says {piece.size} bytes"
    return ""


def plain_get(environ: Environ) -> Environ:
    """The client's question without Range and conditions, as a GET."""
    return {**{key: value for key, value in environ.items() if key not in _ABOUT_THE_WHOLE}, "REQUEST_METHOD": "GET"}


def account_of(answer: SubResponse, path: ClientPath) -> str:
    """Whose segments a manifest names: a symlink may have led to another account."""
    location = answer.headers.get("content-location", "").partition("?")[0]
    found = client_path(unquote(location, encoding="latin-1")) if location else None
    account = found.account if found is not None else path.account
    assert account is not None
    return account
