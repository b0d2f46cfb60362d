"""Quotas as they stand in metadata: a whole number of bytes or of objects. Pure. Source: features A1.7, A2.7."""

from __future__ import annotations

from collections.abc import Mapping

_DIGITS_AT_MOST = 18


def is_settable(text: str) -> bool:
    """Whether a client may set this: a whole number, or nothing, which removes the quota."""
    text = text.strip()
    return not text or _is_number(text)


def limit_of(metadata: Mapping[str, str], name: str) -> int | None:
    """The quota under this name; None when there is none, or the stored text is not a number."""
    text = metadata.get(name, "").strip()
    return int(text) if _is_number(text) else None


def is_exceeded(limit: int | None, used: int, added: int) -> bool:
    return limit is not None and used + added > limit


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_AT_MOST
