"""settings_for(): what a PasteDeploy factory calls to turn the text it was handed into its settings.

PasteDeploy passes no section name, so the file is read again to say where a wrong key stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from objstore.config.errors import ConfigError, located
from objstore.config.inifile import IniFile, read_ini
from objstore.config.settings import Settings

S = TypeVar("S", bound=Settings)
PASTE_KEYS = frozenset({"use", "here", "__file__", "paste.app_factory", "paste.filter_factory", "pipeline"})
DEFAULT_SWIFT_DIR = "/etc/swift"


def settings_for(settings_class: type[S], global_conf: Mapping[str, str], local_conf: Mapping[str, str]) -> S:
    """The settings of a section: its own keys over those [DEFAULT] keys that the class knows.

    Raises ConfigError with every problem. A [DEFAULT] key that the class does not know belongs to somebody else.
    """
    known = settings_class.keys()
    pairs = {key: value for key, value in global_conf.items() if key in known}
    pairs.update(local_conf)
    settings, problems = settings_class.from_pairs(pairs, ignore=PASTE_KEYS)
    if problems:
        file = global_conf.get("__file__", "")
        raise ConfigError(located(problems, file or "configuration", _section_of(file, local_conf)))
    return settings


def swift_dir_of(global_conf: Mapping[str, str]) -> Path:
    """The directory of swift.conf and the rings, from [DEFAULT] swift_dir."""
    return Path(global_conf.get("swift_dir") or DEFAULT_SWIFT_DIR)


def _section_of(file: str, local_conf: Mapping[str, str]) -> str:
    """The section these keys came from: the first that has all of them; '' when it cannot be told."""
    try:
        ini: IniFile = read_ini(Path(file))
    except ConfigError:
        return ""
    for name, entries in ini.sections.items():
        if all(key in entries for key in local_conf):
            return name
    return ""
