"""Rows of container listings on their way out: what filters left in the etag column becomes keys of its own.

A listing without a filter's mark is handed on byte for byte: only a search in its text is paid.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from objstore.core.row_etag import joined, split
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.status import HTTPStatus
from objstore.http.subrequest import SubResponse, call

LISTING_BYTES_MAX = 256 << 20
Row = dict[str, Any]


def rewritten(
    app: WSGIApp, environ: Environ, start_response: StartResponse, mark: bytes, change: Callable[[Row], None]
) -> Iterable[bytes]:
    """The answer to a container GET, with change() applied to each row when `mark` stands anywhere in the body."""
    answer = call(app, environ)
    if not is_json_listing(answer):
        start_response(answer.status_line, answer.header_list)
        return answer.body
    body = answer.read(LISTING_BYTES_MAX)
    if mark in body:
        rows = json.loads(body)
        for row in rows:
            change(row)
        body = json.dumps(rows).encode()
    return send_listing(answer, body, start_response)


def send_listing(answer: SubResponse, body: bytes, start_response: StartResponse) -> Iterable[bytes]:
    headers = [pair for pair in answer.header_list if pair[0].lower() != "content-length"]
    start_response(answer.status_line, [*headers, ("Content-Length", str(len(body)))])
    return (body,) if body else ()


def is_json_listing(answer: SubResponse) -> bool:
    return answer.status == HTTPStatus.OK and answer.headers.get("content-type", "").startswith("application/json")


def taken(row: Row, names: Iterable[str]) -> dict[str, str]:
    """Take parameters out of a row's hash; those that were there."""
    text = row.get("hash")
    if not isinstance(text, str) or ";" not in text:
        return {}
    etag, parameters = split(text)
    found = {name: parameters.pop(name) for name in names if name in parameters}
    row["hash"] = joined(etag, parameters)
    return found
