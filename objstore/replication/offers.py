"""The lines of in-band replication: what a sender has, what a receiver wants of it. Pure.

    offer    <hash> <data timestamp>[ m:<delta>[,t:<delta>]]     delta: to the data timestamp, in ticks of 10 µs,
    hexadecimal,
                                                                 with its sign if negative; __<hex> appended: an offset
    wanted   <hash> [d][m]                                       d: data (or the tombstone), m: the POST

Both are parsed as strictly as they are written, but keys of an offer that are not known are passed over, as the
protocol wants it. Source: formats 6.9; recorded in tests/vectors/wire/ssync.jsonl.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from objstore.core.timestamp import InvalidTimestamp, Timestamp
from objstore.storage.replica import Times, times_of
from objstore.storage.resolve import LiveSet

LINE_BYTES = 1024
"""Longest line of either kind; a real one has about 150 bytes."""

_OFFER = re.compile(r"([0-9a-f]{32}) ([0-9]{10}\.[0-9]{5}(?:_[0-9a-f]{1,16})?)(?: (\S+))?")
_DELTA = re.compile(r"(-?[0-9a-f]{1,16})(?:__([0-9a-f]{1,16}))?")
_WANTED = re.compile(r"([0-9a-f]{32}) (d?m?)")


class BadLine(ValueError):
    """A line of the conversation that is not valid; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An object the sender has."""

    hash_hex: str
    times: Times


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a receiver lacks of an offered object."""

    hash_hex: str
    data: bool
    meta: bool


def encode_offer(offer: Offer) -> str:
    times = offer.times
    line = f"{offer.hash_hex} {times.data.internal}"
    if times.meta is None:
        return line
    line += f" m:{_delta(times.data, times.meta)}"
    if times.content_type is not None and times.content_type != times.data:
        line += f",t:{_delta(times.data, times.content_type)}"
    return line


def parse_offer(line: str) -> Offer:
    """Raises BadLine."""
    matched = _OFFER.fullmatch(line)
    if matched is None:
        raise BadLine(f"not an offer: {line[:80]!r}")
    hash_hex, data_text, more = matched.groups()
    try:
        data = Timestamp.parse(data_text)
        parts = dict(_pair(part) for part in more.split(",")) if more else {}
        meta = _moved(data, parts["m"]) if "m" in parts else None
        typed = _moved(data, parts["t"]) if "m" in parts and "t" in parts else None
    except InvalidTimestamp as error:
        raise BadLine(f"not an offer: {error}") from None
    return Offer(hash_hex, Times(data, meta, typed))


def encode_wanted(wanted: Wanted) -> str:
    return f"{wanted.hash_hex} {'d' if wanted.data else ''}{'m' if wanted.meta else ''}"


def parse_wanted(line: str) -> Wanted:
    """Raises BadLine. No letter at all means the data."""
    matched = _WANTED.fullmatch(line)
    if matched is None:
        raise BadLine(f"not a wanted object: {line[:80]!r}")
    letters = matched[2]
    return Wanted(matched[1], "d" in letters or not letters, "m" in letters)


def wanted_of(offer: Offer, live: LiveSet) -> Wanted | None:
    """What a receiver with these files wants of an offer; None when it has all that, or newer."""
    mine = times_of(live)
    if mine is None:
        return Wanted(offer.hash_hex, True, True)
    theirs = offer.times
    if live.tombstone is not None and live.tombstone.timestamp >= theirs.data:
        return None  # Deleted after that data was written: a POST to it is of no use either.
    lacks_data = mine.data < theirs.data
    lacks_meta = (mine.meta or mine.data) < (theirs.meta or theirs.data) or (mine.content_type or mine.data) < (
        theirs.content_type or theirs.data
    )
    return Wanted(offer.hash_hex, lacks_data, lacks_meta) if lacks_data or lacks_meta else None


def _delta(base: Timestamp, other: Timestamp) -> str:
    text = f"{other.ticks - base.ticks:x}"
    return f"{text}__{other.offset:x}" if other.offset else text


def _moved(base: Timestamp, text: str) -> Timestamp:
    matched = _DELTA.fullmatch(text)
    if matched is None:
        raise BadLine(f"not a difference of timestamps: {text[:40]!r}")
    return Timestamp(base.ticks + int(matched[1], 16), int(matched[2], 16) if matched[2] else 0)


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition(":")
    if not separator:
        raise BadLine(f"not key:value: {text[:40]!r}")
    return key, value
