"""JSON of another process, field by field: what is missing, of another type or too large is one clear error.

Used for the files of DIR/etc that nodes exchange and for the bodies agents send each other. Nothing that a peer or a
file says is believed before it has been through here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from objstore.core.errors import BadRequest

_HEX = re.compile(r"[0-9a-f]*\Z")
NUMBER_MAX = (1 << 53) - 1
"""What every JSON reader keeps exactly."""


class BadFields(BadRequest):
    """The text is no JSON object, or a field of it is wrong. Says which, and what was expected."""


class Fields:
    """One JSON object. `what` names it in errors: "members file", "body"."""

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise BadFields(f"{what}: expected a JSON object, got {_kind(value)}")
        self._value: dict[str, Any] = value  # Any: JSON, looked at by the methods below.
        self._what = what

    @classmethod
    def parse(cls, data: bytes, what: str) -> Fields:
        """Raises BadFields."""
        try:
            return cls(json.loads(data), what)
        except (ValueError, RecursionError):
            raise BadFields(f"{what}: expected JSON in UTF-8") from None

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def text(self, name: str, most: int = 1024) -> str:
        """most: characters."""
        value = self._value.get(name)
        if not isinstance(value, str) or len(value) > most or not value.isprintable():
            raise self._wrong(name, f"printable text of at most {most} characters")
        return value

    def long_text(self, name: str, most: int) -> str:
        """As text(), of several lines."""
        value = self._value.get(name)
        if not isinstance(value, str) or len(value) > most:
            raise self._wrong(name, f"text of at most {most} characters")
        return value

    def number(self, name: str, least: int = 0, most: int = NUMBER_MAX) -> int:
        value = self._value.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(name, f"a whole number from {least} to {most}")
        return value

    def hexadecimal(self, name: str, size: int) -> str:
        """size: bytes that the digits stand for."""
        value = self._value.get(name)
        if not isinstance(value, str) or len(value) != 2 * size or not _HEX.match(value):
            raise self._wrong(name, f"{2 * size} hexadecimal digits")
        return value

    def truth(self, name: str) -> bool:
        value = self._value.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def object(self, name: str) -> Fields:
        return Fields(self._value.get(name), f"{self._what}: {name}")

    def objects(self, name: str, most: int) -> list[Fields]:
        """most: entries of the list."""
        value = self._value.get(name)
        if not isinstance(value, list) or len(value) > most:
            raise self._wrong(name, f"a list of at most {most} objects")
        return [Fields(each, f"{self._what}: {name}[{index}]") for index, each in enumerate(value)]

    def names(self, most: int) -> Iterator[str]:
        """The object's own keys, for objects that are maps. Raises BadFields beyond `most`."""
        if len(self._value) > most:
            raise BadFields(f"{self._what}: expected at most {most} entries, got {len(self._value)}")
        yield from self._value

    def plain(self) -> dict[str, Any]:
        """The object as it came. Any: for whoever checks it by rules of their own."""
        return self._value

    def _wrong(self, name: str, expected: str) -> BadFields:
        found = _kind(self._value[name]) if name in self._value else "nothing"
        return BadFields(f"{self._what}: {name}: expected {expected}, got {found}")


def _kind(value: object) -> str:
    """What it is, never what it says: it may be a secret."""
    if isinstance(value, str | list | dict):
        return f"{type(value).__name__} of length {len(value)}"
    return type(value).__name__
