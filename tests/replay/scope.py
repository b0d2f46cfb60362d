"""What is not compared, and why: quirks.toml (answers we give otherwise) and scope.toml (features not built yet)."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.replay.cases import Case

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Quirk:
    """Why a case is answered otherwise, and the status we give instead at each step (counted from 0) that differs.

    rule: the standard that asks for it, for a case that is not marked quirk; else ''.
    """

    why: str
    instead: Mapping[int, int]
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """Reasons to skip, by case id, by row and by area; and what /info lists there but not here.

    status_only: by case id and step, why only the status of that step is compared.
    """

    quirks: Mapping[str, Quirk] = field(default_factory=dict)
    cases: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, str] = field(default_factory=dict)
    areas: Mapping[str, str] = field(default_factory=dict)
    status_only: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    absent_info: Sequence[str] = ()
    free_info: Sequence[str] = ()

    def skips(self, case: Case) -> str:
        """The reason why this case is not run, or ''."""
        return self.cases.get(case.id) or self.rows.get(case.row) or self.areas.get(case.area, "")

    def expected_info(self, text: str, got: bytes) -> str:
        """The recorded /info without the features that are not built, and with our own values where those are free."""
        recorded, ours = json.loads(text), json.loads(got)
        for feature in self.absent_info:
            recorded.pop(feature, None)
        for path in self.free_info:
            section, _, key = path.partition(".")
            if key in ours.get(section, {}):
                recorded[section][key] = ours[section][key]
            else:
                recorded.get(section, {}).pop(key, None)
        return json.dumps(recorded)


def load_scope(folder: Path = HERE) -> Scope:
    quirks = _toml(folder / "quirks.toml")
    scope = _toml(folder / "scope.toml")
    return Scope(
        quirks={
            name: Quirk(raw["why"], {int(step): status for step, status in raw["instead"].items()}, raw.get("rule", ""))
            for name, raw in quirks.items()
        },
        cases=scope.get("cases", {}),
        rows=scope.get("rows", {}),
        areas=scope.get("areas", {}),
        status_only={
            name: {int(step): why for step, why in steps.items()}
            for name, steps in scope.get("status_only", {}).items()
        },
        absent_info=scope.get("info", {}).get("absent", ()),
        free_info=scope.get("info", {}).get("free", ()),
    )


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
