"""?versions: the rows of a container and of its hidden one as one listing, newest version of a name first. Pure.

A link in the container says which version is current; an object there that is no link is the version `null`. Without
either, the newest version is current when it is a delete marker. Source: feature A4.8; http vectors ov-list-*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any
from urllib.parse import unquote

from objstore.core.row_etag import joined, split
from objstore.middleware.versioning.names import (
    NULL,
    is_deleted,
    parse_version_name,
    versions_container,
    with_id,
)

Row = dict[str, Any]


def version_of_row(row: Row, container: str) -> str | None:
    """The id of the version that a row of the container (as the symlink filter shows it) leads to."""
    location = unquote(row.get("symlink_path", ""), errors="surrogateescape")
    parts = location.split("/", 4)
    if len(parts) < 5 or parts[3] != versions_container(container):
        return None
    found = parse_version_name(parts[4])
    return found[1] if found is not None and found[0] == row.get("name") else None


def show_current(row: Row, version: str, account: str, container: str) -> None:
    """A link in an ordinary listing, as the object that it is to clients."""
    version_id = version_of_row(row, container)
    if version_id is None:
        return
    _, parameters = split(row["hash"])
    row["hash"] = joined(row.pop("symlink_etag", row["hash"]), parameters)
    row["bytes"] = row["bytes"] or row.get("symlink_bytes", 0)
    row.pop("symlink_bytes", None)
    row["symlink_path"] = with_id(f"/{version}/{account}/{container}/{row['name']}", version_id)
    row["version_symlink"] = True


def merged(
    current: Sequence[Row], versions: Sequence[Row], container: str, limit: int, *, reverse: bool, after: str
) -> list[Row]:
    """current: rows of the container; versions: rows of the hidden one, both in the order of the listing. after: the
    name in whose versions the listing begins, so that the first of them is not the newest; '' for none."""
    links = {row["name"]: version_of_row(row, container) or NULL for row in current if "subdir" not in row}
    subdirs = {row["subdir"] for row in current if "subdir" in row}
    items = [*_current_items(current, links), *_version_items(versions, links, subdirs, after, reverse=reverse)]
    items.sort(key=lambda item: item[:2], reverse=reverse)
    return [row for _, _, row in items[:limit]]


_Item = tuple[str, int, Row]
"""(name, its place among the rows of that name, row)."""


def _current_items(current: Iterable[Row], links: Mapping[str, str]) -> Iterator[_Item]:
    """Subdirectories, and the objects that are no link to a version."""
    for row in current:
        if "subdir" in row:
            yield row["subdir"], 0, row
        elif links[row["name"]] == NULL:
            yield row["name"], -1, {**row, "version_id": NULL, "is_latest": True}


def _version_items(
    versions: Sequence[Row], links: Mapping[str, str], subdirs: Set[str], after: str, *, reverse: bool
) -> Iterator[_Item]:
    """links: by name, the id of the current version. subdirs: those that are listed already."""
    told = set(subdirs)
    newest = {after} if after else set()
    for position, row in enumerate(reversed(versions) if reverse else versions):
        if "subdir" in row:
            name = row["subdir"].removeprefix("\0")
            if name not in told:
                told.add(name)
                yield name, position, {"subdir": name}
            continue
        parsed = parse_version_name(row["name"])
        if parsed is None:
            continue
        name, version_id = parsed
        if name in links:
            is_latest = links[name] == version_id
        else:
            is_latest = name not in newest and is_deleted(row.get("content_type", ""))
        newest.add(name)
        yield name, position, {**row, "name": name, "is_latest": is_latest, "version_id": version_id}
