"""What is known of an object before it is read or replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from objstore.client.account import Account, Row
from objstore.client.large import Piece, read_manifest
from objstore.client.place import Place

MTIME = "X-Object-Meta-Mtime"
"""Seconds with a fraction, of the file an object was copied from; python-swiftclient and rclone have the same name."""
_MANIFEST = {"multipart-manifest": "get"}
_MD5 = re.compile("[0-9a-f]{32}")
_SECONDS = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,12})?", re.ASCII)
_VERSIONS = ("x-versions-enabled", "x-versions-location", "x-history-location")


@dataclass(frozen=True, slots=True)
class Facts:
    """etag: without quotes; of a manifest, the MD5 of its segments' ETags; '' where there is none.

    is_joined: a dynamic large object, whose parts nobody has written down. is_sure: told by the object itself, and not
    by a listing, where links and large objects look like others."""

    size_bytes: int
    etag: str
    is_manifest: bool = False
    is_joined: bool = False
    is_sure: bool = False
    headers: Mapping[str, str] | None = None

    @property
    def md5(self) -> str:
        """The MD5 of the content; '' where it is not known."""
        is_plain = not self.is_manifest and not self.is_joined
        return self.etag if is_plain and _MD5.fullmatch(self.etag) else ""


def facts_of_row(row: Row) -> Facts:
    return Facts(row.size_bytes, row.etag, row.is_manifest)


def facts_of_answer(headers: Mapping[str, str], size_bytes: int | None = None) -> Facts:
    """The facts in the headers of an answer to HEAD or GET."""
    length = headers.get("content-length", "")
    return Facts(
        size_bytes if size_bytes is not None else int(length) if length.isdigit() else 0,
        headers.get("etag", "").strip('"'),
        headers.get("x-static-large-object", "").lower() in ("true", "1"),
        "x-object-manifest" in headers,
        is_sure=True,
        headers=headers,
    )


def look(account: Account, place: Place) -> Facts | None:
    """The facts of an object; None when it does not exist. Raises ClientError."""
    headers = account.head(place.path)
    return facts_of_answer(headers) if headers is not None else None


def pieces_of(account: Account, place: Place) -> list[Piece]:
    """The segments of a static large object. Raises ClientError."""
    return read_manifest(account.get(place.path, _MANIFEST).body)


def keeps_versions(container: Mapping[str, str]) -> bool:
    """Whether what is replaced or deleted in a container may still be read. container: its headers."""
    return any(container.get(name, "").lower() not in ("", "false") for name in _VERSIONS)


def mtime_text(mtime_ns: int) -> str:
    return f"{mtime_ns // 1_000_000_000}.{mtime_ns % 1_000_000_000 // 1000:06d}"


def mtime_ns_of(headers: Mapping[str, str]) -> int | None:
    """When the file was changed that an object was copied from; None where nobody said."""
    text = headers.get(MTIME.lower(), "")
    return int(Decimal(text) * 1_000_000_000) if _SECONDS.fullmatch(text) else None
