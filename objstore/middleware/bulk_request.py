"""One of the many requests that a bulk operation is: its status, whatever happens to it, for a line of the report."""

from __future__ import annotations

import logging

from objstore.http.environ import Environ, WSGIApp
from objstore.http.errors import error_response
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import call

_log = logging.getLogger("objstore.bulk")


def status_of(app: WSGIApp, environ: Environ) -> int:
    """Of the answer, which is read to its end; of an error, what clients are told of it. Raises nothing."""
    try:
        answer = call(app, environ)
        answer.discard()
    except Exception as error:  # One name's failure is not that of the others.
        response = error_response(error)
        if response is None:
            _log.exception("method=%s path=%r: unexpected error", environ["REQUEST_METHOD"], environ["PATH_INFO"])
        return response.status if response is not None else HTTPStatus.INTERNAL_SERVER_ERROR
    return answer.status
