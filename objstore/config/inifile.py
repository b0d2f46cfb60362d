"""Ini files as PasteDeploy reads them, with what it throws away: the file and the line of every key.

A file, or a directory whose *.conf files are read in the order of their names as if they were one (a later key wins).
Names are case-sensitive; `#` and `;` begin a comment line; an indented line continues the value above it. In a
PasteDeploy file a key of a section that also stands in [DEFAULT] is ignored unless it is written `set key = value`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from objstore.config.errors import ConfigError, ConfigProblem

DEFAULT = "DEFAULT"
_HEADER = re.compile(r"\[(?P<name>[^]]+)\]")
_OPTION = re.compile(r"(?P<key>.*?)\s*(?:[=:])\s*(?P<value>.*)$")
_REFERENCE = re.compile(r"%\((?P<name>[^)]+)\)s")


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of one section. is_set: written `set key = …`, which also changes [DEFAULT] for this section."""

    key: str
    value: str
    file: Path
    line: int
    is_set: bool = False


@dataclass(frozen=True, slots=True)
class IniFile:
    """The sections of a configuration, [DEFAULT] included. `path` is the file or the directory that was asked for."""

    path: Path
    sections: Mapping[str, Mapping[str, Entry]]
    defaults: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def here(self) -> Path:
        """What %(here)s means: the directory the file is in, or the directory itself."""
        return self.path if self.path.is_dir() else self.path.parent

    def entries(self, section: str) -> Mapping[str, Entry]:
        return self.sections.get(section, {})

    def pairs(self, section: str) -> dict[str, str]:
        """What a PasteDeploy factory gets for a section: [DEFAULT] below, its own keys above (shadowed ones not)."""
        values = {key: entry.value for key, entry in self.defaults.items()}
        for key, entry in self.entries(section).items():
            if key not in self.defaults or entry.is_set:
                values[key] = entry.value
        return {key: self._expanded(value, values) for key, value in values.items()}

    def own_pairs(self, section: str) -> dict[str, str]:
        """The same for a section that PasteDeploy never sees ([object-updater] and its like): its own keys always
        win over those of [DEFAULT]."""
        values = {key: entry.value for key, entry in {**self.defaults, **self.entries(section)}.items()}
        return {key: self._expanded(value, values) for key, value in values.items()}

    def own_pairs_only(self, section: str) -> dict[str, str]:
        """The keys of a section that PasteDeploy never sees, without those of [DEFAULT]."""
        known = self.own_pairs(section)
        return {key: known[key] for key in self.entries(section)}

    def shadowed(self, section: str) -> Iterator[tuple[Entry, Entry]]:
        """(ignored entry of the section, entry of [DEFAULT] that wins) where the two differ."""
        for key, entry in self.entries(section).items():
            if not entry.is_set and key in self.defaults and self.defaults[key].value != entry.value:
                yield entry, self.defaults[key]

    def _expanded(self, value: str, names: Mapping[str, str]) -> str:
        """%(here)s and %(other key)s replaced, once; an unknown name is left as it stands."""
        if "%(" not in value:
            return value
        known = {"here": str(self.here), "__file__": str(self.path), **names}
        return _REFERENCE.sub(lambda match: known.get(match["name"], match[0]), value)


def read_ini(path: Path, encoding: str = "utf-8") -> IniFile:
    """Read a file or a conf.d directory. Raises ConfigError: unreadable, not an ini file, a key twice in a file."""
    files = sorted(path.glob("*.conf")) if path.is_dir() else [path]
    if not files:
        raise ConfigError([ConfigProblem(str(path), "", "", "", "at least one *.conf file in this directory")])
    sections: dict[str, dict[str, Entry]] = {}
    problems: list[ConfigProblem] = []
    for file in files:
        found, wrong = _scan(file, encoding)
        problems += wrong
        for name, entries in found.items():
            sections.setdefault(name, {}).update(entries)
    if problems:
        raise ConfigError(problems)
    defaults = sections.pop(DEFAULT, {})
    return IniFile(path, sections, defaults)


def _scan(file: Path, encoding: str) -> tuple[dict[str, dict[str, Entry]], list[ConfigProblem]]:
    try:
        text = file.read_bytes().decode(encoding)
    except OSError as error:
        raise ConfigError(
            [ConfigProblem(str(file), "", "", "", "a file that can be read", error.strerror or "")]
        ) from None
    except UnicodeError:
        raise ConfigError([ConfigProblem(str(file), "", "", "", f"{encoding} text")]) from None
    sections: dict[str, dict[str, Entry]] = {}
    problems: list[ConfigProblem] = []
    section = key = ""
    for number, line in enumerate(text.split("\n"), start=1):
        bare = line.strip()
        if not bare or bare[0] in "#;":
            key = key if bare else ""
        elif line[0] in " \t" and key:
            entry = sections[section][key]
            sections[section][key] = Entry(key, f"{entry.value}\n{bare}", file, entry.line, entry.is_set)
        elif header := _HEADER.fullmatch(bare):
            section, key = header["name"], ""
            sections.setdefault(section, {})
        elif section and (option := _OPTION.fullmatch(bare)) and option["key"]:
            entry = _entry(option["key"], option["value"].strip(), file, number)
            key = entry.key
            if key in sections[section]:
                first = sections[section][key].line
                problems.append(_twice(entry, section, first))
            sections[section][key] = entry
        else:
            problems.append(ConfigProblem(f"{file}:{number}", section, "", "", "[section] or key = value", bare[:80]))
    return sections, problems


def _entry(key: str, value: str, file: Path, line: int) -> Entry:
    is_set = key.startswith("set ")
    return Entry(key.removeprefix("set ").strip(), value, file, line, is_set)


def _twice(entry: Entry, section: str, first_line: int) -> ConfigProblem:
    return ConfigProblem(
        f"{entry.file}:{entry.line}", section, entry.key, entry.value, "a key once", f"first on line {first_line}"
    )
