"""Recorded cases read from JSON Lines files into values; nothing is expanded or sent here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_USER = "tester"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as recorded: every text may hold placeholders. `user` is None when no token is to be added."""

    method: str
    target: str
    headers: Mapping[str, str | list[str]]
    body: Any
    user: str | None
    adds_length: bool
    adds_host: bool
    is_http10: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """A recorded answer. `status` None: the connection closed without one. `headers` None: only the status was kept."""

    status: int | None
    headers: Mapping[str, str | list[str]] | None
    body: Any
    interim: tuple[int, ...]
    absent: frozenset[str]
    is_truncated: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    request: Request
    expected: Expected
    capture: Mapping[str, str] = field(default_factory=dict)
    sign: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class Settle:
    """Counts travel from containers to their account: the next exchange may need some time to match."""

    daemon: str


Step = Exchange | Sleep | Settle


@dataclass(frozen=True, slots=True)
class Case:
    """One conversation. `area` is the name of its file, `row` the row of features.md it pins."""

    id: str
    area: str
    row: str
    note: str
    is_quirk: bool
    steps: tuple[Step, ...]
    text: str = field(repr=False, default="")

    def mentions(self, placeholder: str) -> bool:
        """Whether the recorded text holds `placeholder`, such as {account5}."""
        return placeholder in self.text


class CaseError(Exception):
    """A file that is not a set of recorded cases; says which line."""


def load_folder(folder: Path) -> list[Case]:
    """Every case of every *.jsonl file of `folder`, files by name, cases in file order. CaseError if there is none."""
    found = [case for path in sorted(folder.glob("*.jsonl")) for case in load_file(path)]
    if not found:
        raise CaseError(f"{folder}: no *.jsonl file with cases in it")
    return found


def load_file(path: Path) -> Iterator[Case]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield parse_case(json.loads(line), path.stem, line)
        except (KeyError, TypeError, ValueError) as error:
            raise CaseError(f"{path}:{number}: not a recorded case: {error!r}") from error


def parse_case(raw: Mapping[str, Any], area: str, text: str = "") -> Case:
    return Case(
        id=raw["id"],
        area=area,
        row=raw["row"],
        note=raw.get("note", ""),
        is_quirk=bool(raw.get("quirk")),
        steps=tuple(_step(step) for step in raw["steps"]),
        text=text or json.dumps(raw, ensure_ascii=False),
    )


def _step(raw: Mapping[str, Any]) -> Step:
    if "sleep" in raw:
        return Sleep(float(raw["sleep"]))
    if "settle" in raw:
        return Settle(raw["settle"])
    return Exchange(
        request=_request(raw["request"]),
        expected=_expected(raw["response"], keeps_all=not raw.get("setup")),
        capture=raw.get("capture", {}),
        sign=raw.get("sign", {}),
    )


def _request(raw: Mapping[str, Any]) -> Request:
    return Request(
        method=raw["method"],
        target=raw["target"],
        headers=raw.get("headers", {}),
        body=raw.get("body", ""),
        user=raw.get("auth", DEFAULT_USER),
        adds_length=not raw.get("no_length"),
        adds_host=not raw.get("no_host"),
        is_http10=bool(raw.get("http10")),
    )


def _expected(raw: Mapping[str, Any], *, keeps_all: bool) -> Expected:
    return Expected(
        status=raw["status"],
        headers=raw.get("headers", {}) if keeps_all else None,
        body=raw.get("body", ""),
        interim=tuple(raw.get("interim", ())),
        absent=frozenset(name.lower() for name in raw.get("absent", ())),
        is_truncated=bool(raw.get("truncated")),
    )
