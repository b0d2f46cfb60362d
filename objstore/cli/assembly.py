"""From an ini file to the application a server runs: the pipeline completed, then built by PasteDeploy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import objstore.middleware.pipeline as rules
from objstore.config.errors import ConfigError, ConfigProblem
from objstore.config.factories import FILTER_GROUP, installed, used
from objstore.config.inifile import Entry, IniFile, read_ini
from objstore.config.loader import load_app
from objstore.config.report import check, pipeline
from objstore.proxy.app import app_factory

_PIPELINE = "pipeline:main"
_NOT_INSIDE = frozenset({"gatekeeper", "tempauth", "keystoneauth", "authtoken"})
"""Filters that stop what a daemon has to say: the one takes its X-Backend-* headers away, the others ask who it is."""


def completed(ini: IniFile) -> tuple[IniFile, list[str]]:
    """A proxy's file with the filters that must not be missing, and a note for each that was put in.

    Raises ConfigError when filters stand in an order that is unsafe.
    """
    names, notes = rules.complete(pipeline(ini))
    wrong = rules.problems(names)
    if wrong:
        line = ini.entries(_PIPELINE).get("pipeline")
        place = f"{line.file}:{line.line}" if line is not None else str(ini.path)
        raise ConfigError([ConfigProblem(place, _PIPELINE, "", "", "another order of filters", text) for text in wrong])
    return _with_pipeline(ini, names), notes


def _with_pipeline(ini: IniFile, names: list[str]) -> IniFile:
    """The file with these filters in its pipeline; those without a section have their defaults."""
    sections = dict(ini.sections)
    if _PIPELINE not in sections:
        # Only [app:main]: PasteDeploy would not know which of the two `main` means.
        names[-1] = "proxy-server"
        sections["app:proxy-server"] = sections.pop("app:main")
    sections[_PIPELINE] = {"pipeline": Entry("pipeline", " ".join(names), ini.path, 0)}
    for name in names[:-1]:
        if f"filter:{name}" not in sections:
            egg = f"egg:objstore#{rules.canonical(name)}"
            sections[f"filter:{name}"] = {"use": Entry("use", egg, ini.path, 0)}
    return dataclasses.replace(ini, sections=sections)


def build(ini: IniFile, role: str) -> tuple[Any, list[str]]:
    """The WSGI application of a file and notes for the log. Raises ConfigError with every problem."""
    if role != "proxy-server":
        return load_app(ini), []
    full, notes = completed(ini)
    return load_app(full, filters=_filters(full)), notes


def _filters(ini: IniFile) -> list[str]:
    """The entry points of a pipeline's filters, whatever their sections are called."""
    names = []
    for name in pipeline(ini)[:-1]:
        use = ini.entries(f"filter:{name}").get("use")
        names.append(rules.canonical(used(use.value).name if use is not None else name))
    return names


def internal_pipeline(
    daemon_ini: IniFile, swift_dir: Path, path: str = "", filters: Sequence[str] = (), without: Sequence[str] = ()
) -> Any:
    """The proxy that a daemon uses inside its process: of the internal-client.conf at `path`; without one, of the
    daemon's own file, where Swift's object-expirer.conf has it; without either, the proxy alone with its defaults.
    filters: those that the daemon cannot do without; a file that does not name one gets it, innermost but for the next
    and for encryption. without: those that would hide from this daemon what it has to see.

    Raises ConfigError: a file that cannot be used, or filters that are no good inside."""
    ini = read_ini(Path(path)) if path else daemon_ini
    if not path and not _has_proxy(ini):
        app = app_factory({"swift_dir": str(swift_dir)})
        pipeline_: Any = app
        for name in reversed(filters):
            factory = installed().load(FILTER_GROUP, name)
            assert factory is not None, name
            pipeline_ = factory({"swift_dir": str(swift_dir)})(pipeline_)
        return app.at_the_edge(pipeline_)
    problems = list(check(ini).problems)
    line = ini.entries(_PIPELINE).get("pipeline")
    for name in pipeline(ini):
        if rules.canonical(name) in _NOT_INSIDE or rules.canonical(name) in without:
            place = f"{line.file}:{line.line}" if line is not None else str(ini.path)
            problems.append(ConfigProblem(place, _PIPELINE, "pipeline", name, "an internal pipeline without it"))
    if problems:
        raise ConfigError(problems)
    return load_app(_with_filters(ini, filters))


def _with_filters(ini: IniFile, filters: Sequence[str]) -> IniFile:
    """The file with those filters that it does not name: each before those that come after it in `filters`, and before
    encryption, outside of which everything is plain text."""
    names = list(pipeline(ini))
    for number, name in enumerate(filters):
        known = [rules.canonical(each) for each in names]
        if name not in known:
            inner = {*filters[number + 1 :], *rules.KEYMASTERS, "encryption"}
            names.insert(next((i for i, each in enumerate(known) if each in inner), len(names) - 1), name)
    return ini if names == list(pipeline(ini)) else _with_pipeline(ini, names)


def _has_proxy(ini: IniFile) -> bool:
    for section, entries in ini.sections.items():
        if section.startswith("app:") and "use" in entries:
            found = used(entries["use"].value)
            if found.is_ours and found.name == "proxy":
                return True
    return False
