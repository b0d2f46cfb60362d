"""keymaster: has the root secrets from a file of this machine, and leaves the keys to the encryption behind it.

Whoever has a root secret can read every object that was written under it; without it nobody can, ever again. Secrets
are added and one is made active; none is removed while an object under it may be left (doc/operations/encryption.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from objstore.config.settings import reads, setting, text
from objstore.http.environ import KEYRING, Environ, StartResponse, WSGIApp
from objstore.middleware.encryption.keyring import Keyring
from objstore.middleware.encryption.root_secrets import (
    RootSecretSettings,
    check_active,
    decoded,
    keymaster_settings,
    secret_ids,
)

SECRET = "encryption_root_secret"
SECTION = "keymaster"


@dataclass(frozen=True)
class KeymasterSettings(RootSecretSettings):
    """Further secrets are encryption_root_secret_<id>."""

    WILDCARDS: ClassVar[tuple[str, ...]] = (f"{SECRET}_",)

    encryption_root_secret: str = setting("", text, "The root secret without an id: base64 of 32 bytes or more.")


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
    values = {SECRET: settings.encryption_root_secret, **settings.extra}
    texts = secret_ids(values, SECRET)
    active_id = settings.active_root_secret_id or None
    check_active(file, SECTION, SECRET, texts, active_id)
    secrets = {
        id_: decoded(file, SECTION, SECRET if id_ is None else f"{SECRET}_{id_}", text) for id_, text in texts.items()
    }
    return Keyring(secrets, active_id, settings.meta_version_to_write)


@reads(KeymasterSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Keymaster]:
    keyring = keyring_of(*keymaster_settings(KeymasterSettings, SECTION, global_conf, local_conf))
    return lambda app: Keymaster(app, keyring)
