"""container-sync-realms.conf beside swift.conf: the keys and clusters of every realm, read again when it changes.

    [realm name]
    key = …                      signs and is accepted
    key2 = …                     accepted too, while keys are exchanged
    cluster_<name> = https://host/v1/

Source: formats 6.10. A file that cannot be read leaves the realms as they were.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from objstore.config.errors import ConfigError, ConfigProblem
from objstore.config.inifile import DEFAULT, read_ini
from objstore.core.sync_realms import Realm, Realms

FILE_NAME = "container-sync-realms.conf"
_CLUSTER = "cluster_"
_LOOK_EVERY_S = 5.0
_log = logging.getLogger("objstore.container-sync")


def load_realms(path: Path) -> Realms:
    """No file is no realms. Raises ConfigError."""
    if not path.is_file():
        return Realms()
    ini, realms, problems = read_ini(path), {}, []
    for name in ini.sections:
        if name == DEFAULT:
            continue
        pairs = ini.pairs(name)
        keys = tuple(pairs[key].strip() for key in ("key", "key2") if pairs.get(key, "").strip())
        clusters = {
            key.removeprefix(_CLUSTER).upper(): value.strip()
            for key, value in pairs.items()
            if key.startswith(_CLUSTER)
        }
        if not keys:
            problems.append(ConfigProblem(str(path), name, "key", "", "a key that all clusters of the realm share"))
        for cluster, url in clusters.items():
            if not url.startswith(("http://", "https://")):
                problems.append(
                    ConfigProblem(str(path), name, _CLUSTER + cluster.lower(), url, "a URL such as https://host/v1/")
                )
        realms[name.upper()] = Realm(name.upper(), keys, clusters)
    if problems:
        raise ConfigError(problems)
    return Realms(realms)


class LiveRealms:
    """The realms of a directory, as its file says now."""

    def __init__(self, swift_dir: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigError: a server does not start with a file that it cannot use."""
        self._path = swift_dir / FILE_NAME
        self._monotonic = monotonic
        self._signature = self._look()
        self._looked_s = monotonic()
        self._realms = load_realms(self._path)

    @property
    def current(self) -> Realms:
        now_s = self._monotonic()
        if now_s - self._looked_s >= _LOOK_EVERY_S:
            self._looked_s = now_s
            signature = self._look()
            if signature != self._signature:
                self._signature = signature
                self._reload()
        return self._realms

    def _reload(self) -> None:
        try:
            self._realms = load_realms(self._path)
        except ConfigError as error:
            _log.error("%s: left as it was: %s", self._path, error)

    def _look(self) -> tuple[int, ...] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
