"""Audit watchers: plug-ins that see every object the auditor has read and found good.

A watcher is an entry point of the group objstore.object_audit_watcher:

    class Mine:
        def __init__(self, options: Mapping[str, str], context: WatcherContext) -> None: ...
        def start(self, mode: str) -> None: ...        a pass begins; mode: "ALL"
        def see(self, seen: SeenObject) -> str | None: ...   KEEP (or None), DELETE or QUARANTINE
        def end(self) -> None: ...                     the pass has ended

`watchers = dist#mine` in [object-auditor] switches it on; its options stand in [object-auditor:watcher:dist#mine].
DELETE is a tombstone that ends the copies on other nodes too; it is dated just after the object, or, for one older than
that, a day before tombstones are reclaimed: what was written since stays. A watcher runs in a green thread of the
auditor, one object at a time per device, and may wait. What it raises is logged, and the object is kept: a plug-in that
fails must not cost data. Source: features B3.6.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from objstore.core.hashing import HashSecrets
from objstore.core.timestamp import Timestamp
from objstore.runtime.clock import Clock
from objstore.storage.layout import ObjectAddress

GROUP = "objstore.object_audit_watcher"
KEEP, DELETE, QUARANTINE = "keep", "delete", "quarantine"
_OURS = frozenset({"objstore", "swift"})
_log = logging.getLogger("objstore.object.auditor")


@dataclass(frozen=True, slots=True)
class SeenObject:
    """address: with its name. headers: its metadata in effect, lower-case names. directory: where its files are."""

    address: ObjectAddress
    timestamp: Timestamp
    size_bytes: int
    headers: Mapping[str, str]
    directory: str


@dataclass(frozen=True, slots=True)
class WatcherContext:
    """What a watcher may use. devices_root: the directory that has a directory per device."""

    swift_dir: Path
    devices_root: str
    secrets: HashSecrets
    clock: Clock


class Watcher(Protocol):
    def start(self, mode: str) -> None: ...

    def see(self, seen: SeenObject) -> str | None: ...

    def end(self) -> None: ...


class UnknownWatcher(ValueError):
    """A name in `watchers` that nothing installed has."""


def split_name(text: str) -> tuple[str, str]:
    """(distribution, name) of dist#name; without a distribution it is ours. Swift's names mean ours."""
    distribution, mark, name = text.strip().partition("#")
    if not mark:
        return "objstore", distribution
    return ("objstore" if distribution in _OURS else distribution), name


def load_watchers(
    names: Iterable[str], options_of: Callable[[str], Mapping[str, str]], context: WatcherContext
) -> list[Watcher]:
    """The watchers of a `watchers` setting. options_of(name): the keys of its section. Raises UnknownWatcher, and
    ValueError for options that a watcher refuses."""
    return [Guarded(text, _factory(text)(options_of(text), context)) for text in names]


def _factory(text: str) -> Callable[[Mapping[str, str], WatcherContext], Watcher]:
    distribution, name = split_name(text)
    for point in entry_points(group=GROUP, name=name):
        if point.dist is not None and point.dist.name == distribution:
            found: Callable[[Mapping[str, str], WatcherContext], Watcher] = point.load()
            return found
    raise UnknownWatcher(f"watchers = {text}: no installed distribution has {name!r} in {GROUP}")


class Guarded:
    """A watcher whose bugs cost nothing but a line in the log."""

    def __init__(self, name: str, watcher: Watcher) -> None:
        self._name = name
        self._watcher = watcher

    def start(self, mode: str) -> None:
        try:
            self._watcher.start(mode)
        except Exception:  # The plug-in boundary.
            _log.exception("watcher=%s: failed at the start of a pass", self._name)

    def see(self, seen: SeenObject) -> str:
        try:
            verdict = self._watcher.see(seen)
        except Exception:  # The plug-in boundary: who fails has no say.
            _log.exception("watcher=%s name=%r: failed; the object is kept", self._name, seen.address.name)
            return KEEP
        if verdict not in (None, KEEP, DELETE, QUARANTINE):
            _log.error("watcher=%s: said %r, which is no verdict; the object is kept", self._name, verdict)
        return verdict if verdict in (DELETE, QUARANTINE) else KEEP

    def end(self) -> None:
        try:
            self._watcher.end()
        except Exception:  # The plug-in boundary.
            _log.exception("watcher=%s: failed at the end of a pass", self._name)


def guarded(watchers: Sequence[Watcher]) -> list[Guarded]:
    """Guard watchers that do not come from load_watchers()."""
    return [
        watcher if isinstance(watcher, Guarded) else Guarded(type(watcher).__name__, watcher) for watcher in watchers
    ]
