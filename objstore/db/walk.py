"""A page of names out of an index: the walk behind every listing.

Rows come from the index on (deleted, name), from a bound on, in order, and no further than the page is long. With a
delimiter the names of one subdirectory are stepped over; when there are many, the walk seeks past them, so that a
page costs what it shows and not what it hides. Source: formats 6.3, doc/formats/databases.md.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from objstore.core.listing import Selection, after_prefix

_STEPS_BEFORE_SEEK = 8
"""Rows of a hidden subdirectory worth stepping over; beyond them a new query is cheaper."""
_AFTER_RESERVED = "\x01"

Row = tuple[Any, ...]


@dataclass(slots=True)
class _Bounds:
    """lower and upper may be None: open. Seeking narrows one of them."""

    lower: str | None
    lower_open: bool
    upper: str | None
    upper_open: bool

    def where(self) -> tuple[str, list[str]]:
        text, values = "", []
        if self.lower is not None:
            text += f" AND name {'>' if self.lower_open else '>='} ?"
            values.append(self.lower)
        if self.upper is not None:
            text += f" AND name {'<' if self.upper_open else '<='} ?"
            values.append(self.upper)
        return text, values

    def raise_lower(self, value: str, is_open: bool) -> None:
        if self.lower is None or value > self.lower or (value == self.lower and is_open):
            self.lower, self.lower_open = value, is_open

    def reduce_upper(self, value: str, is_open: bool) -> None:
        if self.upper is None or value < self.upper or (value == self.upper and is_open):
            self.upper, self.upper_open = value, is_open


def walk(
    connection: sqlite3.Connection, select: str, where: str, values: tuple[Any, ...], selection: Selection
) -> list[Row | str]:
    """Rows (the name first) and subdirectories (text) of one page, in order.

    select: `SELECT name, … FROM table`. where: further conditions after `deleted = 0`, with their values.
    """
    prefix, delimiter = selection.prefix, selection.delimiter
    if selection.path is not None:
        prefix, delimiter = (selection.path.rstrip("/") + "/" if selection.path else ""), "/"
    bounds = _bounds(selection, prefix)
    if selection.limit <= 0 or bounds is None:
        return []
    query = _Query(connection, f"{select} WHERE deleted = 0{where}", values, selection.reverse)
    if not delimiter:
        return query.rows(bounds, selection.limit).fetchall()
    return _walk_tree(query, bounds, prefix, delimiter, selection)


@dataclass(frozen=True, slots=True)
class _Query:
    connection: sqlite3.Connection
    text: str
    values: tuple[Any, ...]
    reverse: bool

    def rows(self, bounds: _Bounds, limit: int) -> sqlite3.Cursor:
        where, values = bounds.where()
        order = " ORDER BY name DESC LIMIT ?" if self.reverse else " ORDER BY name LIMIT ?"
        return self.connection.execute(self.text + where + order, (*self.values, *values, limit))


def _bounds(selection: Selection, prefix: str) -> _Bounds | None:
    """None when nothing can be in them."""
    first, last = selection.marker, selection.end_marker
    if selection.reverse:
        first, last = last, first
    bounds = _Bounds(None, False, None, False)
    if not selection.allow_reserved:
        bounds.raise_lower(_AFTER_RESERVED, False)
    if first:
        bounds.raise_lower(first, True)
    if last:
        bounds.reduce_upper(last, True)
    if prefix:
        bounds.raise_lower(prefix, False)
        beyond = after_prefix(prefix)
        if beyond is not None:
            bounds.reduce_upper(beyond, True)
    if bounds.lower is not None and bounds.upper is not None and bounds.lower >= bounds.upper:
        return None
    return bounds


def _walk_tree(query: _Query, bounds: _Bounds, prefix: str, delimiter: str, selection: Selection) -> list[Row | str]:
    """A page with a delimiter (subdirectories collapse) or a path (they are left out)."""
    items: list[Row | str] = []
    is_path = selection.path is not None
    # A subdirectory that is itself a marker lies outside the page, though names below it lie inside.
    outside = {selection.marker, selection.end_marker}
    while True:
        hidden, steps = "", 0
        for row in query.rows(bounds, -1):
            name = row[0]
            at = name.find(delimiter, len(prefix))
            subdir = name[: at + len(delimiter)] if at >= 0 else ""
            if not subdir or (is_path and subdir == name):
                if not (is_path and name == prefix):
                    items.append(row)
            elif subdir == hidden:
                steps += 1
                if steps > _STEPS_BEFORE_SEEK:
                    break
            else:
                hidden, steps = subdir, 0
                if not is_path and subdir not in outside:
                    items.append(subdir)
            if len(items) >= selection.limit:
                return items
        else:
            return items
        if not _seek_past(bounds, hidden, is_path, selection.reverse):
            return items


def _seek_past(bounds: _Bounds, subdir: str, is_path: bool, reverse: bool) -> bool:
    """Narrow the bounds to what comes after a subdirectory; False when nothing does."""
    if reverse:
        # With a path, an object may be called exactly like the subdirectory, and is shown.
        bounds.reduce_upper(subdir, not is_path)
        return True
    beyond = after_prefix(subdir)
    if beyond is None:
        return False
    bounds.raise_lower(beyond, False)
    return True
