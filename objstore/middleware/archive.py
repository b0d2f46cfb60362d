"""The regular files of a tar archive, one after the other as it arrives; nothing is kept of those that are past.

A hostile archive costs what it weighs: records that describe a file (long names, attributes) are limited, and names
that climb (`..`) are refused by whoever uses them. Attributes become headers of an object:

    SCHILY.xattr.user.mime_type, LIBARCHIVE.xattr.user.mime_type       Content-Type
    SCHILY.xattr.user.meta.NAME, LIBARCHIVE.xattr.user.meta.NAME       X-Object-Meta-NAME

Where both are there SCHILY's count. Source: feature A5.5; http vectors bulk-up-pax; pax(1).
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Protocol

MODES = {"tar": "r|", "tar.gz": "r|gz", "tar.bz2": "r|bz2"}
_DESCRIPTION_BYTES = 1 << 20
_DESCRIPTIONS = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)
_BROKEN = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, OverflowError)
_TYPE, _META = "user.mime_type", "user.meta."


class ArchiveError(Exception):
    """The archive cannot be read (any further); the text says why."""


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Member:
    """A file. name: text, without a leading / or ./. size: bytes. Its content goes when the next member is drawn."""

    name: str
    size: int
    headers: Mapping[str, str]
    content: IO[bytes]

    def pieces(self, size: int) -> Iterator[bytes]:
        """The content. Raises ArchiveError where the archive ends early."""
        left = self.size
        while left:
            try:
                piece = self.content.read(min(size, left))
            except _BROKEN as error:
                raise ArchiveError(str(error)) from None
            if not piece:
                raise ArchiveError(f"unexpected end of data in {self.name!r}")
            left -= len(piece)
            yield piece


class _TarInfo(tarfile.TarInfo):
    """A header that does not promise endless descriptions."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: Any, errors: Any) -> _TarInfo:
        found = super().frombuf(buf, encoding, errors)
        if found.type in _DESCRIPTIONS and found.size > _DESCRIPTION_BYTES:
            raise tarfile.ReadError(f"a description of {found.size} bytes: at most {_DESCRIPTION_BYTES} are read")
        return found


def members(source: Readable, format_: str) -> Iterator[Member]:
    """The regular files, in order. format_: a key of MODES. Raises ArchiveError; what source raises comes out too."""
    try:
        with tarfile.open(
            mode=MODES[format_],  # type: ignore[call-overload]  # one of three literals
            fileobj=source,
            tarinfo=_TarInfo,
            encoding="utf-8",
            errors="surrogateescape",
        ) as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # Or every header of the archive is kept.
                if info.isreg():
                    content = archive.extractfile(info)
                    assert content is not None
                    yield Member(_plain(info.name), info.size, _headers(info.pax_headers), content)
    except _BROKEN as error:
        raise ArchiveError(str(error) or type(error).__name__) from None


def _plain(name: str) -> str:
    while name.startswith(("/", "./")):
        name = name.partition("/")[2]
    return name


def _headers(attributes: Mapping[str, str]) -> dict[str, str]:
    found = {}
    # In this order: SCHILY's are written over LIBARCHIVE's.
    for key, text in sorted(attributes.items()):
        tool, _, name = key.partition(".xattr.")
        if tool not in ("LIBARCHIVE", "SCHILY") or any(character in text for character in "\r\n\0"):
            continue
        if name == _TYPE:
            found["content-type"] = text
        elif name.startswith(_META) and len(name) > len(_META):
            found[f"x-object-meta-{name[len(_META) :]}"] = text
    return found
