"""?heartbeat=on of a copy: 202 at once, a blank now and then while the copy runs, at the end a report of its answer.

Proxies and clients with short patience then keep the connection. The real status stands in the report, as
`Response Status`, in JSON or in lines of text. Source: feature A3.8.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from objstore.core.accept import best_match
from objstore.core.errors import BadRequest
from objstore.http.environ import Environ, StartResponse
from objstore.http.errors import error_response
from objstore.http.status import HTTPStatus, status_line
from objstore.http.subrequest import SubResponse
from objstore.middleware.heartbeat import INTERVAL_S, HeartbeatBody

_log = logging.getLogger("objstore.copy")
_TEXT, _JSON = "text/plain", "application/json"
_BODY_BYTES = 65536


def report_type(environ: Environ) -> str:
    try:
        return best_match(environ.get("HTTP_ACCEPT", ""), (_TEXT, _JSON)) or _TEXT
    except BadRequest:
        return _TEXT


class CopyReport:
    """The report of a copy that is still to run. write: carries it out; abandon: called instead when nobody ever reads
    this. shown: headers of a success."""

    def __init__(
        self,
        write: Callable[[], SubResponse],
        abandon: Callable[[], None],
        shown: list[tuple[str, str]],
        type_: str,
    ) -> None:
        self._write = write
        self._abandon = abandon
        self._shown = shown
        self._type = type_

    def start(self, start_response: StartResponse, interval_s: float = INTERVAL_S) -> HeartbeatBody:
        start_response(status_line(HTTPStatus.ACCEPTED), [("Content-Type", self._type)])
        return HeartbeatBody(self._run, abandon=self._abandon, interval_s=interval_s)

    def _run(self) -> bytes:
        try:
            answer = self._write()
            headers = answer.header_list + (self._shown if answer.is_success else [])
            return self._report(answer.status_line, headers, answer.read(_BODY_BYTES))
        except Exception as error:  # The request boundary: 202 has been sent, and the catch_errors filter is past.
            response = error_response(error)
            if response is None:
                _log.exception("a copy under way failed")
            status = response.status if response is not None else HTTPStatus.INTERNAL_SERVER_ERROR
            return self._report(status_line(status), [], b"")

    def _report(self, status: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
        text = body.decode("utf-8", "replace")
        facts = {"Response Status": status, "Response Body": text, **dict(headers)}
        if self._type == _JSON:
            return json.dumps({**facts, "Errors": []}).encode()
        lines = [f"{name}: {facts[name]}\n" for name in sorted(facts)]
        return ("".join(lines) + "Errors:\n").encode("utf-8", "replace")
