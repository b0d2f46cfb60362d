"""Preconditions of a request against what is stored: If-Match and its like. RFC 9110, section 13.

Evaluated in the order of the RFC's section 13.2.2: If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since.
Two things are Swift's, because its clients rely on them: If-Unmodified-Since counts even beside a matching If-Match,
and a weak tag (W/"…") matches nothing. Tags may come without quotes.
"""

from __future__ import annotations

from calendar import timegm
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate
from enum import Enum


class Verdict(Enum):
    PROCEED = "proceed"
    NOT_MODIFIED = "not modified"
    """What the client has is current; only GET and HEAD ask."""
    FAILED = "failed"
    """The state is not the one the client demanded."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The precondition headers of one request. None: not sent. Tags are without quotes; dates in seconds."""

    match: tuple[str, ...] | None = None
    none_match: tuple[str, ...] | None = None
    modified_since_s: int | None = None
    unmodified_since_s: int | None = None

    @classmethod
    def of(cls, header: Callable[[str], str | None]) -> Conditions | None:
        """From a request's headers (called with lower-case names); None when no condition is set."""
        match, none_match = header("if-match"), header("if-none-match")
        modified, unmodified = header("if-modified-since"), header("if-unmodified-since")
        if match is None and none_match is None and modified is None and unmodified is None:
            return None
        return cls(
            None if match is None else entity_tags(match),
            None if none_match is None else entity_tags(none_match),
            None if modified is None else parse_http_date(modified),
            None if unmodified is None else parse_http_date(unmodified),
        )

    def verdict(self, etag: str | None, modified_s: int | None) -> Verdict:
        """What a GET or HEAD may do. etag without quotes, modified_s as Last-Modified says; None: nothing is stored."""
        if self.match is not None and not _lists(self.match, etag):
            return Verdict.FAILED
        if modified_s is not None and self.unmodified_since_s is not None and modified_s > self.unmodified_since_s:
            return Verdict.FAILED
        if self.none_match is not None:
            return Verdict.NOT_MODIFIED if _lists(self.none_match, etag) else Verdict.PROCEED
        if modified_s is not None and self.modified_since_s is not None and modified_s <= self.modified_since_s:
            return Verdict.NOT_MODIFIED
        return Verdict.PROCEED


def entity_tags(value: str) -> tuple[str, ...]:
    """The tags of a list, without quotes: '"a", b' -> ('a', 'b'). A weak tag keeps its W/ and so equals none."""
    tags = (item.strip() for item in value.split(","))
    return tuple(tag[1:-1] if len(tag) > 1 and tag[0] == tag[-1] == '"' else tag for tag in tags if tag)


def range_applies(if_range: str | None, etag: str, modified_s: int) -> bool:
    """Whether a Range header counts beside this If-Range value (RFC 9110, section 13.1.5): a strong tag that is the
    stored one, or exactly the date of Last-Modified. None: it does."""
    if if_range is None:
        return True
    text = if_range.strip()
    moment = None if text.startswith(('"', "W/")) else parse_http_date(text)
    return moment == modified_s if moment is not None else entity_tags(text) == (etag,)


def parse_http_date(text: str) -> int | None:
    """Seconds since 1970 of an HTTP date in any of its three forms (RFC 9110, section 5.6.7); None for anything else,
    which is then ignored."""
    fields = parsedate(text)
    if fields is None:
        return None
    try:
        return timegm(fields)
    except (ValueError, OverflowError):
        return None


def _lists(tags: tuple[str, ...], etag: str | None) -> bool:
    return etag is not None and ("*" in tags or etag in tags)
