"""The limits a request must keep before it costs anybody anything: names, metadata, headers. Source: formats 1.1.

Each check raises BadRequest with a reason for the client. Values are WSGI strings: a code point is a byte.
"""

from __future__ import annotations

from collections.abc import Iterable

from objstore.core.errors import BadRequest
from objstore.core.limits import Limits
from objstore.core.names import text_of


def check_metadata(headers: Iterable[tuple[str, str]], kind: str, limits: Limits) -> None:
    """Headers of a PUT or POST, names lower case; kind: account, container or object.

    Accounts and containers keep metadata as text, so theirs must be UTF-8; an object keeps bytes. What several POSTs
    add up to is checked where the set is stored.
    """
    prefix = f"x-{kind}-meta-"
    count = size = 0
    for header, value in headers:
        if len(value) > limits.max_header_size:
            raise BadRequest(f"Header value too long: {header[: limits.max_meta_name_length]}")
        if not header.startswith(prefix):
            continue
        name = header[len(prefix) :]
        if not name:
            raise BadRequest("Metadata name cannot be empty")
        if kind != "object":
            _check_text(name, value)
        if len(name) > limits.max_meta_name_length:
            raise BadRequest(f"Metadata name too long: {prefix}{name}")
        if len(value) > limits.max_meta_value_length:
            raise BadRequest(f"Metadata value longer than {limits.max_meta_value_length}: {prefix}{name}")
        count += 1
        size += len(name) + len(value)
    if count > limits.max_meta_count:
        raise BadRequest(f"Too many metadata items; max {limits.max_meta_count}")
    if size > limits.max_meta_overall_size:
        raise BadRequest(f"Total metadata too large; max {limits.max_meta_overall_size}")


def check_name(name: str, kind: str, limit: int) -> None:
    """A name against its limit, in characters as Swift counts them (http vectors, obj-name-lengths)."""
    if len(name) > limit:
        raise BadRequest(f"{kind} name length of {len(name)} longer than {limit}")


def _check_text(name: str, value: str) -> None:
    if name.isascii() and value.isascii():
        return
    try:
        text_of(name), text_of(value)
    except BadRequest:
        raise BadRequest("Metadata must be valid UTF-8") from None
