"""From what the replicas said to what the client hears."""

from __future__ import annotations

from collections.abc import Iterable

from objstore.http.response import HTML, Response, page
from objstore.http.status import HTTPStatus
from objstore.proxy.write import Write

_SILENT = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT})
_UNAVAILABLE = "The service is currently unavailable; please try again in a moment."


def write_answer(write: Write, shown: Iterable[str] = ()) -> Response:
    """The verdict of a write, with the text and the `shown` headers of a replica that said so."""
    status = write.status
    reply = write.reply_for(status)
    headers = {name: reply.headers[name] for name in shown if name in reply.headers} if reply else {}
    if status in _SILENT:
        return Response(status, {"content-type": HTML, **headers})
    if reply is not None and reply.headers.get("content-type", "").startswith("text/"):
        # The server's own words: what is wrong with metadata that only it knows in whole.
        if reply.body and status == HTTPStatus.BAD_REQUEST:
            return page(status, reply.body.decode("utf-8", "replace"), headers)
    return failure(status, headers)


def failure(status: int, headers: dict[str, str] | None = None) -> Response:
    return page(status, _UNAVAILABLE if status == HTTPStatus.SERVICE_UNAVAILABLE else "", headers)


def headless(response: Response) -> Response:
    """The answer to a HEAD: an error page has no text."""
    if isinstance(response.body, bytes) and response.status >= HTTPStatus.BAD_REQUEST:
        response.body = b""
        response.headers["content-length"] = "0"
    return response
