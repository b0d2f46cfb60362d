"""BATCH: the handlers of the ordinary verbs, several times by one request (peers/batched).

What costs a server most of a HEAD or of a tombstone is the request around it. They are under way together: what DELETEs
wait for is the disk, which syncs several files as fast as one.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from objstore.core.headers import environ_key
from objstore.http.environ import RAW_TARGET, Environ
from objstore.http.request import Request
from objstore.http.response import JSON, Response
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import BytesInput
from objstore.peers.batched import QUESTION_BYTES, Answered, Item, answer, parse_question
from objstore.runtime.several import several
from objstore.runtime.turns import Turns

_NOT_SHARED = ("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT")
AT_ONCE = 32
"""Of one batch."""
Respond = Callable[[Request], Response]


class BatchHandler:
    """handler(request) → Response. respond: to one of the requests; raises nothing."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    def __call__(self, request: Request) -> Response:
        """Raises BadRequest: none of them was carried out."""
        request.backend_path(2, 2)
        items = parse_question(request.body.read(QUESTION_BYTES))
        shared = {key: value for key, value in request.environ.items() if key not in _NOT_SHARED}
        turns = Turns()

        def answered(item: Item) -> Answered:
            found = self._answered(shared, item)
            turns.give()
            return found

        return Response(HTTPStatus.OK, {"content-type": JSON}, answer(several(AT_ONCE, answered, items)))

    def _answered(self, shared: Environ, item: Item) -> Answered:
        environ = {
            **shared,
            "REQUEST_METHOD": item.method,
            "PATH_INFO": unquote_to_bytes(item.path).decode("latin-1"),
            "QUERY_STRING": "",
            RAW_TARGET: item.path,
            "wsgi.input": BytesInput(),
        }
        for name, value in item.headers.items():
            environ[environ_key(name)] = value
        response = self._respond(Request(environ))
        close = getattr(response.body, "close", None)
        if close is not None:
            close()
        return Answered(response.status, response.headers)
