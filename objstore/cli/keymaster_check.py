"""Whether a proxy that encrypts would find its root secrets: told before it is started."""

from __future__ import annotations

from collections.abc import Iterator

from objstore.config.errors import ConfigError
from objstore.config.factories import used
from objstore.config.inifile import IniFile
from objstore.config.report import pipeline, section_of
from objstore.middleware.encryption.keymaster import SECTION, KeymasterSettings, keyring_of
from objstore.middleware.encryption.root_secrets import keymaster_settings


def keymaster_problems(proxy: IniFile) -> Iterator[str]:
    """Of a keymaster in the pipeline whose secrets stand in files; one line each, without a secret."""
    for name in pipeline(proxy)[:-1]:
        section = section_of(proxy, name, is_app=False)
        if section is None:
            continue
        entry = proxy.entries(section).get("use")
        if entry is None or not used(entry.value).is_ours or used(entry.value).name != "keymaster":
            continue
        try:
            values = proxy.own_pairs_only(section)
            keyring_of(*keymaster_settings(KeymasterSettings, SECTION, {"__file__": str(proxy.path)}, values))
        except ConfigError as error:
            yield from map(str, error.problems)
