"""Root secrets as an operator writes them: base64 of 32 bytes or more, one without an id and any number with one.

    encryption_root_secret = …
    encryption_root_secret_2026 = …
    active_root_secret_id = 2026

They may stand in a file of their own (keymaster_config_path), which must not be readable by everybody. Problems are
reported without a value. Source: formats 8.6.
"""

from __future__ import annotations

import stat
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from objstore.config.boot import PASTE_KEYS, settings_for
from objstore.config.errors import ConfigError, ConfigProblem, located
from objstore.config.inifile import read_ini
from objstore.config.settings import Settings, choice, setting, text
from objstore.middleware.encryption.keyring import VERSIONS, WRITTEN_VERSION

SECRET_BYTES_MIN = 32
_PATH_KEY = "keymaster_config_path"
_GROUP_WRITES_OR_OTHERS = stat.S_IWGRP | stat.S_IRWXO


@dataclass(frozen=True)
class RootSecretSettings(Settings):
    """The settings of every keymaster."""

    active_root_secret_id: str = setting(
        "", text, "The id of the secret that new objects are encrypted under; empty: the one without an id."
    )
    keymaster_config_path: str = setting(
        "",
        text,
        "A file that has this filter's settings, in a section of the filter's name, so that this file holds no secret.",
    )
    meta_version_to_write: str = setting(
        WRITTEN_VERSION,
        choice(*VERSIONS),
        "Version of the key ids in objects; only newer versions of Swift read 3.",
        advanced=True,
    )


S = TypeVar("S", bound=RootSecretSettings)


def keymaster_settings(
    settings_class: type[S], section: str, global_conf: Mapping[str, str], local_conf: Mapping[str, str]
) -> tuple[S, str]:
    """A keymaster's settings, of the filter's section or of [section] of the file it names, and that file. Raises
    ConfigError."""
    settings = settings_for(settings_class, global_conf, local_conf)
    path = settings.keymaster_config_path
    file = global_conf.get("__file__") or "configuration"
    if not path:
        return settings, file
    others = sorted(set(local_conf) - PASTE_KEYS - {_PATH_KEY})
    if others:
        raise ConfigError(
            ConfigProblem(file, "", key, local_conf[key], f"it in {path}, because {_PATH_KEY} is set") for key in others
        )
    _check_mode(Path(path))
    ini = read_ini(Path(path))
    if section not in ini.sections:
        raise ConfigError([ConfigProblem(path, section, "", "", f"a section [{section}]")])
    found, problems = settings_class.from_pairs(ini.pairs(section), ignore=PASTE_KEYS)
    if problems:
        raise ConfigError(located(problems, path, section))
    return found, path


def _check_mode(path: Path) -> None:
    """Raises ConfigError: whoever reads this file reads every object."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(
            [ConfigProblem(str(path), "", "", "", f"a file that can be read: {error.strerror}")]
        ) from None
    if mode & _GROUP_WRITES_OR_OTHERS:
        shown = oct(stat.S_IMODE(mode))[2:]
        hint = f"chmod 640 {path}"
        expected = f"a file that only its owner and group can read, its mode is {shown}"
        raise ConfigError([ConfigProblem(str(path), "", "", "", expected, hint)])


def secret_ids(values: Mapping[str, str], prefix: str) -> dict[str | None, str]:
    """By id: `prefix` has none, `prefix_2026` has the id 2026. Keys without a value do not count."""
    found: dict[str | None, str] = {}
    for key, value in values.items():
        if key == prefix and value:
            found[None] = value
        elif key.startswith(f"{prefix}_") and value and len(key) > len(prefix) + 1:
            found[key[len(prefix) + 1 :]] = value
    return found


def decoded(file: str, section: str, key: str, text: str) -> bytes:
    """A root secret. Raises ConfigError, without the value."""
    try:
        secret = b64decode(text.strip(), validate=True)
    except ValueError:
        secret = b""
    if len(secret) < SECRET_BYTES_MIN:
        hint = "make one with: openssl rand -base64 32"
        expected = f"base64 of {SECRET_BYTES_MIN} bytes or more"
        raise ConfigError([ConfigProblem(file, section, key, "***", expected, hint)])
    return secret


def check_active(file: str, section: str, key: str, known: Mapping[str | None, object], active_id: str | None) -> None:
    """Raises ConfigError unless one of the secrets is there to write with."""
    if active_id in known:
        return
    ids = ", ".join(sorted(repr(item) for item in known if item is not None)) or "none"
    expected = f"one of the ids that {key}_<id> has: {ids}" if active_id else f"{key}, or an active_root_secret_id"
    raise ConfigError([ConfigProblem(file, section, "active_root_secret_id", active_id or "", expected)])
