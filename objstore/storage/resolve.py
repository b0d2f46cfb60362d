"""Which files of a hash directory count: names → live set, pure.

Everything a reader, a writer, a hasher or an auditor decides about an object starts here, from the names alone:

    1402464677.04188.data                the object's body and metadata
    1402464690.00000.meta                the user metadata of a later POST
    1402464690.00000-385e.meta           the same, with the time (here 0x385e ticks earlier) its content type was set
    1402464700.00000.ts                  a tombstone: deleted then
    .1402464677.04188.data.<32 hex>      overflow of the .data's metadata (doc/decisions/0004-large-metadata.md)

The newest write wins, whatever arrived first: two nodes that hold the same names agree on the live set, and adding an
obsolete name changes nothing. Timestamps are compared by value, offsets included. Names of any other shape are left
alone and reported as unexpected; among them are rsync's temporaries and the fragments of erasure-coded policies, which
have rules of their own. Source: formats 4.4 and 4.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from objstore.core.timestamp import InvalidTimestamp, Timestamp, decode_meta_name, encode_meta_name

DATA = ".data"
META = ".meta"
TOMBSTONE = ".ts"

_STEM = r"[0-9]{10}\.[0-9]{5}(?:_[0-9a-f]{1,16})?"
_FILE = re.compile(rf"({_STEM}(?:[+-][0-9a-f]+)?)(\.data|\.meta|\.ts)\Z")
_OVERFLOW = re.compile(rf"\.({_STEM}(?:[+-][0-9a-f]+)?\.(?:data|meta|ts))\.[0-9a-f]{{32}}\Z")
_RSYNC_TEMPORARY = re.compile(r"\..+\.[0-9A-Za-z_]{6}\Z")


class File(NamedTuple):
    """One file of a hash directory. content_type: when a .meta's content type was set, None when it has none."""

    name: str
    timestamp: Timestamp
    content_type: Timestamp | None = None


@dataclass(frozen=True)
class LiveSet:
    """What the names mean together.

    data, meta, tombstone: the file in effect of each kind. A tombstone in effect has no data beside it; a meta may be
    alone (its data has not arrived yet) and then serves nobody. content_type_meta: a second, older .meta that is kept
    because its content type is newer than that of `meta`.
    """

    data: File | None
    meta: File | None
    content_type_meta: File | None
    tombstone: File | None
    obsolete: tuple[str, ...]
    """Names that nothing needs any more, their overflow included, in the order to remove them: owners first."""
    unexpected: tuple[str, ...]
    """Names that are none of ours; the overflow of an owner that is not there is one of them."""

    @cached_property
    def timestamp(self) -> Timestamp | None:
        """When the object was last changed, in any way: of its meta, else of its data or tombstone."""
        files = [file for file in (self.data, self.meta if self.data else None, self.tombstone) if file]
        return max((file.timestamp for file in files), default=None)

    @cached_property
    def content_type(self) -> Timestamp | None:
        """When the content type was set by a POST that is still in effect; None when the data's own counts."""
        source = self.content_type_meta or self.meta
        moment = source.content_type if source else None
        if moment is None or (self.data is not None and moment <= self.data.timestamp):
            return None
        return moment

    @property
    def names(self) -> tuple[str, ...]:
        """The names in effect."""
        files = (self.data, self.meta, self.content_type_meta, self.tombstone)
        return tuple(file.name for file in files if file is not None)


NOTHING = LiveSet(None, None, None, None, (), ())


def data_name(timestamp: Timestamp) -> str:
    return timestamp.internal + DATA


def meta_name(timestamp: Timestamp, content_type: Timestamp | None) -> str:
    return encode_meta_name(timestamp, content_type) + META


def tombstone_name(timestamp: Timestamp) -> str:
    return timestamp.internal + TOMBSTONE


def overflow_name(owner: str, checksum: str) -> str:
    """The side file that holds the metadata of `owner` whose MD5 is `checksum`."""
    return f".{owner}.{checksum}"


