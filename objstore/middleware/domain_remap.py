"""domain_remap: container.account.storage.example/object and account.storage.example/container/object, for sites whose
address should say nothing of /v1/AUTH_…. Feature A5.7.

Host names have neither case nor underscores: AUTH-acct and auth-acct mean the account AUTH_acct, by the configured
reseller prefixes. Source: Swift admin guide, "Domain remap".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, boolean, names, reads, setting, text
from objstore.http import capabilities
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.response import plain
from objstore.http.status import HTTPStatus

_FIRST_DASH = re.compile(r"[-_]")


@dataclass(frozen=True)
class DomainRemapSettings(Settings):
    storage_domain: tuple[str, ...] = setting("example.com", names, "Domains whose subdomains name accounts.")
    path_root: str = setting("v1", text, "The first part of a path, before the account.")
    reseller_prefixes: tuple[str, ...] = setting("AUTH", names, "Prefixes of accounts, whose case and _ are restored.")
    default_reseller_prefix: str = setting("", text, "The prefix that is put before accounts that have none.")
    mangle_client_paths: bool = setting(
        "no",
        boolean,
        "Take /v1/container/object of such a host for container/object: for old clients only.",
        advanced=True,
    )


class DomainRemap:
    def __init__(self, app: WSGIApp, settings: DomainRemapSettings) -> None:
        self._app = app
        self._domains = tuple("." + domain.lower().lstrip(".") for domain in settings.storage_domain)
        self._root = "/" + settings.path_root.strip("/")
        self._prefixes = {prefix.lower(): prefix for prefix in settings.reseller_prefixes}
        self._default_prefix = settings.default_reseller_prefix
        self._mangles = settings.mangle_client_paths

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        host = _host(environ)
        domain = next((domain for domain in self._domains if host.lower().endswith(domain)), None)
        if domain is not None:
            labels = host[: -len(domain)].split(".")
            if len(labels) > 2 or not all(labels):
                why = "Bad domain in host header: expected [container.]account before the storage domain"
                return plain(HTTPStatus.BAD_REQUEST, why, {"content-type": "text/plain"})(environ, start_response)
            self._remap(environ, labels)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _remap(self, environ: Environ, labels: list[str]) -> None:
        *container, label = labels
        account = self._account(label)
        if account is None:
            return
        path = environ["PATH_INFO"]
        if self._mangles and (path == self._root or path.startswith(self._root + "/")):
            path = path[len(self._root) :] or "/"
        parts = [self._root, account, *container]
        environ["PATH_INFO"] = "/".join(parts) + (path if path.startswith("/") else f"/{path}")

    def _account(self, label: str) -> str | None:
        """The account that a label of a host name means; None where it is not one of ours."""
        parts = _FIRST_DASH.split(label, maxsplit=1)
        if len(parts) == 2 and parts[0].lower() in self._prefixes:
            return f"{self._prefixes[parts[0].lower()]}_{parts[1]}"
        return f"{self._default_prefix}_{label}" if self._default_prefix else None


def _host(environ: Environ) -> str:
    host: str = environ.get("HTTP_HOST", "")
    if host.startswith("["):
        return ""
    return host.partition(":")[0]


@reads(DomainRemapSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], DomainRemap]:
    settings = settings_for(DomainRemapSettings, global_conf, local_conf)
    capabilities.register("domain_remap", default_reseller_prefix=settings.default_reseller_prefix or None)
    return lambda app: DomainRemap(app, settings)
