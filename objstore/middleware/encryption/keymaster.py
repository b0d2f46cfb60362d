"""keymaster: has the root secrets from a file of this machine, and leaves the keys to the encryption behind it.

Whoever has a root secret can read every object that was written under it; without it nobody can, ever again. Secrets
are added and one is made active; none is removed while an object under it may be left (doc/operations/encryption.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from objstore.config.settings import Settings, choice, reads, setting, text
from objstore.http.environ import KEYRING, Environ, StartResponse, WSGIApp
from objstore.middleware.encryption.keyring import VERSIONS, WRITTEN_VERSION, Keyring
from objstore.middleware.encryption.root_secrets import check_active, decoded, keymaster_settings, secret_ids

_SECRET = "encryption_root_secret"
_SECTION = "keymaster"


@dataclass(frozen=True)
class KeymasterSettings(Settings):
    """Further secrets are encryption_root_secret_<id>."""

    WILDCARDS: ClassVar[tuple[str, ...]] = (f"{_SECRET}_",)

    encryption_root_secret: str = setting("", text, "The root secret without an id: base64 of 32 bytes or more.")
    active_root_secret_id: str = setting(
        "", text, "The id of the secret that new objects are encrypted under; empty: the one without an id."
    )
    keymaster_config_path: str = setting(
        "", text, "A file with a section [keymaster] that has all of these, so that this one holds no secret."
    )
    meta_version_to_write: str = setting(
        WRITTEN_VERSION, choice(*VERSIONS), "Form of key ids in objects: 3 is read by newer versions of Swift alone.",
        advanced=True,
    )  # fmt: skip


class Keymaster:
    """Every keymaster, once it has its secrets."""

    def __init__(self, app: WSGIApp, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ[KEYRING] = self._keyring
        body: Iterable[bytes] = self._app(environ, start_response)
        return body


def keyring_of(settings: KeymasterSettings, file: str) -> Keyring:
    """file: where they stand. Raises ConfigError."""
    values = {_SECRET: settings.encryption_root_secret, **settings.extra}
    texts = secret_ids(values, _SECRET)
    active_id = settings.active_root_secret_id or None
    check_active(file, _SECTION, _SECRET, texts, active_id)
    secrets = {
        id_: decoded(file, _SECTION, _SECRET if id_ is None else f"{_SECRET}_{id_}", text)
        for id_, text in texts.items()
    }
    return Keyring(secrets, active_id, settings.meta_version_to_write)


@reads(KeymasterSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Keymaster]:
    keyring = keyring_of(*keymaster_settings(KeymasterSettings, _SECTION, global_conf, local_conf))
    return lambda app: Keymaster(app, keyring)
