"""Everything that is wrong with a server's ini file, in one report, before anything is started.

Checked: the pipeline (every name has a section, every section a known factory), every key and value of those sections
against the settings of their factories, the sections of our daemons, [DEFAULT] against all of them together, and the
names of the other sections.
A filter that stands in no pipeline is not loaded and not checked.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from objstore.config.boot import PASTE_KEYS
from objstore.config.errors import UNKNOWN, ConfigProblem, holds_secrets
from objstore.config.factories import APP_GROUP, DAEMON_GROUP, FILTER_GROUP, Factories, installed, replacement, used
from objstore.config.inifile import DEFAULT, Entry, IniFile
from objstore.config.server import LEFT_ALONE, ServerSettings
from objstore.config.settings import Problem, Settings

_KINDS = ("pipeline", "app", "filter", "composite", "application", "filter-app")
_DAEMONS = frozenset(
    """
    object-replicator object-reconstructor object-updater object-auditor object-expirer object-relinker
    container-replicator container-updater container-auditor container-sync container-sharder container-reconciler
    account-replicator account-auditor account-reaper swift-hash internal-client
    """.split()
)
# Read, and checked, by the proxy's factory.
_POLICY_SECTIONS = "proxy-server:policy:"
# Read, and checked, by the plug-in they belong to.
_WATCHER_SECTIONS = "object-auditor:watcher:"
S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Report:
    """problems stop a server; notes are worth a line in its log."""

    problems: tuple[ConfigProblem, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One name of the pipeline: its section, and the settings class of its factory (None: not ours, unchecked)."""

    section: str
    settings_class: type[Settings] | None


def check(ini: IniFile, known: Factories | None = None) -> Report:
    """Check a server's file. known: the factories there are; those that are installed when None.

    Nothing is built: of a factory only its module is imported.
    """
    problems: list[ConfigProblem] = []
    notes: list[str] = []
    factories = known or installed()
    stages = list(_stages(ini, factories, problems))
    for stage in stages:
        if stage.settings_class is None:
            notes.append(f"[{stage.section}]: its factory is not part of objstore; its settings are not checked")
            continue
        problems += _section_problems(ini, stage.section, stage.settings_class)
        notes += [_shadow_note(stage.section, *pair) for pair in ini.shadowed(stage.section)]
    daemons = dict(_daemons(ini, factories))
    for section, settings_class in daemons.items():
        problems += daemon_settings(ini, section, settings_class)[1]
    classes = [stage.settings_class for stage in stages if stage.settings_class] + list(daemons.values())
    problems += _default_problems(ini, classes)
    notes += _ineffective(ini, classes)
    problems += _section_names(ini)
    return Report(tuple(problems), tuple(notes))


def daemon_settings(ini: IniFile, section: str, settings_class: type[S]) -> tuple[S, list[ConfigProblem]]:
    """The settings of a daemon's section, which may be missing, and what is wrong in it. Keys of [DEFAULT] count where
    the class knows them; what is wrong with those is reported with [DEFAULT]."""
    mine, values = ini.entries(section), ini.own_pairs(section)
    known = settings_class.keys()
    settings, problems = settings_class.from_pairs(
        {key: value for key, value in values.items() if key in mine or key in known},
        ignore=LEFT_ALONE.union(ServerSettings.keys()),
    )
    return settings, [_located(section, mine[item.key], item) for item in problems if item.key in mine]


def _daemons(ini: IniFile, factories: Factories) -> Iterator[tuple[str, type[Settings]]]:
    """The sections of daemons that are there, with their settings classes."""
    for name in factories.names(DAEMON_GROUP):
        settings_class = factories.settings_class(DAEMON_GROUP, name)
        if name in ini.sections and settings_class is not None:
            yield name, settings_class


def pipeline(ini: IniFile) -> tuple[str, ...]:
    """The names in [pipeline:main], the application last; ('main',) when there is only [app:main]."""
    entry = ini.entries("pipeline:main").get("pipeline")
    return tuple(entry.value.split()) if entry is not None else ("main",)


def section_of(ini: IniFile, name: str, is_app: bool) -> str | None:
    """The section of a name in the pipeline; None when there is none."""
    prefixes = ("app", "application", "composite") if is_app else ("filter",)
    return next((f"{prefix}:{name}" for prefix in prefixes if f"{prefix}:{name}" in ini.sections), None)


def _stages(ini: IniFile, factories: Factories, problems: list[ConfigProblem]) -> Iterator[Stage]:
    listed = pipeline(ini)
    for number, name in enumerate(listed, start=1):
        is_app = number == len(listed)
        section = section_of(ini, name, is_app)
        if section is None:
            problems.append(_missing_section(ini, name, is_app))
            continue
        entry = ini.entries(section).get("use")
        if entry is None:
            factory = ini.entries(section).get("paste.filter_factory")
            ours = replacement("paste.filter_factory", factory.value) if factory is not None else None
            if ours is not None:
                yield Stage(section, factories.settings_class(FILTER_GROUP, ours))
            elif not any(key.startswith("paste.") for key in ini.entries(section)):
                problems.append(ConfigProblem(str(ini.path), section, "use", "", "use = egg:objstore#NAME"))
            continue
        found = used(entry.value)
        group = APP_GROUP if is_app else FILTER_GROUP
        known = factories.settings_class(group, found.name) if found.is_ours else None
        if found.is_ours and known is None:
            problems.append(_problem(section, entry, *_no_factory(found.name, factories.names(group))))
            continue
        yield Stage(section, known)


