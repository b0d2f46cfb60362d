"""Root secrets that an external key manager has: which keys a section names, and the ring that is made of them.

    key_id = …              the key without an id of its own
    key_id_2026 = …         the key of the id 2026
    active_root_secret_id = 2026

The keys are fetched once, when a worker starts: requests never wait for a key manager, and go on when it is away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from objstore.config.errors import ConfigError, ConfigProblem
from objstore.config.settings import setting, text
from objstore.middleware.encryption.keyring import Keyring
from objstore.middleware.encryption.kmip import NoKey
from objstore.middleware.encryption.root_secrets import SECRET_BYTES_MIN, RootSecretSettings, check_active, secret_ids

KEY_ID = "key_id"


@dataclass(frozen=True)
class ExternalSecretSettings(RootSecretSettings):
    """The settings of every keymaster that asks a key manager. Further keys are key_id_<id>."""

    WILDCARDS: ClassVar[tuple[str, ...]] = (f"{KEY_ID}_",)

    key_id: str = setting(
        "",
        text,
        "What the key manager calls the root secret without an id (Barbican: its UUID; KMIP: an AES key of 256 bits).",
    )


def fetched_keyring(
    settings: ExternalSecretSettings, file: str, section: str, fetch: Callable[[str], bytes]
) -> Keyring:
    """The keyring of a section's keys, asked of the key manager now.

    file, section: where the settings stand, for errors. fetch(id in the key manager): the key; raises NoKey. Raises
    ConfigError for a key that cannot be had or is too short, and where no key would be written with.
    """
    active_id = settings.active_root_secret_id or None
    ids = secret_ids({KEY_ID: settings.key_id, **settings.extra}, KEY_ID)
    check_active(file, section, KEY_ID, ids, active_id)
    secrets: dict[str | None, bytes] = {}
    for id_, key_id in ids.items():
        name = KEY_ID if id_ is None else f"{KEY_ID}_{id_}"
        try:
            secret = fetch(key_id)
        except NoKey as error:
            raise ConfigError([ConfigProblem(file, section, name, "", f"a key that can be had: {error}")]) from None
        if len(secret) < SECRET_BYTES_MIN:
            expected = f"a key of {SECRET_BYTES_MIN} bytes or more; {key_id[:100]!r} has {len(secret)}"
            raise ConfigError([ConfigProblem(file, section, name, "", expected)])
        secrets[id_] = secret
    return Keyring(secrets, active_id, settings.meta_version_to_write)
