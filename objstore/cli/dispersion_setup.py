"""What both dispersion tools begin with: their options, dispersion.conf, the cluster, a client, the policies meant."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from objstore.cli.terminal import CommandError
from objstore.client.account import Account
from objstore.client.connections import Trust
from objstore.client.login import PasswordV1
from objstore.client.session import Session
from objstore.config.cluster import Cluster, load_cluster
from objstore.config.dispersion import DispersionSettings, load_dispersion
from objstore.core.policy import Policy
from objstore.ring.fileformat import RingFileError, load
from objstore.ring.model import Ring

DEFAULT_CONF = Path("/etc/swift/dispersion.conf")


@dataclass(frozen=True, slots=True)
class Setup:
    """policies: whose object rings are meant; containers, objects: what is asked about."""

    settings: DispersionSettings
    cluster: Cluster
    account: Account
    policies: tuple[Policy, ...]
    containers: bool
    objects: bool

    def ring(self, name: str) -> Ring:
        """Raises CommandError."""
        try:
            return load(self.cluster.swift_dir / f"{name}.ring.gz")
        except RingFileError as error:
            raise CommandError(str(error)) from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("conf", nargs="?", type=Path, default=DEFAULT_CONF, help=f"({DEFAULT_CONF})")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--container-only", action="store_true", help="nothing about objects")
    only.add_argument("--object-only", action="store_true", help="nothing about containers")
    parser.add_argument("-P", "--policy-name", metavar="NAME", help="objects of this policy only (of all)")
    parser.add_argument("--insecure", action="store_true", help="do not check the proxy's certificate")


def make(arguments: argparse.Namespace, *, containers: str, objects: str, with_deprecated: bool) -> Setup:
    """containers, objects: the settings that turn each off. Raises ConfigError, CommandError."""
    settings = load_dispersion(arguments.conf)
    cluster = load_cluster(Path(settings.swift_dir))
    login = PasswordV1(settings.auth_url, settings.auth_user, settings.auth_key)
    trust = Trust(is_insecure=arguments.insecure or settings.keystone_api_insecure)
    return Setup(
        settings,
        cluster,
        Account(Session(login, trust, settings.retries)),
        _policies(cluster, arguments.policy_name, with_deprecated),
        containers=getattr(settings, containers) and not arguments.object_only,
        objects=getattr(settings, objects) and not arguments.container_only,
    )


def _policies(cluster: Cluster, name: str | None, with_deprecated: bool) -> tuple[Policy, ...]:
    """The one of a name, or all, the default first."""
    policies = cluster.policies
    if name is not None:
        policy = policies.by_name(name)
        if policy is None:
            raise CommandError(f"{cluster.swift_dir}/swift.conf has no policy named {name!r}")
        return (policy,)
    found = [policy for policy in policies if with_deprecated or not policy.is_deprecated]
    return tuple(sorted(found, key=lambda policy: (policy is not policies.default, policy.index)))
