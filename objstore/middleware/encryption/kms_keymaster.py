"""kms_keymaster: has its root secrets from Barbican, OpenStack's key manager, as a user that Keystone knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from objstore.config.errors import ConfigError, ConfigProblem
from objstore.config.settings import choice, decimal, reads, setting, text
from objstore.http.environ import WSGIApp
from objstore.http.outgoing import Outgoing, Trust
from objstore.middleware.encryption.barbican import Barbican
from objstore.middleware.encryption.external_secrets import KEY_ID, fetched_keyring
from objstore.middleware.encryption.keymaster import Keymaster
from objstore.middleware.encryption.root_secrets import RootSecretSettings, keymaster_settings
from objstore.middleware.keystone.user_settings import KeystoneUserSettings

SECTION = "kms_keymaster"


@dataclass(frozen=True)
class KmsSettings(KeystoneUserSettings, RootSecretSettings):
    """Further secrets are key_id_<id>. They are fetched when a worker starts."""

    WILDCARDS: ClassVar[tuple[str, ...]] = (f"{KEY_ID}_",)

    key_id: str = setting("", text, "Barbican's UUID of the root secret without an id: 32 bytes or more.")
    auth_endpoint: str = setting("", text, "Where Keystone is asked, such as https://keystone.example:5000/v3.")
    barbican_endpoint: str = setting("", text, "Barbican's address; empty: what Keystone's catalog says.")
    barbican_region_name: str = setting("", text, "Of several regions in the catalog, the one to ask; empty: any.")
    barbican_endpoint_type: str = setting(
        "public", choice("public", "internal", "admin"), "Which address in the catalog.", advanced=True
    )
    cafile: str = setting("", text, "Authorities that sign their certificates, in PEM; empty: the system's.")
    timeout: float = setting("10", decimal(0.01), "Seconds for every wait.", advanced=True)
    api_class: str = setting("", text, "Read and not used: Barbican's own API is spoken.", advanced=True)


@reads(KmsSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Keymaster]:
    settings, file = keymaster_settings(KmsSettings, SECTION, global_conf, local_conf)
    try:
        outgoing = Outgoing(trust=Trust(settings.cafile or None), timeout_s=settings.timeout)
    except ValueError as error:
        raise ConfigError([ConfigProblem(file, SECTION, "cafile", settings.cafile, str(error))]) from None
    barbican = Barbican(
        outgoing,
        settings.auth_endpoint,
        settings.credentials,
        settings.barbican_endpoint,
        settings.barbican_region_name,
        settings.barbican_endpoint_type,
    )
    keyring = fetched_keyring(
        {KEY_ID: settings.key_id, **settings.extra},
        settings.active_root_secret_id or None,
        settings.meta_version_to_write,
        file,
        SECTION,
        barbican.key,
    )
    return lambda app: Keymaster(app, keyring)
