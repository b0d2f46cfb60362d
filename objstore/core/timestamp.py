"""Timestamps: the order of everything.

Every PUT, POST and DELETE carries one timestamp, and the newest wins on every copy. A Timestamp is a count of 10 µs
ticks plus an opaque 64-bit offset that breaks ties between writes derived from one another.

    normal    1402464677.04188                     seconds, 5 decimals, zero-padded to 16 characters
    internal  1402464677.04188_00000000000000a2    normal, and the offset as 16 hex digits when it is not zero
    short     1402464677.04188_a2                  as internal, the offset unpadded

Internal forms sort as text exactly as the values sort in time; file names and database columns rely on that.
Several timestamps of one row (data, content type, metadata) are written as one text; see encode(). Source: formats
section 3. Offsets are kept verbatim everywhere.
"""

from __future__ import annotations

import re
from time import gmtime

TICKS_PER_SECOND = 100_000
MAX_TICKS = 9_999_999_999 * TICKS_PER_SECOND + 99_999
MAX_OFFSET = (1 << 64) - 1
_INVERSION = 999_999_999_999_999

_FIXED = re.compile(r"([0-9]{10})\.([0-9]{5})\Z")
_ENCODED = re.compile(r"([0-9.]+(?:_[0-9a-f]+)?)([+-][0-9a-f]+)?([+-][0-9a-f]+)?\Z")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class InvalidTimestamp(ValueError):
    """A text or number that is not a timestamp. `value` is what was given."""

    def __init__(self, value: object) -> None:
        super().__init__(f"{value!r} is not a timestamp: expected seconds since 1970 from 0 to 9999999999.99999")
        self.value = value


class Timestamp:
    """A point in time, in ticks of 10 µs, with an offset that breaks ties. Immutable and hashable."""

    __slots__ = ("ticks", "offset", "_normal")
    ticks: int
    offset: int
    _normal: str | None

    def __init__(self, ticks: int, offset: int = 0) -> None:
        """ticks: 0 to MAX_TICKS; offset: 0 to MAX_OFFSET. Raises InvalidTimestamp outside."""
        if not (0 <= ticks <= MAX_TICKS and 0 <= offset <= MAX_OFFSET):
            raise InvalidTimestamp((ticks, offset))
        self.ticks = ticks
        self.offset = offset
        self._normal = None

    @classmethod
    def from_seconds(cls, seconds: float, offset: int = 0) -> Timestamp:
        """The timestamp of a clock reading, rounded to the nearest tick."""
        try:
            return cls(round(seconds * TICKS_PER_SECOND), offset)
        except (ValueError, OverflowError):
            raise InvalidTimestamp(seconds) from None

    @classmethod
    def parse(cls, text: str) -> Timestamp:
        """The timestamp of a normal, internal or short text. Raises InvalidTimestamp."""
        seconds, underscore, offset_text = text.partition("_")
        offset = 0
        if underscore:
            if not 1 <= len(offset_text) <= 16 or not _is_hex(offset_text):
                raise InvalidTimestamp(text)
            offset = int(offset_text, 16)
        fixed = _FIXED.match(seconds)
        if fixed is not None:
            found = cls(int(fixed[1]) * TICKS_PER_SECOND + int(fixed[2]), offset)
            found._normal = seconds
            return found
        try:
            return cls.from_seconds(float(seconds), offset)
        except ValueError:
            raise InvalidTimestamp(text) from None

    @property
    def normal(self) -> str:
        """Sixteen characters: seconds and five decimals."""
        if self._normal is None:
            whole, fraction = divmod(self.ticks, TICKS_PER_SECOND)
            self._normal = f"{whole:010d}.{fraction:05d}"
        return self._normal

    @property
    def internal(self) -> str:
        """The form of file names, database columns and headers between servers."""
        normal = self._normal or self.normal
        return f"{normal}_{self.offset:016x}" if self.offset else normal

    @property
    def short(self) -> str:
        """As internal, but with the offset unpadded."""
        normal = self._normal or self.normal
        return f"{normal}_{self.offset:x}" if self.offset else normal

    @property
    def seconds(self) -> float:
        """The time as a float, for arithmetic with clock readings only; never for comparing or storing."""
        return self.ticks / TICKS_PER_SECOND

    @property
    def ceil_seconds(self) -> int:
        """Whole seconds, rounded up: what Last-Modified says."""
        return -(-self.ticks // TICKS_PER_SECOND)

    @property
    def isoformat(self) -> str:
        """YYYY-MM-DDTHH:MM:SS.ffffff in UTC without a zone: last_modified of listings."""
        whole, fraction = divmod(self.ticks, TICKS_PER_SECOND)
        t = gmtime(whole)
        return f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{t[3]:02d}:{t[4]:02d}:{t[5]:02d}.{fraction * 10:06d}"

    @property
    def http_date(self) -> str:
        """ceil_seconds as an HTTP date (RFC 9110, section 5.6.7)."""
        return http_date(self.ceil_seconds)

    def inverted(self) -> Timestamp:
        """The timestamp whose text sorts the other way round: names of object versions, newest first."""
        if self.offset:
            return Timestamp(_INVERSION - self.ticks - 1, (1 << 64) - self.offset)
        return Timestamp(_INVERSION - self.ticks)

    def is_set(self) -> bool:
        return bool(self.ticks or self.offset)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Timestamp):
            return NotImplemented
        return self.ticks == other.ticks and self.offset == other.offset

    # All four: functools.total_ordering makes the last three cost as much as three calls each.

    def __lt__(self, other: Timestamp) -> bool:
        return self.ticks < other.ticks or (self.ticks == other.ticks and self.offset < other.offset)

    def __le__(self, other: Timestamp) -> bool:
        return self.ticks < other.ticks or (self.ticks == other.ticks and self.offset <= other.offset)

    def __gt__(self, other: Timestamp) -> bool:
        return self.ticks > other.ticks or (self.ticks == other.ticks and self.offset > other.offset)

    def __ge__(self, other: Timestamp) -> bool:
        return self.ticks > other.ticks or (self.ticks == other.ticks and self.offset >= other.offset)

    def __hash__(self) -> int:
        return hash((self.ticks, self.offset))

    def __repr__(self) -> str:
        return f"Timestamp({self.internal})"


