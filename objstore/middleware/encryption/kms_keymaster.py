"""kms_keymaster: has its root secrets from Barbican, OpenStack's key manager, as a user that Keystone knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from objstore.config.errors import ConfigError, ConfigProblem
from objstore.config.settings import choice, decimal, reads, setting, text
from objstore.http.environ import WSGIApp
from objstore.http.outgoing import Outgoing, Trust
from objstore.middleware.encryption.barbican import Barbican
from objstore.middleware.encryption.external_secrets import ExternalSecretSettings, fetched_keyring
from objstore.middleware.encryption.keymaster import Keymaster
from objstore.middleware.encryption.root_secrets import keymaster_settings
from objstore.middleware.keystone.user_settings import KeystoneUserSettings

SECTION = "kms_keymaster"


@dataclass(frozen=True)
class KmsSettings(KeystoneUserSettings, ExternalSecretSettings):
    """Further secrets are key_id_<id>. They are fetched when a worker starts."""

    auth_endpoint: str = setting("", text, "Keystone's address, such as https://keystone.example:5000/v3.")
    barbican_endpoint: str = setting("", text, "Barbican's address; empty: what Keystone's catalog says.")
    barbican_region_name: str = setting("", text, "Of several regions in the catalog, the one to ask; empty: any.")
    barbican_endpoint_type: str = setting(
        "public",
        choice("public", "internal", "admin"),
        "Which of Barbican's addresses in the catalog is used.",
        advanced=True,
    )
    cafile: str = setting("", text, "Authorities that sign their certificates, in PEM; empty: the system's.")
    timeout: float = setting(
        "10", decimal(0.01), "Seconds that any one wait for Keystone or Barbican may take.", advanced=True
    )
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
    keyring = fetched_keyring(settings, file, SECTION, barbican.key)
    return lambda app: Keymaster(app, keyring)
