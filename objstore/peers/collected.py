"""COLLECT: several small objects of one device by one request. Ours alone; other servers answer 405. Pure.

    COLLECT /device/partition                 partition: of the first object
    X-Backend-Storage-Policy-Index: 0         of all of them
    [[partition, name, etag, size], ...]      JSON; name: /account/container/object

    200
    X-Objstore-Here: 1011...                  whether it is here: a digit for each, in that order
    the bodies of those that are, one after the other

An object is "here" when what a GET would answer is exactly that body: it has this ETag and size, has not expired, and
nothing in its metadata makes a filter read it as something else. Every body is checked against its checksum before a
byte of it is sent. Up to HELD_BYTES in all, before the answer: what is damaged is not here. Above, one by one, each
before its turn: the answer is cut before what is damaged. Whoever asked gets by a GET what is not here or does not
come. Used by proxy/collect and object/handlers/collect.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from objstore.core.errors import BadRequest

METHOD = "COLLECT"
HERE = "x-objstore-here"
OBJECTS_AT_MOST = 16
OBJECT_BYTES = 1 << 20
"""The largest object that is collected: larger ones a GET does not check before it answers either."""
HELD_BYTES = 1 << 20
"""So much at most, of all objects, is held in memory at either end. What is more passes through."""
QUESTION_BYTES = 1 << 18
"""Above the longest question: names of 16 objects and their containers, every byte of them escaped."""
_MEANINGS = ("x-object-manifest", "x-static-large-object")
_SYSMETA = ("x-object-sysmeta-", "x-object-transient-sysmeta-")


class Wanted(NamedTuple):
    """An object as the one who asks knows it. name: /account/container/object, text; etag: without quotes."""

    partition: str
    name: str
    etag: str
    size: int


def question(wanted: Sequence[Wanted]) -> bytes:
    return json.dumps(wanted, separators=(",", ":")).encode()


def parse_question(body: bytes) -> list[Wanted]:
    """Raises BadRequest."""
    try:
        rows = json.loads(body)
        wanted = [Wanted(*row) for row in rows]
    except (ValueError, TypeError, RecursionError):
        raise BadRequest("expected a JSON list of [partition, name, etag, size]") from None
    if not 0 < len(wanted) <= OBJECTS_AT_MOST:
        raise BadRequest(f"{len(wanted)} objects; expected 1 to {OBJECTS_AT_MOST}")
    for each in wanted:
        texts = (each.partition, each.name, each.etag)
        if not all(type(text) is str for text in texts) or type(each.size) is not int:
            raise BadRequest(f"{each!r:.200}: expected [partition, name, etag, size]")
        if not 0 <= each.size <= OBJECT_BYTES:
            raise BadRequest(f"{each.size} bytes; at most {OBJECT_BYTES} are collected")
    return wanted


def is_plain(headers: Mapping[str, str], own: str) -> bool:
    """Whether stored metadata (lower-case names) means nothing to any filter. own: the server's own system metadata."""
    return not any(name in _MEANINGS or (name.startswith(_SYSMETA) and name != own) for name in headers)


def here(are_here: Iterable[bool]) -> str:
    """The value of the header HERE."""
    return "".join("1" if is_here else "0" for is_here in are_here)


def total_bytes(wanted: Iterable[Wanted]) -> int:
    return sum(each.size for each in wanted)


def are_here(told: str, length: int, wanted: Sequence[Wanted]) -> list[bool]:
    """Which objects an answer brings. told: the value of HERE; length: of its body, in bytes. Raises ValueError for
    what no honest server answers."""
    if len(told) != len(wanted) or not set(told) <= {"0", "1"}:
        raise ValueError(f"{told[:80]!r} does not say which of {len(wanted)} objects are here")
    found = [digit == "1" for digit in told]
    announced = total_bytes(each for each, is_here in zip(wanted, found, strict=True) if is_here)
    if announced != length:
        raise ValueError(f"the body has {length} bytes, the objects that are here {announced}")
    return found


def split(data: memoryview, wanted: Sequence[Wanted], found: Sequence[bool]) -> list[memoryview | None]:
    """The bodies, as parts of data; None for what is not here. found: by are_here()."""
    bodies: list[memoryview | None] = []
    position = 0
    for each, is_here in zip(wanted, found, strict=True):
        bodies.append(data[position : position + each.size] if is_here else None)
        position += each.size if is_here else 0
    return bodies