ZERO = Timestamp(0)


def encode(data: Timestamp, content_type: Timestamp, meta: Timestamp) -> str:
    """The three timestamps of a container row as one text: short(data), then signed hex differences in ticks.

    When all three are equal only the first is written. Offsets of the last two are lost unless a difference is zero.
    """
    to_type, to_meta = content_type.ticks - data.ticks, meta.ticks - content_type.ticks
    if not to_type and not to_meta:
        return data.short
    return f"{data.short}{to_type:+x}{to_meta:+x}"


def decode(text: str) -> tuple[Timestamp, Timestamp, Timestamp]:
    """(data, content type, meta) of encode(); an absent or zero difference repeats the one before, offset included."""
    matched = _ENCODED.match(text)
    if matched is None:
        raise InvalidTimestamp(text)
    data = Timestamp.parse(matched[1])
    content_type = _shifted(data, matched[2])
    return data, content_type, _shifted(content_type, matched[3])


def encode_meta_name(meta: Timestamp, content_type: Timestamp | None) -> str:
    """The stem of a .meta file: internal(meta), or short(meta) and the difference to its content type, zero too."""
    if content_type is None:
        return meta.internal
    return f"{meta.short}{content_type.ticks - meta.ticks:+x}"


def decode_meta_name(stem: str) -> tuple[Timestamp, Timestamp | None]:
    """(meta, content type or None) of a .meta file's stem."""
    matched = _ENCODED.match(stem)
    if matched is None or matched[3] is not None:
        raise InvalidTimestamp(stem)
    meta = Timestamp.parse(matched[1])
    return meta, None if matched[2] is None else _shifted(meta, matched[2])


def http_date(seconds: int) -> str:
    """An HTTP date of whole seconds since 1970."""
    t = gmtime(seconds)
    return f"{_DAYS[t[6]]}, {t[2]:02d} {_MONTHS[t[1] - 1]} {t[0]:04d} {t[3]:02d}:{t[4]:02d}:{t[5]:02d} GMT"


def _shifted(base: Timestamp, difference: str | None) -> Timestamp:
    ticks = int(difference, 16) if difference else 0
    return Timestamp(base.ticks + ticks) if ticks else base


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)
