"""Names of objects and paths of files, one from the other. Pure.

An object's name is any text; a path is parts that a directory can hold. What has no part of its own on disk (an empty
one, `.`, `..`, one that is too long) is refused and never mended: two objects must not become one file, and none may
come to lie outside of where the copy goes.
"""

from __future__ import annotations

PART_BYTES_MAX = 255


class NoFileName(ValueError):
    """The text says why a name of an object is none of a file, or the other way round."""


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of the path of an object's file, below where the copy goes. Raises NoFileName."""
    parts = tuple(name.split("/"))
    for part in parts:
        if part in ("", ".", ".."):
            raise NoFileName(f"{part!r} in the name can be no file or directory")
        if "\0" in part:
            raise NoFileName("a NUL in the name can be in no file's name")
        try:
            size = len(part.encode("utf-8"))
        except UnicodeEncodeError:
            raise NoFileName("the name is not UTF-8") from None
        if size > PART_BYTES_MAX:
            raise NoFileName(f"a part of the name is {size} bytes long; a file's name has at most {PART_BYTES_MAX}")
    return parts


def name_of(relative: str) -> str:
    """The object's name of a file, of its path below where the copy comes from. Raises NoFileName."""
    try:
        relative.encode("utf-8")
    except UnicodeEncodeError:
        raise NoFileName("the file's name is not UTF-8; rename it") from None
    return relative