def is_rsync_temporary(name: str) -> bool:
    """Whether rsync leaves such a name behind when it is interrupted: .name.XXXXXX."""
    return _RSYNC_TEMPORARY.match(name) is not None


def overflow_owner(name: str) -> str | None:
    """The file whose metadata a side file holds; None for any other name."""
    matched = _OVERFLOW.match(name)
    return None if matched is None else matched[1]


def resolve(names: Iterable[str]) -> LiveSet:
    """The live set of the names in one hash directory, in any order. Never raises."""
    names = tuple(names)
    if len(names) == 1 and names[0].endswith(DATA):
        return _lone_data(names[0])
    return _resolve(names)


@lru_cache(maxsize=1024)
def _lone_data(name: str) -> LiveSet:
    """Most directories hold one file, and those read most are read again."""
    _, file = _parse(name)
    return _resolve((name,)) if file is None else LiveSet(file, None, None, None, (), ())


def _resolve(names: Iterable[str]) -> LiveSet:
    kinds: dict[str, list[File]] = {DATA: [], META: [], TOMBSTONE: []}
    overflow: list[tuple[str, str]] = []
    unexpected: list[str] = []
    for name in names:
        kind, file = _parse(name)
        if file is not None:
            kinds[kind].append(file)
        elif (owner := overflow_owner(name)) is not None:
            overflow.append((owner, name))
        else:
            unexpected.append(name)
    return _decide(kinds, overflow, unexpected)


@lru_cache(maxsize=1024)
def _parse(name: str) -> tuple[str, File | None]:
    matched = _FILE.match(name)
    if matched is None:
        return "", None
    stem, kind = matched.groups()
    try:
        if kind == META:
            return kind, File(name, *decode_meta_name(stem))
        return kind, File(name, Timestamp.parse(stem))
    except InvalidTimestamp:
        return "", None


def _decide(kinds: dict[str, list[File]], overflow: list[tuple[str, str]], unexpected: list[str]) -> LiveSet:
    # 1. The newest tombstone ends everything that is not newer, its own kind included.
    tombstone = _newest(kinds[TOMBSTONE])
    # 2. The newest data that survived ends tombstones and POSTs that are not newer than it.
    data = _newest([file for file in kinds[DATA] if tombstone is None or file.timestamp > tombstone.timestamp])
    if data is not None:
        tombstone = None
    floor = data or tombstone
    # 3. Of the POSTs after that the newest counts, and one more if its content type is newer.
    meta = content_type_meta = None
    if kinds[META]:
        metas = [file for file in kinds[META] if floor is None or file.timestamp > floor.timestamp]
        meta = max(metas, key=_meta_order, default=None)
        content_type_meta = _newer_content_type(metas, meta)

    kept = {file.name for file in (data, meta, content_type_meta, tombstone) if file is not None}
    parsed = [file.name for files in kinds.values() for file in files]
    obsolete = [name for name in parsed if name not in kept]
    ended = set(obsolete)
    for owner, name in overflow:
        if owner in ended:
            obsolete.append(name)
        elif owner not in kept:
            unexpected.append(name)
    return LiveSet(data, meta, content_type_meta, tombstone, tuple(obsolete), tuple(unexpected))


def _newest(files: list[File]) -> File | None:
    if len(files) < 2:
        return files[0] if files else None
    return max(files, key=lambda file: (file.timestamp, file.name), default=None)


def _meta_order(file: File) -> tuple[Timestamp, Timestamp, str]:
    """Newest first by POST; of two at one moment, the one that knows the newer content type."""
    return file.timestamp, file.content_type or _NEVER, file.name


def _newer_content_type(metas: list[File], meta: File | None) -> File | None:
    if meta is None:
        return None
    best = max(metas, key=lambda file: (file.content_type or _NEVER, *_meta_order(file)))
    return best if (best.content_type or _NEVER) > (meta.content_type or _NEVER) else None


_NEVER = Timestamp(0)
