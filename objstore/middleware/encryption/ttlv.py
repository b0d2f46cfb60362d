"""TTLV: how KMIP writes a message. Pure. Source: OASIS KMIP 1.4, section 9.1.

    tag, 3 bytes | type, 1 byte | length of the value, 4 bytes | value, filled up to a multiple of 8 with zeros

A structure's value is items one after another. Of the types only those are known that asking for a key needs; what an
answer has of others is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

STRUCTURE, INTEGER, ENUMERATION, TEXT, BYTES = 0x01, 0x02, 0x05, 0x07, 0x08
HEAD_BYTES = 8
_DEPTH_MAX = 16


class NotTtlv(ValueError):
    """Bytes that are no such item. None of them is quoted: they may be a key."""


def integer(tag: int, value: int) -> bytes:
    return _item(tag, INTEGER, value.to_bytes(4, "big"))


def enumeration(tag: int, value: int) -> bytes:
    return _item(tag, ENUMERATION, value.to_bytes(4, "big"))


def text(tag: int, value: str) -> bytes:
    return _item(tag, TEXT, value.encode())


def structure(tag: int, *items: bytes) -> bytes:
    return _item(tag, STRUCTURE, b"".join(items))


def _item(tag: int, kind: int, value: bytes) -> bytes:
    head = tag.to_bytes(3, "big") + bytes([kind]) + len(value).to_bytes(4, "big")
    return head + value + bytes(-len(value) % 8)


def whole_size(head: bytes) -> int:
    """Bytes of the item that begins with these HEAD_BYTES."""
    length = int.from_bytes(head[4:8], "big")
    return HEAD_BYTES + length + -length % 8


@dataclass(frozen=True, slots=True)
class Item:
    """value is not shown: it may be a key."""

    tag: int
    kind: int
    _value: bytes

    def __repr__(self) -> str:
        return f"Item(tag={self.tag:06x}, kind={self.kind}, {len(self._value)} bytes)"

    def items(self) -> Iterator[Item]:
        """The items of a structure. Raises NotTtlv."""
        self._is(STRUCTURE)
        return _items(self._value)

    def find(self, *tags: int) -> Item | None:
        """The first item of that tag in a structure, of the next tag in that, and so on. Raises NotTtlv."""
        found: Item | None = self
        for tag in tags[:_DEPTH_MAX]:
            if found is None:
                return None
            found = next((item for item in found.items() if item.tag == tag), None)
        return found

    def number(self) -> int:
        """The value of an integer or an enumeration. Raises NotTtlv."""
        if self.kind not in (INTEGER, ENUMERATION) or len(self._value) != 4:
            raise NotTtlv(f"{self!r} is not a number")
        return int.from_bytes(self._value, "big")

    def text(self) -> str:
        """Raises NotTtlv."""
        self._is(TEXT)
        return self._value.decode("utf-8", "replace")

    def data(self) -> bytes:
        """Raises NotTtlv."""
        self._is(BYTES)
        return self._value

    def _is(self, kind: int) -> None:
        if self.kind != kind:
            raise NotTtlv(f"{self!r} is of another kind than {kind}")


def parse(message: bytes) -> Item:
    """The one item that a message is. Raises NotTtlv."""
    items = list(_items(message))
    if len(items) != 1:
        raise NotTtlv(f"a message of {len(items)} items, expected one")
    return items[0]


def _items(data: bytes) -> Iterator[Item]:
    position = 0
    while position < len(data):
        head = data[position : position + HEAD_BYTES]
        if len(head) < HEAD_BYTES:
            raise NotTtlv("an item ends within its head")
        size = whole_size(head)
        length = int.from_bytes(head[4:8], "big")
        if position + size > len(data):
            raise NotTtlv("an item is longer than what it stands in")
        start = position + HEAD_BYTES
        yield Item(int.from_bytes(head[:3], "big"), head[3], data[start : start + length])
        position += size
