"""Content negotiation: which of a few media types an Accept header likes best (RFC 9110, section 12.5.1).

One pass over the text, no regular expressions: the time is linear in its length whatever it holds (CVE-2026-71190).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from objstore.core.errors import BadRequest

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One entry of an Accept header. type and subtype are lower case and may be '*'."""

    type: str
    subtype: str
    quality: float

    def matches(self, type_: str, subtype: str) -> bool:
        return self.type in ("*", type_) and self.subtype in ("*", subtype)

    @property
    def specificity(self) -> int:
        return (self.type != "*") + (self.subtype != "*")


@lru_cache(maxsize=256)
def best_match(accept: str, choices: Sequence[str]) -> str | None:
    """The choice with the highest quality, or None when none is acceptable. Raises BadRequest.

    A tie goes to the range that stands first in the header, then to the choice that stands first. choices: a tuple.
    An empty header accepts everything.
    """
    ranges = parse(accept)
    if not ranges:
        return choices[0]
    best: str | None = None
    best_rank: tuple[float, int] = (0.0, 0)
    for choice in choices:
        type_, _, subtype = choice.partition("/")
        found = [(-entry.specificity, index) for index, entry in enumerate(ranges) if entry.matches(type_, subtype)]
        if not found:
            continue
        index = min(found)[1]
        rank = (ranges[index].quality, -index)
        if rank[0] > 0 and (best is None or rank > best_rank):
            best, best_rank = choice, rank
    return best


def parse(accept: str) -> list[MediaRange]:
    """The media ranges of an Accept header, in its order. Raises BadRequest; empty entries are skipped."""
    return [_media_range(entry) for entry in _split(accept, ",") if entry.strip()]


def _media_range(text: str) -> MediaRange:
    name, *parameters = _split(text, ";")
    type_, slash, subtype = (part.lower() for part in name.strip().partition("/"))
    if type_ == "*" and not slash:  # Old Java clients say `*`.
        subtype = "*"
    if not _is_token(type_) or not _is_token(subtype) or (type_ == "*" and subtype != "*"):
        raise BadRequest(f"Invalid Accept header: {text.strip()[:80]!r}")
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            return MediaRange(type_, subtype, _quality(value.strip(), text))
    return MediaRange(type_, subtype, 1.0)


def _quality(value: str, text: str) -> float:
    whole, dot, fraction = value.partition(".")
    digits = whole + fraction
    if digits and len(digits) <= 10 and digits.isascii() and digits.isdigit():
        quality = float(f"{whole or 0}.{fraction or 0}")
        if quality <= 1:
            return quality
    raise BadRequest(f"Invalid Accept header: {text.strip()[:80]!r}")


def _is_token(text: str) -> bool:
    return bool(text) and _TOKEN.issuperset(text)


def _split(text: str, separator: str) -> list[str]:
    """Split where the separator stands outside quoted strings."""
    if '"' not in text:
        return text.split(separator)
    parts: list[str] = []
    start, quoted, escaped = 0, False, False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return parts
