"""Root secrets that an external key manager has: which keys a section names, and the ring that is made of them.

    key_id = …              the key without an id of its own
    key_id_2026 = …         the key of the id 2026
    active_root_secret_id = 2026

The keys are fetched once, when a worker starts: requests never wait for a key manager, and go on when it is away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from objstore.config.errors import ConfigError, ConfigProblem
from objstore.middleware.encryption.keyring import Keyring
from objstore.middleware.encryption.kmip import NoKey
from objstore.middleware.encryption.root_secrets import SECRET_BYTES_MIN, check_active, secret_ids

KEY_ID = "key_id"


def fetched_keyring(
    values: Mapping[str, str],
    active_id: str | None,
    version: str,
    file: str,
    section: str,
    fetch: Callable[[str], bytes],
) -> Keyring:
    """values: of the section. fetch(id in the key manager): raises NoKey. Raises ConfigError."""
    ids = secret_ids(values, KEY_ID)
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
    return Keyring(secrets, active_id, version)
