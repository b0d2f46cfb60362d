"""What this cluster can do: each filter and server registers its section once, and /info serves them all (A5.10).

One registry per process, filled while the pipeline is built, before any fork; nobody writes afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

ADMIN = "admin"
DISALLOWED = "disallowed_sections"


class Capabilities:
    def __init__(self) -> None:
        self._public: dict[str, dict[str, Any]] = {}
        self._admin: dict[str, dict[str, Any]] = {}

    def register(self, section: str, **facts: Any) -> None:
        """Facts that anybody may see. A second call for a section adds to it. Values must be JSON."""
        _check(section)
        self._public.setdefault(section, {}).update(facts)

    def register_admin(self, section: str, **facts: Any) -> None:
        """Facts for a signed request only; they appear under `admin`."""
        _check(section)
        self._admin.setdefault(section, {}).update(facts)

    def collect(self, admin: bool = False, disallowed: Iterable[str] = ()) -> dict[str, Any]:
        """A copy of the public facts, and the admin ones where asked for.

        disallowed: `section`, or `section.fact` for one fact; these are left out of the public part.
        """
        withheld = list(disallowed)
        facts: dict[str, Any] = copy.deepcopy(self._public)
        for path in withheld:
            section, dot, fact = path.partition(".")
            if not dot:
                facts.pop(section, None)
            elif section in facts:
                facts[section].pop(fact, None)
        if admin:
            facts[ADMIN] = {**copy.deepcopy(self._admin), DISALLOWED: withheld}
        return facts


def _check(section: str) -> None:
    if section in (ADMIN, DISALLOWED) or "." in section:
        raise ValueError(f"{section!r} cannot name a section of /info")


_registry = Capabilities()
register = _registry.register
register_admin = _registry.register_admin
collect = _registry.collect
