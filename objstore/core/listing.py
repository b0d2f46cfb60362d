"""Listings of accounts and containers: which form is asked for, and the text and XML of a page of items.

An item is the mapping that stands in the JSON form: {name, count, bytes, last_modified[, storage_policy]} of an
account, {bytes, hash, name, content_type, last_modified} of a container, or {subdir} of either. Backends and the
proxy's listing filter share these rules. Names are text and may hold anything: everything is escaped where XML needs it
(CVE-2013-2161), and characters that XML 1.0 cannot hold at all become U+FFFD, so that a page always parses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from objstore.core.accept import best_match
from objstore.core.errors import BadRequest

TEXT = "text/plain"
JSON = "application/json"
XML = "application/xml"
TEXT_XML = "text/xml"

_OFFERED = (TEXT, JSON, XML, TEXT_XML)
_BY_FORMAT = {"plain": TEXT, "json": JSON, "xml": XML}
_XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

_CONTAINER_KEYS = ("name", "count", "bytes", "last_modified", "storage_policy")
_OBJECT_KEYS = ("name", "hash", "bytes", "content_type", "last_modified")


@dataclass(frozen=True, slots=True)
class Selection:
    """What part of a listing is asked for. Empty text: not asked. limit: items, subdirs counted.

    With reverse, marker is still where the page begins: names below it, down to end_marker. path: the objects directly
    in that pseudo-directory; it overrides prefix and delimiter. allow_reserved: show names that begin with NUL.
    """

    limit: int
    marker: str = ""
    end_marker: str = ""
    prefix: str = ""
    delimiter: str = ""
    path: str | None = None
    reverse: bool = False
    allow_reserved: bool = False


class OverLimit(BadRequest):
    """A page larger than the cluster gives (412, formats 6.2)."""


def listing_type(format_parameter: str | None, accept: str | None) -> str | None:
    """The media type of a listing, or None when none of ours is acceptable (406).

    A known format parameter beats Accept; an unknown one counts as absent. Text wins where several are equally liked.
    Raises BadRequest for an invalid Accept header (RFC 9110, section 12.5.1).
    """
    if format_parameter:
        known = _BY_FORMAT.get(format_parameter.lower())
        if known is not None:
            return known
    if not accept or accept == "*/*":
        return TEXT
    return best_match(accept, _OFFERED)


def page_limit(parameter: str | None, most: int) -> int:
    """Items of a page: the limit parameter where it is decimal digits, else `most`. Raises OverLimit above `most`."""
    if not parameter or not (parameter.isascii() and parameter.isdigit()):
        return most
    limit = int(parameter[:20])
    if limit > most:
        raise OverLimit(f"Maximum limit is {most}")
    return limit


def to_text(items: Iterable[Mapping[str, Any]]) -> bytes:
    """A name or subdir a line; an empty page is empty."""
    return "".join([f"{item['name'] if 'name' in item else item['subdir']}\n" for item in items]).encode(
        "utf-8", "surrogateescape"
    )


def to_xml_account(account: str, items: Iterable[Mapping[str, Any]]) -> bytes:
    lines = [f"{_XML_HEAD}<account name={_attribute(account)}>"]
    lines += [_element("container", item, _CONTAINER_KEYS) for item in items]
    lines.append("</account>")
    return "\n".join(lines).encode()


def to_xml_container(container: str, items: Iterable[Mapping[str, Any]]) -> bytes:
    elements = "".join([_element("object", item, _OBJECT_KEYS) for item in items])
    name = _attribute(container)
    if not elements:
        return f"{_XML_HEAD}<container name={name} />".encode()
    return f"{_XML_HEAD}<container name={name}>{elements}</container>".encode()


def after_prefix(prefix: str) -> str | None:
    """The least text greater than every text that starts with prefix, in code point order; None when there is none."""
    for end in range(len(prefix), 0, -1):
        point = ord(prefix[end - 1]) + 1
        if point <= 0x10FFFF:
            # Surrogates have no UTF-8, and nothing is stored between them and U+E000.
            return prefix[: end - 1] + chr(0xE000 if 0xD800 <= point <= 0xDFFF else point)
    return None


def _element(kind: str, item: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    if "subdir" in item:
        name = _attribute(item["subdir"])
        # An account's subdir has its name as an attribute only.
        if kind == "container":
            return f"<subdir name={name} />"
        return f"<subdir name={name}><name>{_escaped(item['subdir'])}</name></subdir>"
    fields = "".join([f"<{key}>{_escaped(str(item[key]))}</{key}>" for key in keys if key in item])
    return f"<{kind}>{fields}</{kind}>"


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text if text.isalnum() else _NOT_XML.sub("\ufffd", text)


def _attribute(text: str) -> str:
    text = _escaped(text).replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")
    if '"' not in text:
        return f'"{text}"'
    if "'" not in text:
        return f"'{text}'"
    return '"{}"'.format(text.replace('"', "&quot;"))
