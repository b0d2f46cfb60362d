"""Files below a directory, in the order of their names as objects, and what is left out with the reason why."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from objstore.client.file_names import NoFileName, name_of
from objstore.client.landing import PART_NAME


@dataclass(frozen=True, slots=True)
class LocalFile:
    """relative: the path below where the walk began, as an object's name."""

    path: str
    relative: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """is_error: something that should have been copied, and cannot be."""

    path: str
    why: str
    is_error: bool


def file_at(path: str, relative: str) -> LocalFile | LeftOut:
    """What a command line names itself: a symbolic link counts as what it leads to."""
    try:
        facts = os.stat(path)
    except OSError as error:
        return LeftOut(path, error.strerror or str(error), is_error=True)
    return _judged(path, relative, facts)


def walk(root: str, *, follows_links: bool = False) -> Iterator[LocalFile | LeftOut]:
    """Symbolic links are left out, or followed; one that leads to a directory it lies in is left out in any case.

    Sorted by `relative`: a directory stands where its name and a slash would."""
    yield from _below(root, "", follows_links, frozenset())


def _below(
    path: str, prefix: str, follows_links: bool, above: frozenset[tuple[int, int]]
) -> Iterator[LocalFile | LeftOut]:
    try:
        here = os.stat(path)
        with os.scandir(path) as found:
            entries = sorted((entry for entry in found), key=lambda entry: _sorting(entry, follows_links))
    except OSError as error:
        yield LeftOut(path, error.strerror or str(error), is_error=True)
        return
    if (here.st_dev, here.st_ino) in above:
        yield LeftOut(path, "a link to a directory that it lies in", is_error=False)
        return
    for entry in entries:
        if PART_NAME.fullmatch(entry.name):
            yield LeftOut(entry.path, "of a download that was cut off", is_error=False)
        elif entry.is_symlink() and not follows_links:
            yield LeftOut(entry.path, "a symbolic link", is_error=False)
        elif _is_directory(entry, follows_links):
            inside = above | {(here.st_dev, here.st_ino)}
            yield from _below(entry.path, f"{prefix}{entry.name}/", follows_links, inside)
        else:
            yield _entry(entry, prefix, follows_links)


def _sorting(entry: os.DirEntry[str], follows_links: bool) -> str:
    return f"{entry.name}/" if _is_directory(entry, follows_links) else entry.name


def _is_directory(entry: os.DirEntry[str], follows_links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follows_links)
    except OSError:
        return False


def _entry(entry: os.DirEntry[str], prefix: str, follows_links: bool) -> LocalFile | LeftOut:
    try:
        facts = entry.stat(follow_symlinks=follows_links)
    except OSError as error:
        return LeftOut(entry.path, error.strerror or str(error), is_error=True)
    return _judged(entry.path, prefix + entry.name, facts)


def _judged(path: str, relative: str, facts: os.stat_result) -> LocalFile | LeftOut:
    if not stat.S_ISREG(facts.st_mode):
        return LeftOut(path, "no regular file", is_error=False)
    try:
        return LocalFile(path, name_of(relative), facts.st_size, facts.st_mtime_ns)
    except NoFileName as error:
        return LeftOut(path, str(error), is_error=True)
