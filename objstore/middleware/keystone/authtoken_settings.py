"""The options of [filter:authtoken], as far as they have a meaning here; names are those of Keystone's own filter.

Source: docs.openstack.org/keystonemiddleware/latest/middlewarearchitecture.html and its configuration reference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from objstore.config.settings import Kind, Problem, boolean, choice, decimal, names, number, setting, text
from objstore.http.outgoing import Trust
from objstore.http.service_url import parse_url
from objstore.middleware.keystone.user_settings import KeystoneUserSettings


def _url(value: str) -> str:
    if value:
        parse_url(value)
    return value


_service_url = Kind(_url, "http://host:port or https://host:port")


@dataclass(frozen=True)
class AuthtokenSettings(KeystoneUserSettings):
    auth_url: str = setting("", _service_url, "Keystone's address, such as http://keystone.example:5000.")
    www_authenticate_uri: str = setting(
        "", _service_url, "Where clients get tokens, for Www-Authenticate; empty: auth_url."
    )
    auth_uri: str = setting("", _service_url, "The former name of www_authenticate_uri.", advanced=True)
    auth_type: str = setting("password", choice("password", "v3password"), "How we get our own token.", advanced=True)
    auth_plugin: str = setting(
        "password", choice("password", "v3password"), "The former name of auth_type.", advanced=True
    )
    delay_auth_decision: bool = setting(
        "false",
        boolean,
        "Let requests without a good token go on, for keystoneauth to judge: public containers, temporary URLs, "
        "forms and static web need yes.",
    )
    token_cache_time: float = setting(
        "300", decimal(0), "Seconds until Keystone is asked again about a token; a revoked one is accepted for as long."
    )
    service_token_roles: tuple[str, ...] = setting(
        "service",
        names,
        "Roles of an X-Service-Token that lets an expired X-Auth-Token pass, where Keystone allows it.",
    )
    service_token_roles_required: bool = setting(
        "false", boolean, "An X-Service-Token without one of these roles is invalid."
    )
    cafile: str = setting("", text, "Authorities that sign Keystone's certificate, in PEM; empty: the system's.")
    certfile: str = setting("", text, "Our certificate, where Keystone asks for one.", advanced=True)
    keyfile: str = setting("", text, "The private key of certfile; empty: certfile has it too.", advanced=True)
    insecure: bool = setting(
        "false", boolean, "Accept any certificate without checking it: for tests only.", advanced=True
    )
    http_connect_timeout: float = setting("3", decimal(0.01), "Seconds to connect to Keystone.")
    http_request_timeout: float = setting("10", decimal(0.01), "Seconds for a whole answer of Keystone.")
    http_request_max_retries: int = setting(
        "3", number(0, 10), "How often a question is repeated when Keystone breaks its answer off.", advanced=True
    )
    memcache_secret_key: str = setting(
        "",
        text,
        "The secret that cached answers are encrypted with, the same on all proxies; empty: derived from password.",
        advanced=True,
    )
    memcache_security_strategy: str = setting(
        "encrypt",
        choice("none", "mac", "encrypt"),
        "Read and not used: answers in memcached are always encrypted.",
        advanced=True,
    )
    cache: str = setting("", text, "Read and not used: the cache is the pipeline's.", advanced=True)
    memcached_servers: str = setting("", text, "Read and not used: those of the filter cache count.", advanced=True)
    service_type: str = setting("", text, "Read and not used: tokens with access rules are refused.", advanced=True)
    include_service_catalog: bool = setting("false", boolean, "Read and not used: nobody needs it.", advanced=True)
    auth_version: str = setting(
        "v3", choice("v3", "v3.0", "3", "3.0"), "The version of Keystone's API; no other is spoken.", advanced=True
    )
    region_name: str = setting("", text, "Read and not used: auth_url is asked.", advanced=True)
    interface: str = setting("", text, "Read and not used: auth_url is asked.", advanced=True)

    @classmethod
    def from_pairs(
        cls, pairs: Mapping[str, str], *, ignore: frozenset[str] = frozenset()
    ) -> tuple[Self, list[Problem]]:
        settings, problems = super().from_pairs(pairs, ignore=ignore)
        for key in ("auth_url", "password"):
            if not getattr(settings, key) and not any(problem.key == key for problem in problems):
                problems.append(Problem(key, "", "a value: without it no token can be checked"))
        if not (settings.username or settings.user_id):
            problems.append(Problem("username", "", "the user that checks tokens, or user_id"))
        problems = [_hidden(problem) for problem in problems]
        if not problems and settings.trust != Trust():
            try:
                settings.trust.context()
            except ValueError as error:
                problems.append(Problem("cafile", settings.cafile, "files that can be used", str(error)))
        return settings, problems

    @property
    def trust(self) -> Trust:
        return Trust(self.cafile or None, self.insecure, self.certfile or None, self.keyfile or None)

    @property
    def public_url(self) -> str:
        return self.www_authenticate_uri or self.auth_uri or self.auth_url


def _hidden(problem: Problem) -> Problem:
    """Without the value below a misspelt key: it may be a secret that nobody knows as one."""
    return problem if problem.key in AuthtokenSettings.keys() else dataclasses.replace(problem, value="***")
