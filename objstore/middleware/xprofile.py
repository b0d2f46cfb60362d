"""xprofile: what a running worker spends its processor time on, measured for a few seconds while it serves.

    GET /__profile__                                  a page with a form
    GET /__profile__?seconds=10[&sort=tottime][&limit=50][&format=html|text|json|pstats]

The answer comes after those seconds, from the worker that took the request; others go on unmeasured, and nothing is
left switched on. `pstats` is a file for Python's pstats and for viewers that read it. Only this machine and reseller
administrators are answered. How it measures: runtime/sampling.py. Source: feature B5.14; threats ("debug/profile
endpoints unauthenticated").
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, decimal, reads, setting, text
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.request import Request
from objstore.http.response import HTML, JSON, TEXT, Response, page
from objstore.http.status import HTTPStatus
from objstore.middleware.operator_access import refusal
from objstore.runtime import green
from objstore.runtime.sampling import AlreadySampling, Sampling

_SORTS = ("tottime", "cumtime", "ncalls", "name")
_FORMATS = ("html", "text", "json", "pstats")
_LIMIT = 50
_LIMIT_MAX = 10_000


@dataclass(frozen=True)
class XprofileSettings(Settings):
    """Measures a running worker; answers this machine and reseller administrators only."""

    path: str = setting("/__profile__", text, "The path at which it answers.")
    seconds_max: float = setting("60", decimal(0.1, 3600), "The longest measurement that may be asked for.")
    sampling_interval: float = setting(
        "0.005", decimal(0.001, 1), "Seconds of processor time between two looks at what runs."
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    seconds: float
    sort: str
    limit: int
    format: str


class Xprofile:
    def __init__(self, app: WSGIApp, settings: XprofileSettings, wait: Callable[[float], None] = green.sleep) -> None:
        self._app = app
        self._path = "/" + settings.path.strip("/")
        self._seconds_max = settings.seconds_max
        self._interval_s = settings.sampling_interval
        self._wait = wait

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].rstrip("/") != self._path:
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        answer = refusal(environ) or self._answer(Request(environ))
        return answer(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.method != "GET":
            return page(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is answered here.", {"allow": "GET"})
        if "seconds" not in request.query:
            return _html("")
        try:
            asked = self._asked(request)
        except ValueError as error:
            return page(HTTPStatus.BAD_REQUEST, str(error))
        try:
            with Sampling(self._interval_s) as sampling:
                self._wait(asked.seconds)
        except AlreadySampling:
            return page(HTTPStatus.CONFLICT, "This worker is being measured already; ask again in a moment.")
        return _shown(sampling, asked)

    def _asked(self, request: Request) -> _Asked:
        """Raises ValueError that says what was expected."""
        query = request.query
        seconds = _number(query.get("seconds", ""), "seconds", self._seconds_max)
        limit = int(_number(query.get("limit", str(_LIMIT)), "limit", _LIMIT_MAX))
        sort, format_ = query.get("sort", _SORTS[0]), query.get("format", _FORMATS[0])
        for name, value, known in (("sort", sort, _SORTS), ("format", format_, _FORMATS)):
            if value not in known:
                raise ValueError(f"{name}={value}: expected one of {', '.join(known)}")
        return _Asked(seconds, sort, limit, format_)


def _number(value: str, name: str, most: float) -> float:
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 < found <= most:
        raise ValueError(f"{name}={value}: expected a number above 0, at most {most:g}")
    return found


def _shown(sampling: Sampling, asked: _Asked) -> Response:
    if asked.format == "pstats":
        name = {"content-disposition": 'attachment; filename="objstore.pstats"'}
        return Response(HTTPStatus.OK, {"content-type": "application/octet-stream", **name}, _dumped(sampling))
    if asked.format == "json":
        return Response(HTTPStatus.OK, {"content-type": JSON}, json.dumps(_facts(sampling, asked)).encode())
    table = _table(sampling, asked)
    if asked.format == "text":
        return Response(HTTPStatus.OK, {"content-type": TEXT}, table.encode("utf-8", "replace"))
    return _html(table)


def _table(sampling: Sampling, asked: _Asked) -> str:
    out = io.StringIO()
    print(f"worker {os.getpid()}: {sampling.sample_count} samples in {asked.seconds:g} s; calls are samples", file=out)
    stats: Any = sampling.stats()
    stats.stream = out
    if sampling.sample_count:
        stats.sort_stats(asked.sort).print_stats(asked.limit)
    return out.getvalue()


def _facts(sampling: Sampling, asked: _Asked) -> dict[str, object]:
    rows: list[dict[str, Any]] = [
        {"file": file, "line": line, "function": name, "ncalls": row[1], "tottime": row[2], "cumtime": row[3]}
        for (file, line, name), row in sampling.rows.items()
    ]
    key = "function" if asked.sort == "name" else asked.sort
    rows.sort(key=lambda row: row[key], reverse=key != "function")
    return {"pid": os.getpid(), "samples": sampling.sample_count, "functions": rows[: asked.limit]}


def _dumped(sampling: Sampling) -> bytes:
    """pstats writes to paths alone."""
    with tempfile.TemporaryDirectory(prefix="objstore-profile-") as directory:
        path = os.path.join(directory, "pstats")
        sampling.stats().dump_stats(path)
        with open(path, "rb") as file:
            return file.read()


_PAGE = """<!DOCTYPE html><html><head><title>objstore profile</title></head><body>
<form method="get">Measure this worker for <input name="seconds" value="10" size="4"> seconds,
sort by <select name="sort">{sorts}</select>, show <input name="limit" value="50" size="5"> functions
as <select name="format">{formats}</select> <button>Go</button></form><pre>{table}</pre></body></html>
"""


def _html(table: str) -> Response:
    text_ = _PAGE.format(sorts=_options(_SORTS), formats=_options(_FORMATS), table=escape(table))
    headers = {"content-type": HTML, "cache-control": "no-store"}
    return Response(HTTPStatus.OK, headers, text_.encode("utf-8", "replace"))


def _options(values: tuple[str, ...]) -> str:
    return "".join(f"<option>{value}</option>" for value in values)


@reads(XprofileSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Xprofile]:
    settings = settings_for(XprofileSettings, global_conf, local_conf)
    return lambda app: Xprofile(app, settings)
