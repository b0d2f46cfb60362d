"""The Range header: what it asks for, and what that means for a body of a known length. RFC 9110, section 14.

    parse("bytes=0-9,-5")            -> (RangeSpec(0, 9), RangeSpec(None, 5))
    resolve(specs, 26)               -> (Span(0, 10), Span(21, 26))
    multipart(spans, 26, "a/b", "x") -> the framing of multipart/byteranges around the spans

A header that is not understood is ignored, as the RFC asks; one that asks for an abusive number of pieces is answered
as unsatisfiable. Used by the object server for files and by the proxy for what it joins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

MAX_RANGES = 50
"""More pieces than this in one request are refused."""
MAX_OVERLAPS = 2
"""Pairs of pieces that may overlap."""
MAX_DESCENTS = 7
"""Pieces that may start before the piece they follow; the eighth is refused."""

_UNIT = re.compile(r"\s*bytes\s*=\s*", re.IGNORECASE | re.ASCII)
_SPEC = re.compile(r"\s*([0-9]{0,100})-([0-9]{0,100})\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class RangeSpec:
    """One piece as asked for: first-last (both included), first- (last None), or -count (first None)."""

    first: int | None
    last: int | None

    def __str__(self) -> str:
        return f"{'' if self.first is None else self.first}-{'' if self.last is None else self.last}"


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes start to stop, stop excluded; never empty."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def content_range(self, length: int) -> str:
        """The value of Content-Range for this piece of a body of `length` bytes."""
        return f"bytes {self.start}-{self.stop - 1}/{length}"


def parse(header: str | None) -> tuple[RangeSpec, ...] | None:
    """The pieces a Range header asks for, in its order; None when there is none or it is to be ignored."""
    if not header:
        return None
    unit = _UNIT.match(header)
    if unit is None:
        return None
    specs = []
    for text in header[unit.end() :].split(","):
        matched = _SPEC.match(text)
        if matched is None:
            return None
        first, last = (int(digits) if digits else None for digits in matched.groups())
        if (first is None and last is None) or (first is not None and last is not None and last < first):
            return None
        specs.append(RangeSpec(first, last))
    return tuple(specs)


def resolve(specs: Sequence[RangeSpec], length: int) -> tuple[Span, ...] | None:
    """The spans to send of a body of `length` bytes, in the order asked for.

    An empty tuple means unsatisfiable: nothing asked for exists, or it is abusive. None means the whole body, without
    Content-Range: the last bytes of an empty body, which have no position to name.
    """
    if len(specs) > MAX_RANGES:
        return ()
    if length == 0:
        return None if any(spec.first is None and spec.last for spec in specs) else ()
    spans = tuple(span for span in (_span(spec, length) for spec in specs) if span is not None)
    return () if _is_abusive(spans) else spans


def unsatisfied(length: int) -> str:
    """The value of Content-Range in an answer that no span satisfied."""
    return f"bytes */{length}"


@dataclass(frozen=True, slots=True)
class Multipart:
    """A multipart/byteranges body: each span after its head, then the tail. content_length counts all of it."""

    content_type: str
    parts: tuple[tuple[bytes, Span], ...]
    tail: bytes
    content_length: int


def multipart(spans: Sequence[Span], length: int, content_type: str, boundary: str) -> Multipart:
    """The framing of several spans of a body of `length` bytes; content_type is that of the whole body."""
    parts = []
    for index, span in enumerate(spans):
        head = (
            f"{'' if index == 0 else _CRLF}--{boundary}{_CRLF}"
            f"Content-Type: {content_type}{_CRLF}Content-Range: {span.content_range(length)}{_CRLF}{_CRLF}"
        )
        parts.append((head.encode("latin-1"), span))
    tail = f"{_CRLF}--{boundary}--".encode("latin-1")
    total = sum(len(head) + span.size for head, span in parts) + len(tail)
    return Multipart(f"multipart/byteranges;boundary={boundary}", tuple(parts), tail, total)


_CRLF = "\r\n"


def _span(spec: RangeSpec, length: int) -> Span | None:
    if spec.first is None:
        assert spec.last is not None
        return Span(max(0, length - spec.last), length) if spec.last else None
    if spec.first >= length:
        return None
    return Span(spec.first, length if spec.last is None else min(spec.last + 1, length))


def _is_abusive(spans: Sequence[Span]) -> bool:
    descents = sum(later.start < earlier.start for earlier, later in pairwise(spans))
    if descents > MAX_DESCENTS:
        return True
    return sum(_overlap(one, other) for one, other in combinations(spans, 2)) > MAX_OVERLAPS


def _overlap(one: Span, other: Span) -> bool:
    """Whether an end of one piece lies strictly inside the other; pieces that merely repeat each other do not count."""
    return any(
        outer.start < position < outer.stop - 1
        for outer, inner in ((one, other), (other, one))
        for position in (inner.start, inner.stop - 1)
    )
