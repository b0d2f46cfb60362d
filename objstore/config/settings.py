"""Typed settings: one frozen dataclass per ini section, a field per key, its meaning beside its default.

    @dataclass(frozen=True)
    class HealthcheckSettings(Settings):
        disable_path: str = setting("", text, "Answer 503 while a file of this path exists.")

from_pairs() reads a section's text pairs and returns the settings together with every problem found; nobody stops at
the first. The samples in etc/ are generated from the same fields. Nothing is read lazily: a wrong value is known before
a server starts.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one key. `expected` finishes the sentence 'expected …'; `hint` is a next step or ''."""

    key: str
    value: str
    expected: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """How the text of a setting is read. `parse` raises ValueError; `expected` says what it accepts."""

    parse: Callable[[str], Any]
    expected: str


def setting(default: str, kind: Kind, doc: str, *, advanced: bool = False) -> Any:
    """A field of a Settings class. default is text as it would stand in the file; it must parse.

    advanced: the sample shows it in a second block, below what most operators touch.
    """
    kind.parse(default)
    # A factory, because a parsed value may be a dict, which dataclass refuses as a default.
    return field(
        default_factory=lambda: kind.parse(default),
        metadata={"default": default, "kind": kind, "doc": doc, "advanced": advanced},
    )


@dataclass(frozen=True)
class Settings:
    """Base of all sections. Keys are field names; WILDCARDS are prefixes of free keys kept as text in `extra`."""

    WILDCARDS: ClassVar[tuple[str, ...]] = ()
    extra: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    @classmethod
    def keys(cls) -> dict[str, dataclasses.Field[Any]]:
        return {item.name: item for item in dataclasses.fields(cls) if "kind" in item.metadata}

    @classmethod
    def from_pairs(
        cls, pairs: Mapping[str, str], *, ignore: frozenset[str] = frozenset()
    ) -> tuple[Self, list[Problem]]:
        """The settings of a section and its problems; a key with a problem keeps its default.

        ignore: keys that belong to somebody else (PasteDeploy's `use`, or [DEFAULT] keys of other sections).
        """
        known, values, extra, problems = cls.keys(), {}, {}, []
        for key, text in pairs.items():
            if key in known:
                kind: Kind = known[key].metadata["kind"]
                try:
                    values[key] = kind.parse(text.strip())
                except ValueError as error:
                    problems.append(Problem(key, text, kind.expected, _hint(error)))
            elif key.startswith(cls.WILDCARDS) and cls.WILDCARDS:
                extra[key] = text
            elif key not in ignore:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
                problems.append(Problem(key, text, "a known setting", f"did you mean {near[0]!r}?" if near else ""))
        return cls(**values, extra=extra), problems


def _hint(error: ValueError) -> str:
    """What a parser adds to `expected`; Python's own words about literals add nothing."""
    said = str(error)
    return "" if said.startswith(("invalid literal", "could not convert")) else said


def number(least: int, most: int | None = None) -> Kind:
    """A whole number, `least` to `most` inclusive."""

    def parse(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            raise ValueError(f"{value} is out of range")
        return value

    return Kind(
        parse, f"a whole number from {least} to {most}" if most is not None else f"a whole number, {least} or more"
    )


def decimal(least: float, most: float | None = None) -> Kind:
    """A finite number, `least` to `most` inclusive; seconds, factors, percentages."""

    def parse(text: str) -> float:
        value = float(text)
        if not value >= least or (most is not None and value > most) or value == float("inf"):
            raise ValueError(f"{text} is out of range")
        return value

    return Kind(parse, f"a number from {least:g} to {most:g}" if most is not None else f"a number, {least:g} or more")


def choice(*options: str) -> Kind:
    def parse(text: str) -> str:
        if text.lower() not in options:
            raise ValueError("")
        return text.lower()

    return Kind(parse, "one of " + ", ".join(options))


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "yes", "on", "1", "t", "y"):
        return True
    if text.lower() in ("false", "no", "off", "0", "f", "n", ""):
        return False
    raise ValueError("")


F = TypeVar("F", bound=Callable[..., Any])


def reads(settings_class: type[Settings]) -> Callable[[F], F]:
    """@reads(HealthcheckSettings) on a factory: the settings of its section, for who checks files before anything is
    built (factories.py)."""

    def mark(factory: F) -> F:
        vars(factory)["settings_class"] = settings_class
        return factory

    return mark


text = Kind(str, "text")
boolean = Kind(_boolean, "yes or no")
names = Kind(
    lambda value: tuple(item.strip() for item in value.split(",") if item.strip()), "names separated by commas"
)
