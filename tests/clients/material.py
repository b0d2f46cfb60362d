"""What the clients upload: real files, a large one, and names that have broken other stores."""

from __future__ import annotations

import hashlib
import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

MIB = 1 << 20
NAME_LIMIT = 1024


def standard_library(target: Path, count: int) -> int:
    """Copy up to `count` files of the running Python's library (then of its packages) to `target`; how many."""
    paths = sysconfig.get_paths()
    copied = 0
    for label in ("stdlib", "purelib"):
        root = Path(paths[label])
        for source in sorted(root.rglob("*")):
            inside = source.relative_to(root)
            if copied >= count:
                return copied
            if source.is_symlink() or not source.is_file() or (label == "stdlib" and "site-packages" in inside.parts):
                continue
            place = target / label / inside
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
            copied += 1
    return copied


def large_file(path: Path, size_mib: int) -> None:
    """Bytes that neither repeat nor compress."""
    with path.open("wb") as file:
        for _ in range(size_mib):
            file.write(os.urandom(MIB))


def hashes(root: Path) -> dict[str, str]:
    """MD5 by path below `root`, for every file."""
    return {path.relative_to(root).as_posix(): md5(path) for path in sorted(root.rglob("*")) if path.is_file()}


def md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def odd_names() -> Iterator[str]:
    """Object names: blanks, percent signs, every Unicode plane with characters, slashes, the longest allowed."""
    yield "with a blank"
    yield " leading and trailing "
    yield "100%"
    yield "%2F%00%zz"
    yield "a%20b and a b"
    yield "plus+and&amp;?query=1#fragment;x"
    yield "quote'\"back\\slash"
    yield "tab\tand newline\nin the name"
    yield "/leading slash"
    yield "//two leading slashes"
    yield "trailing slash/"
    yield "a//b/./../c"
    yield "."
    yield ".."
    for plane, point in enumerate((0x00FC, 0x1F600, 0x20000, 0x30000)):
        yield f"plane {plane} {chr(point)}"
    for plane, point in ((14, 0xE0100), (15, 0xF0000), (16, 0x10FFFD)):
        yield f"plane {plane} x{chr(point)}"
    yield "combining e\u0301 and composed \u00e9"
    yield "right to left \u05d0\u05d1 \u202e"
    yield "n" * NAME_LIMIT
    yield "\u00fc" * (NAME_LIMIT // 2)
    yield "\U0001f600" * (NAME_LIMIT // 4)


def has_dot_segments(name: str) -> bool:
    """Whether python-swiftclient's HTTP library rewrites the path before it is sent (RFC 3986, 5.2.4)."""
    return any(part in (".", "..") for part in name.split("/"))


def odd_file_names() -> Iterator[str]:
    """Those odd names that a file tree can hold: parts of at most 255 bytes, no empty or dot parts; and long paths."""
    for name in odd_names():
        parts = name.split("/")
        if all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts) and "\n" not in name:
            yield name
    for character in "n\u00fc\U0001f600":
        part = character * (200 // len(character.encode()))
        path = "/".join([part] * 4)
        yield path + "/" + "n" * (1000 - len(path.encode()))
