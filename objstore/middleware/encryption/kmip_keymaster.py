"""kmip_keymaster: has its root secrets from a key manager that speaks KMIP, such as a hardware security module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from objstore.config.settings import decimal, number, reads, setting, text
from objstore.http.environ import WSGIApp
from objstore.http.outgoing import Trust
from objstore.middleware.encryption.external_secrets import ExternalSecretSettings, fetched_keyring
from objstore.middleware.encryption.keymaster import Keymaster
from objstore.middleware.encryption.kmip import KmipServer
from objstore.middleware.encryption.root_secrets import keymaster_settings

SECTION = "kmip_keymaster"


@dataclass(frozen=True)
class KmipSettings(ExternalSecretSettings):
    """Further keys are key_id_<id>. They are fetched when a worker starts."""

    host: str = setting("", text, "The key manager: a name that its certificate has, or an address.")
    port: int = setting("5696", number(1, 65535), "The key manager's port.")
    certfile: str = setting("", text, "Our certificate, by which it knows us, in PEM.")
    keyfile: str = setting("", text, "The private key of certfile; empty: certfile has it too.")
    ca_certs: str = setting(
        "", text, "Authorities that sign the key manager's certificate, in PEM; empty: the system's."
    )
    username: str = setting("", text, "For a key manager that asks for it beside the certificate.")
    password: str = setting("", text, "The password of username.")
    timeout: float = setting("30", decimal(0.01), "Seconds to fetch each key.", advanced=True)


@reads(KmipSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Keymaster]:
    settings, file = keymaster_settings(KmipSettings, SECTION, global_conf, local_conf)
    server = KmipServer(
        settings.host,
        settings.port,
        Trust(settings.ca_certs or None, False, settings.certfile or None, settings.keyfile or None),
        settings.username,
        settings.password,
        settings.timeout,
    )
    keyring = fetched_keyring(settings, file, SECTION, server.key)
    return lambda app: Keymaster(app, keyring)
