"""From an ini file to the application a server runs: the pipeline completed, then built by PasteDeploy."""

from __future__ import annotations

import dataclasses
from typing import Any

import objstore.middleware.pipeline as rules
from objstore.config.errors import ConfigError, ConfigProblem
from objstore.config.inifile import Entry, IniFile
from objstore.config.loader import load_app
from objstore.config.report import pipeline

_PIPELINE = "pipeline:main"


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
    return dataclasses.replace(ini, sections=sections), notes


def build(ini: IniFile, role: str) -> tuple[Any, list[str]]:
    """The WSGI application of a file and notes for the log. Raises ConfigError with every problem."""
    if role != "proxy-server":
        return load_app(ini), []
    full, notes = completed(ini)
    return load_app(full), notes
