"""The page that shows a directory: HTML of one page of a container's listing. Pure.

Whatever comes from names or metadata is escaped; links start with ./ so that no name becomes a scheme (javascript:…).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from objstore.core.headers import is_true

_STYLE = """\
   h1 {font-size: 1em; font-weight: bold;}
   th {text-align: left; padding: 0px 1em 0px 1em;}
   td {padding: 0px 1em 0px 1em;}
   a {text-decoration: none;}
   .size {text-align: right;}
"""
_UNITS = ("bytes", "KB", "MB", "GB", "TB", "PB", "EB")


_DIRECTORY_TYPE = "application/directory"


@dataclass(frozen=True, slots=True)
class Web:
    """What a container says of its site (X-Container-Meta-Web-…, values as text)."""

    index: str = ""
    error: str = ""
    has_listings: bool = False
    css: str = ""
    label: str = ""
    directory_type: str = _DIRECTORY_TYPE

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Web | None:
        """metadata: names lower case without prefix, values as text. None: this container is not a site."""
        index, error = metadata.get("web-index", "").strip(), metadata.get("web-error", "").strip()
        has_listings = is_true(metadata.get("web-listings", "").strip())
        if not (index or error or has_listings):
            return None
        return cls(
            index,
            error,
            has_listings,
            metadata.get("web-listings-css", "").strip(),
            metadata.get("web-listings-label", "").strip(),
            metadata.get("web-directory-type", "").strip() or _DIRECTORY_TYPE,
        )


@dataclass(frozen=True, slots=True)
class Directory:
    """title: what is shown, as text. prefix: the names' common beginning, '' or ending with a slash. query: what every
    link carries on, '' or without a question mark. next_marker: '' at the end."""

    title: str
    prefix: str
    query: str = ""
    next_marker: str = ""
    has_parent: bool = True


def render(web: Web, directory: Directory, rows: Iterable[Mapping[str, Any]]) -> str:
    """rows: of the JSON listing, with delimiter /."""
    shown = web.label.rstrip("/") + "/" + directory.prefix if web.label else directory.title
    title = escape(f"Listing of {shown}")
    tail = f"?{directory.query}" if directory.query else ""
    lines = [_row(f"../{tail}", "../", "", "")] if directory.prefix and directory.has_parent else []
    for row in rows:
        line = _row_of(row, directory.prefix, tail)
        if line:
            lines.append(line)
    if directory.next_marker:
        more = "&".join(part for part in (f"marker={quote(directory.next_marker, safe='')}", directory.query) if part)
        lines.append(_row(f"?{more}", "more …", "", ""))
    return (
        "<!DOCTYPE HTML>\n<html>\n <head>\n"
        f'  <meta charset="utf-8">\n  <title>{title}</title>\n{_style(web, directory)} </head>\n <body>\n'
        f'  <h1 id="title">{title}</h1>\n  <table id="listing">\n'
        '   <tr id="heading"><th class="name">Name</th><th class="size">Size</th><th class="date">Date</th></tr>\n'
        + "".join(lines)
        + "  </table>\n </body>\n</html>\n"
    )


def _style(web: Web, directory: Directory) -> str:
    if not web.css:
        return f"  <style>\n{_STYLE}  </style>\n"
    is_absolute = web.css.startswith(("/", "http://", "https://"))
    link = quote(web.css, safe=_URL)
    if not is_absolute:
        link = ("../" * directory.prefix.count("/") or "./") + link
    return f'  <link rel="stylesheet" type="text/css" href="{escape(link)}">\n'


_URL = ";/?:@&=+$,#%"


def _row_of(row: Mapping[str, Any], prefix: str, tail: str) -> str:
    if "subdir" in row:
        name = str(row["subdir"])[len(prefix) :]
        return _row(f"./{quote(name)}{tail}", name, "", "") if name else ""
    name = str(row.get("name", ""))[len(prefix) :]
    if not name:
        return ""
    return _row(f"./{quote(name)}{tail}", name, human_size(int(row.get("bytes", 0))), _date(row))


def _row(link: str, name: str, size: str, date: str) -> str:
    kind = "subdir" if not size else "item"
    return (
        f'   <tr class="{kind}"><td class="name"><a href="{escape(link)}">{escape(name)}</a></td>'
        f'<td class="size">{size}</td><td class="date">{escape(date)}</td></tr>\n'
    )


def _date(row: Mapping[str, Any]) -> str:
    return str(row.get("last_modified", "")).partition(".")[0].replace("T", " ")


def human_size(size_bytes: int) -> str:
    """1 bytes, 1023 bytes, 1.0 KB, …"""
    size = float(size_bytes)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            return f"{size_bytes} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("the last unit takes everything")
