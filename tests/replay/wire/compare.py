"""What differs between recorded and real messages on the wire, as sentences."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tests.replay.client import Answer
from tests.replay.placeholders import to_text
from tests.replay.wire.lines import Line, Message
from tests.replay.wire.sink import Heard
from tests.replay.wire.tolerances import (
    CLOCK_HEADERS,
    COUNT_HEADERS,
    FREE_IN_REFUSALS,
    FREE_PARAMETERS,
    FREE_REQUEST_HEADERS,
    FREE_RESPONSE_HEADERS,
    LATER_VERBS,
    OPTIONAL_RESPONSE_HEADERS,
    OUR_OWN,
    SHAPED_REQUEST_HEADERS,
    TOLD_ALIKE,
)

_SHAPES: Mapping[str, re.Pattern[str]] = {
    "timestamp": re.compile(r"\d{10}\.\d{5}(_[0-9a-f]{16})?|0|"),
    "date": re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"),
    "hosts": re.compile(r"[\d.]+:\d+(,[\d.]+:\d+)*"),
    "devices": re.compile(r"\w+(,\w+)*"),
    "integer": re.compile(r"\d+"),
}
_VERSION = re.compile(r"(?:\0|%00)\d{10}\.\d{5}\Z")
_VERSION_TEXT = re.compile(r"%00\d{10}\.\d{5}")
_MANIFEST_MD5 = re.compile(r"\A[0-9a-f]{32}(?=; slo_etag=)")
"""Of a manifest as it is stored: it holds times."""
_BOUNDARY = re.compile(r"boundary=([\w]+)")


def response_differences(line: Line, answer: Answer, *, has_gap: bool = False) -> list[str]:
    """has_gap: counts and listings stand on things that were not recorded, and are left out."""
    expected = line.response
    if answer.status is None:
        return [f"expected {expected.status}, got no answer ({answer.problem or 'connection closed'})"]
    found = []
    if answer.status != expected.status:
        excerpt = to_text(answer.body[:200])
        found.append(f"status: expected {expected.status}, got {answer.status} {answer.reason} {excerpt!r}")
        return found
    if line.interim and not answer.interim:
        found.append("interim: expected 100 Continue before the body")
    found += _response_headers(line, answer, has_gap)
    found += _body(line, answer, has_gap)
    return found


def _response_headers(line: Line, answer: Answer, has_gap: bool) -> Iterator[str]:
    wanted = _values(_one_boundary(pair) for pair in line.response.headers)
    got = _values(_one_boundary(pair) for pair in answer.headers)
    if "allow" in wanted and "allow" in got:
        wanted["allow"], got["allow"] = _verbs(wanted["allow"]), _verbs(got["allow"])
    clock = CLOCK_HEADERS.get(line.service, frozenset())
    for name in sorted(wanted.keys() | got.keys()):
        if has_gap and name.endswith(COUNT_HEADERS):
            continue
        if name == "last-modified" and line.service == "object":
            if wanted.get(name) != got.get(name):
                yield f"header {name}: expected {wanted.get(name)}, got {got.get(name)}"
            continue
        if name not in got:
            if name not in OPTIONAL_RESPONSE_HEADERS or (name.startswith("content-") and answer.body):
                yield f"header {name}: expected {wanted[name]}, got none"
        elif name not in wanted:
            if name not in OPTIONAL_RESPONSE_HEADERS:
                yield f"header {name}: expected none, got {got[name]}"
        elif name in FREE_RESPONSE_HEADERS or name in clock or _is_free_length(name, line):
            continue
        elif name == "content-type" and _lower(wanted[name]) == _lower(got[name]):
            continue  # UTF-8 and utf-8 are the same
        elif name in FREE_IN_REFUSALS and line.response.status >= 400:
            continue
        elif sorted(wanted[name]) != sorted(got[name]):
            yield f"header {name}: expected {wanted[name]}, got {got[name]}"


def _lower(values: Sequence[str]) -> list[str]:
    return [value.lower() for value in values]


def _one_boundary(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[0], _BOUNDARY.sub("boundary=B", pair[1])


def _verbs(values: Sequence[str]) -> list[str]:
    return sorted({verb.strip() for value in values for verb in value.split(",")} - LATER_VERBS.keys())


def _is_free_length(name: str, line: Line) -> bool:
    """The length of a text whose wording or spacing is ours."""
    body, kind = line.response.body, line.response.header("content-type")
    is_ours = isinstance(body, dict) or line.response.status >= 400 or "json" in kind or "xml" in kind
    return name == "content-length" and is_ours


def _values(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def _body(line: Line, answer: Answer, has_gap: bool) -> list[str]:
    expected = line.response
    if isinstance(expected.body, dict) and "base64" not in expected.body:
        return []
    raw, got = expected.body_bytes(), answer.body
    if theirs := _BOUNDARY.search(expected.header("content-type")):
        ours = _BOUNDARY.search(answer.header("content-type"))
        raw = raw.replace(theirs[1].encode(), ours[1].encode() if ours else b"")
    if expected.header("content-type").startswith("application/json") and raw:
        try:
            wanted, found = json.loads(raw), json.loads(got)
        except ValueError as error:
            return [f"body: not JSON ({error}): {got[:200]!r}"]
        if has_gap:
            wanted, found = _without_counts(wanted), _without_counts(found)
        return [] if wanted == found else [f"body: expected {str(wanted)[:600]}, got {str(found)[:600]}"]
    if has_gap and "xml" in expected.header("content-type"):
        return []
    return [] if raw == got else [f"body: expected {raw[:200]!r}, got {got[:200]!r}"]


def _without_counts(rows: Any) -> Any:
    if not isinstance(rows, list):
        return rows
    return [{k: v for k, v in row.items() if k != "count" and (k != "bytes" or "hash" in row)} for row in rows]


def heard_differences(recorded: Sequence[Line], heard: Sequence[Heard]) -> list[str]:
    """Between the recorded server-to-server requests of an operation and those that came, as sets.

    Those of OUR_OWN are offers that no peer of another kind takes; the single requests that follow are what counts.
    """
    left = [each for each in heard if each.method not in OUR_OWN]
    found = []
    for line in recorded:
        best, problems = None, None
        for each in left:
            if each.method != line.request.method or _path(each.path) != _path(line.request.path):
                continue
            differing = request_differences(line.request, each)
            if _is_told_alike(line):
                differing = [text for text in differing if "x-backend-clean-expiring-object-queue" not in text]
            if problems is None or len(differing) < len(problems):
                best, problems = each, differing
        if best is None:
            found.append(missing(line))
        else:
            left.remove(best)
            found += [f"sends on {line.request.method} {line.request.path}: {text}" for text in problems or ()]
    known = {(line.request.method, _path(line.request.path)) for line in recorded if _is_told_alike(line)}
    left = [each for each in left if (each.method, _path(each.path)) not in known]
    found += [f"sends on: {each.method} {each.path} was not recorded" for each in left]
    return found


def missing(line: Line) -> str:
    return f"sends on: expected {line.request.method} {line.request.path}, heard none such"


def _is_told_alike(line: Line) -> bool:
    return line.operation in TOLD_ALIKE or line.operation.partition(".")[0] in TOLD_ALIKE


def _path(path: str) -> tuple[str, ...]:
    """A path without its device, unquoted; query parameters sorted, without those of tolerances.py.

    The expiry queue names its containers and objects by the clock, and so do versions: their partition is free too.
    """
    name, _, query = path.partition("?")
    pieces = [urllib.parse.unquote(piece) for piece in name.split("/")[2:]]
    if ".expiring_objects" in pieces:
        pieces = ["", *(re.sub(r"\d{10}", "T", piece) for piece in pieces[1:])]
    if _VERSION.search(pieces[-1]):
        pieces = ["", *pieces[1:-1], _VERSION.sub("T", pieces[-1])]
    pairs = urllib.parse.parse_qsl(query)
    asked = sorted(f"{key}={value}" for key, value in pairs if key not in FREE_PARAMETERS)
    return (*pieces, "?", *asked)


def request_differences(recorded: Message, heard: Heard) -> list[str]:
    """Between the bound headers (and the body) of a recorded request and of ours; see tolerances.py."""
    wanted, got = _values(map(_timeless, recorded.headers)), _values(map(_timeless, heard.headers))
    found = []
    for name in sorted(wanted.keys() | got.keys()):
        if name in FREE_REQUEST_HEADERS or name.startswith("x-backend-objstore-"):
            continue
        if name not in got:
            found.append(f"header {name}: expected {wanted[name]}, got none")
        elif name not in wanted:
            found.append(f"header {name}: expected none, got {got[name]}")
        elif shape := SHAPED_REQUEST_HEADERS.get(name):
            found += [f"header {name}: {value!r} is no {shape}" for value in got[name] if not _has(shape, value)]
        elif sorted(wanted[name]) != sorted(got[name]):
            found.append(f"header {name}: expected {wanted[name]}, got {got[name]}")
    if isinstance(recorded.body, dict) or recorded.is_incomplete:
        return found
    if _without_times(recorded.body_bytes()) != _without_times(heard.body):
        found.append(f"body: expected {recorded.body_bytes()[:100]!r}, got {heard.body[:100]!r}")
    return found


def _timeless(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[0], _MANIFEST_MD5.sub("MD5", _VERSION_TEXT.sub("%00T", pair[1]))


def _without_times(body: bytes) -> Any:
    """The rows of a manifest but for when their segments were written; of all else the bytes."""
    if not body.startswith(b'[{"name": "/'):
        return body
    return [{key: value for key, value in row.items() if key != "last_modified"} for row in json.loads(body)]


def _has(shape: str, value: str) -> bool:
    return _SHAPES[shape].fullmatch(value) is not None
