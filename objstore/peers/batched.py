"""BATCH: several HEADs and DELETEs of objects by one request. Ours alone; other servers answer 405. Pure.

    BATCH /device/partition                   of the first of them
    Name: value                               headers of each of them
    [[method, path, {name: value}], ...]      JSON; path: /device/partition/account/container/object, percent-encoded;
                                              its own headers, lower-case names

    200
    [[status, {name: value}], ...]            JSON, in that order: what each would be answered by itself, without a body

Each is carried out for itself, some at the same time: one that fails says nothing of the others. Used by
peers/batch_client and object/handlers/batch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from objstore.core.errors import BadRequest

METHOD = "BATCH"
METHODS = ("HEAD", "DELETE")
REQUESTS_AT_MOST = 64
QUESTION_BYTES = 1 << 20
"""Above the longest question: names of 64 objects and their containers, every byte of them escaped."""
ANSWER_BYTES = 1 << 23
"""Above the longest answer to expect: 64 objects with all the metadata that a client may give one, escaped."""
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(r"[^\0-\x1f\x7f\u0100-\U0010ffff]*")
_PATH = re.compile(r"/[\x21-\x7e]+")
_EXPECTED = "expected a JSON list of [method, path, headers]"


class Item(NamedTuple):
    """One request. headers: lower-case names, values as WSGI strings."""

    method: str
    path: str
    headers: Mapping[str, str]


class Answered(NamedTuple):
    """One answer. headers: lower-case names."""

    status: int
    headers: dict[str, str]


def question(items: Sequence[Item]) -> bytes:
    return json.dumps(items, separators=(",", ":")).encode()


def parse_question(body: bytes) -> list[Item]:
    """Raises BadRequest: nothing of it is carried out."""
    try:
        items = [Item(*row) for row in json.loads(body)]
    except (ValueError, TypeError, RecursionError):
        raise BadRequest(_EXPECTED) from None
    if not 0 < len(items) <= REQUESTS_AT_MOST:
        raise BadRequest(f"{len(items)} requests; expected 1 to {REQUESTS_AT_MOST}")
    for item in items:
        if not (isinstance(item.method, str) and isinstance(item.path, str) and isinstance(item.headers, dict)):
            raise BadRequest(f"{item!r:.200}: {_EXPECTED}")
        if item.method not in METHODS:
            raise BadRequest(f"{item.method[:40]!r} in a batch; expected one of {', '.join(METHODS)}")
        if not _PATH.fullmatch(item.path):
            raise BadRequest(f"{item.path[:80]!r} is no percent-encoded path")
        for name, value in item.headers.items():
            if not _NAME.fullmatch(name) or not isinstance(value, str) or not _VALUE.fullmatch(value):
                raise BadRequest(f"{name!r:.80}: {value!r:.80} is no header")
    return items


def answer(answers: Sequence[Answered]) -> bytes:
    return json.dumps(answers, separators=(",", ":")).encode()


def parse_answer(body: bytes, count: int) -> list[Answered]:
    """Raises ValueError for what no honest server answers to so many requests."""
    try:
        answers = [Answered(*row) for row in json.loads(body)]
    except (TypeError, RecursionError) as error:
        raise ValueError(f"no list of [status, headers]: {error}") from None
    if len(answers) != count:
        raise ValueError(f"{len(answers)} answers to {count} requests")
    for each in answers:
        if type(each.status) is not int or not 200 <= each.status <= 599 or not isinstance(each.headers, dict):
            raise ValueError(f"{each!r:.200} is no answer")
        if not all(isinstance(value, str) for value in each.headers.values()):
            raise ValueError(f"{each.headers!r:.200} are no headers")
    return answers
