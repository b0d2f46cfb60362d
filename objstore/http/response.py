"""A response as handlers return it: status, headers, body; itself a WSGI application.

Header names may be in any case here; they leave in title case. Content-Length is added from a bytes body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from objstore.core.headers import title
from objstore.http.environ import Environ, StartResponse
from objstore.http.status import reason, status_line

HTML = "text/html; charset=UTF-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"
XML = "application/xml; charset=utf-8"


class Response:
    """body: bytes, or an iterable that goes out as it is (a TransferBody by its own transfer()).

    A handler that answers HEAD gives an empty body and says Content-Length itself.
    """

    __slots__ = ("status", "headers", "body")

    def __init__(
        self, status: int, headers: Mapping[str, str] | None = None, body: bytes | Iterable[bytes] = b""
    ) -> None:
        self.status = status
        self.headers: dict[str, str] = dict(headers) if headers else {}
        self.body = body

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        headers = [(title(name), value) for name, value in self.headers.items()]
        body = self.body
        if isinstance(body, bytes):
            if "content-length" not in self.headers and "Content-Length" not in self.headers:
                headers.append(("Content-Length", str(len(body))))
            body = (body,) if body else ()
        start_response(status_line(self.status), headers)
        return body


def plain(status: int, text: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """A short answer to a person: an error, or nothing at all with text/html as Swift has it."""
    if text:
        return Response(status, {"content-type": TEXT, **(headers or {})}, text.encode("utf-8", "replace"))
    return Response(status, {"content-type": HTML, **(headers or {})})


def page(status: int, explanation: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """An error as Swift's clients know it: a line of HTML. The explanation is text and gets escaped here."""
    title_text = escape(reason(status))
    body = f"<html><h1>{title_text}</h1><p>{escape(explanation or reason(status))}</p></html>"
    return Response(status, {"content-type": HTML, **(headers or {})}, body.encode("utf-8", "replace"))
