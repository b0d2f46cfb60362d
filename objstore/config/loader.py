"""From an ini file to a WSGI application, by PasteDeploy, with three differences that operators rely on.

A conf.d directory is one file; `egg:swift#x` is `egg:objstore#x`; a % in a value is just a %, unless it is %(name)s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from paste.deploy.loadwsgi import APP, PIPELINE, ConfigLoader, NicerConfigParser

from objstore.config.factories import DISTRIBUTION, our_egg, replacement
from objstore.config.inifile import DEFAULT, IniFile


def load_app(ini: IniFile, name: str = "main", filters: Iterable[str] | None = None) -> Any:
    """Build the application of a file, its filters around it.

    An application with a method at_the_edge(pipeline) is handed the finished pipeline and answers with what the server
    is to call: so it can put its services in front of its own filters. One with stands_behind(filters) is told before
    that who stands in front of it, where the caller says so.
    Raises ConfigError from factories, LookupError for a name without a section."""
    context = _Loader(ini).get_context(APP, name, {})
    if context.object_type is not PIPELINE:
        return context.create()
    innermost = context.app_context.create()
    pipeline = innermost
    for filter_context in reversed(context.filter_contexts):
        pipeline = filter_context.create()(pipeline)
    stands_behind = getattr(innermost, "stands_behind", None)
    if stands_behind is not None and filters is not None:
        stands_behind(filters)
    at_the_edge = getattr(innermost, "at_the_edge", None)
    return pipeline if at_the_edge is None else at_the_edge(pipeline)


class _Loader(ConfigLoader):  # type: ignore[misc]  # paste is untyped
    """PasteDeploy's loader over what read_ini() has read."""

    def __init__(self, ini: IniFile) -> None:
        self.filename = str(ini.path)
        defaults = {"here": str(ini.here), "__file__": str(ini.path), **ini.pairs(DEFAULT)}
        self.parser = NicerConfigParser(self.filename, defaults=defaults, interpolation=None)
        self.parser.optionxform = str
        for section, entries in ini.sections.items():
            self.parser.add_section(section)
            values = ini.pairs(section)
            for key, entry in entries.items():
                if key in defaults and not entry.is_set:
                    continue
                value = our_egg(values[key]) if key == "use" else values[key]
                ours = replacement(key, value)
                if ours is not None:
                    key, value = "use", f"egg:{DISTRIBUTION}#{ours}"
                self.parser.set(section, f"set {key}" if entry.is_set else key, value)