def _no_factory(name: str, known: tuple[str, ...]) -> tuple[str, str]:
    return "one of " + ", ".join(f"egg:objstore#{item}" for item in known), _did_you_mean(name, known)


def _missing_section(ini: IniFile, name: str, is_app: bool) -> ConfigProblem:
    wanted = f"{'app' if is_app else 'filter'}:{name}"
    entry = ini.entries("pipeline:main").get("pipeline")
    if entry is None:
        return ConfigProblem(str(ini.path), "", "", "", "a section [pipeline:main] or [app:main]")
    hint = _did_you_mean(wanted, ini.sections)
    return ConfigProblem(_place(entry), "pipeline:main", "pipeline", name, f"a section [{wanted}] in this file", hint)


def _section_problems(ini: IniFile, section: str, settings_class: type[Settings]) -> Iterator[ConfigProblem]:
    entries = {key: entry for key, entry in ini.entries(section).items() if entry.is_set or key not in ini.defaults}
    values = ini.pairs(section)
    # A `set` key changes [DEFAULT] for this section: it need not be a setting of this factory.
    foreign = {
        key for key in _default_names([]) - settings_class.keys().keys() if key in entries and entries[key].is_set
    }
    _, problems = settings_class.from_pairs(
        {key: values[key] for key in entries if key not in foreign}, ignore=PASTE_KEYS
    )
    for problem in problems:
        if problem.key in entries:
            yield _located(section, entries[problem.key], problem)
        elif problem.key not in ini.defaults:
            # What is missing stands on no line.
            yield ConfigProblem(str(ini.path), section, problem.key, problem.value, problem.expected, problem.hint)


def _default_problems(ini: IniFile, classes: Iterable[type[Settings]]) -> Iterator[ConfigProblem]:
    """[DEFAULT] belongs to everybody: a key must be known to the server or to one of its filters, and suit them all."""
    classes = (ServerSettings, *classes)
    known = _default_names(classes)
    wildcards = tuple(prefix for settings_class in classes for prefix in settings_class.WILDCARDS)
    values = ini.pairs(DEFAULT)
    said = set()
    for key, entry in ini.defaults.items():
        if key not in known and not (wildcards and key.startswith(wildcards)):
            yield _located(DEFAULT, entry, Problem(key, entry.value, UNKNOWN, _did_you_mean(key, known)))
    for settings_class in classes:
        mine = {key: values[key] for key in ini.defaults if key in settings_class.keys()}
        for problem in settings_class.from_pairs(mine)[1]:
            # What is missing here may stand in the section: _section_problems misses it.
            if problem not in said and problem.key in ini.defaults:
                said.add(problem)
                yield _located(DEFAULT, ini.defaults[problem.key], problem)


def _ineffective(ini: IniFile, classes: Iterable[type[Settings]]) -> Iterator[str]:
    """A note for every key of Swift's that is accepted and does nothing here."""
    known = frozenset(ServerSettings.keys()).union(*(settings_class.keys() for settings_class in classes))
    for key, entry in ini.defaults.items():
        if key in LEFT_ALONE and key not in known:
            yield f"{_place(entry)}: [DEFAULT] {key} is a setting of Swift that has no effect here"


def _default_names(classes: Iterable[type[Settings]]) -> frozenset[str]:
    return LEFT_ALONE.union(ServerSettings.keys(), *(settings_class.keys() for settings_class in classes))


def _section_names(ini: IniFile) -> Iterator[ConfigProblem]:
    for section in ini.sections:
        kind, colon, _ = section.partition(":")
        if (
            (colon and kind in _KINDS)
            or section in _DAEMONS
            or section.startswith((_POLICY_SECTIONS, _WATCHER_SECTIONS))
        ):
            continue
        hint = _did_you_mean(kind, _KINDS) if colon else _did_you_mean(section, _DAEMONS)
        yield ConfigProblem(str(ini.path), section, "", "", "[DEFAULT], [pipeline:main], [app:…] or [filter:…]", hint)


def _shadow_note(section: str, ignored: Entry, winner: Entry) -> str:
    return (
        f"{_place(ignored)}: [{section}] {ignored.key} has no effect, because [DEFAULT] has it too "
        f"(line {winner.line}): write `set {ignored.key} = …`"
    )


def _located(section: str, entry: Entry, problem: Problem) -> ConfigProblem:
    value = "***" if problem.expected == UNKNOWN and holds_secrets(section) else problem.value
    return ConfigProblem(_place(entry), section, problem.key, value, problem.expected, problem.hint)


def _problem(section: str, entry: Entry, expected: str, hint: str) -> ConfigProblem:
    return ConfigProblem(_place(entry), section, entry.key, entry.value, expected, hint)


def _place(entry: Entry) -> str:
    return f"{entry.file}:{entry.line}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"did you mean {near[0]!r}?" if near else ""
