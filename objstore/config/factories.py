"""Which factories an ini file may name in `use = egg:…#name`, and the settings each of them reads.

Factories are the entry points of this distribution; `egg:swift#name` means the same one, so that an operator's own
files carry over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Protocol

from objstore.config.settings import Settings

DISTRIBUTION = "objstore"
APP_GROUP = "paste.app_factory"
FILTER_GROUP = "paste.filter_factory"
DAEMON_GROUP = "objstore.daemon"
"""Names are those of ini sections and commands: object-updater, …"""
_EGG = re.compile(r"egg:(?P<distribution>[^#]+)(?:#(?P<name>.+))?")
Factory = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Used:
    """What a `use` value names. is_ours: a factory of objstore, or of Swift, whose place it takes."""

    name: str
    is_ours: bool


def used(value: str) -> Used:
    """The factory that `use = value` names."""
    match = _EGG.fullmatch(value.strip())
    if match is None:
        return Used(value, False)
    return Used(match["name"] or "main", match["distribution"] in (DISTRIBUTION, "swift"))


def our_egg(value: str) -> str:
    """A `use` value for PasteDeploy: egg:swift#x becomes egg:objstore#x, others stay."""
    found = used(value)
    return f"egg:{DISTRIBUTION}#{found.name}" if found.is_ours else value


def replacement(key: str, value: str) -> str | None:
    """The factory of ours that takes the place of one that a section names by `paste.filter_factory = …`; else None.

    Keystone's own filter waits in sockets that would stop every request of a worker.
    """
    return _REPLACED.get(value.strip()) if key == "paste.filter_factory" else None


_REPLACED = {"keystonemiddleware.auth_token:filter_factory": "authtoken"}


class Loadable(Protocol):
    """An entry point, as far as it is used here."""

    def load(self) -> Any:
        """Import what it names."""


class Factories:
    """Factories by group and name. Modules are imported when a factory is first asked for."""

    def __init__(self, points: Mapping[str, Mapping[str, Loadable]]) -> None:
        self._points = points

    def names(self, group: str) -> tuple[str, ...]:
        return tuple(sorted(self._points.get(group, {})))

    def load(self, group: str, name: str) -> Factory | None:
        """The factory of a name; None when there is none."""
        point = self._points.get(group, {}).get(name)
        return point.load() if point is not None else None

    def settings_class(self, group: str, name: str) -> type[Settings] | None:
        """The settings a factory reads; None when the factory is unknown."""
        found = self.load(group, name)
        return getattr(found, "settings_class", Settings) if found is not None else None


@lru_cache(maxsize=1)
def installed() -> Factories:
    """The factories of this distribution."""
    groups = {}
    for group in (APP_GROUP, FILTER_GROUP, DAEMON_GROUP):
        points = entry_points(group=group)
        groups[group] = {point.name: point for point in points if point.dist and point.dist.name == DISTRIBUTION}
    return Factories(groups)
