"""Which cluster a command for users talks to, and as whom: by flags, a directory of `objstore up`, or the environment.

    --auth URL --user ACCOUNT:USER --key KEY                     any cluster, authentication version 1
    --cluster DIR, OBJSTORE_CLUSTER                              of this machine; its first user, or --user
    ST_AUTH, ST_USER, ST_KEY                                     as python-swiftclient has them
    OS_STORAGE_URL, OS_AUTH_TOKEN                                both known already
    OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME, …    Keystone, version 3

A flag beats the variable of the same meaning.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from objstore.cli.banner import endpoint
from objstore.cli.terminal import FAILED, USAGE, CommandError, Terminal
from objstore.cli.user_file import UserFile
from objstore.client.account import Account
from objstore.client.connections import Trust
from objstore.client.login import Given, KeystoneV3, Login, PasswordV1
from objstore.client.session import Session
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.servers import read_server
from objstore.runtime.fs import Fs

_NOWHERE = (
    "which cluster? Give one of:",
    "  --cluster DIR                                  of objstore up, on this machine (or OBJSTORE_CLUSTER)",
    "  --auth URL --user ACCOUNT:USER --key KEY       any other (or ST_AUTH, ST_USER, ST_KEY)",
    "  OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME in the environment: with Keystone",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which cluster")
    group.add_argument("--cluster", metavar="DIR", type=Path, help="directory of objstore up (OBJSTORE_CLUSTER)")
    group.add_argument("--auth", metavar="URL", help="where tokens are given (ST_AUTH)")
    group.add_argument("--user", metavar="ACCOUNT:USER", help="(ST_USER; with --cluster: its first user)")
    group.add_argument("--key", help="others on this machine can see it among the processes: better ST_KEY")
    group.add_argument("--account", metavar="NAME", help="another account than the user's own, AUTH_photos")
    group.add_argument("--cacert", metavar="FILE", help="believe these certificates, in PEM (OS_CACERT)")
    group.add_argument("--insecure", action="store_true", help="do not check the cluster's certificate")


def account_of(arguments: argparse.Namespace, terminal: Terminal) -> Account:
    """Close its session at the end. Raises CommandError, ConfigError."""
    environ = terminal.environ
    login, ca_file = _login(arguments, environ)
    trust = Trust(arguments.cacert or environ.get("OS_CACERT", "") or ca_file, arguments.insecure)
    return Account(Session(login, trust, account=arguments.account or ""))


def _login(arguments: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Login, str]:
    """How to log in, and the certificates to trust."""
    auth = arguments.auth
    directory = arguments.cluster or (Path(environ["OBJSTORE_CLUSTER"]) if environ.get("OBJSTORE_CLUSTER") else None)
    if auth is None and directory is not None:
        return _of_directory(ClusterDirectory(directory.expanduser().resolve()), arguments)
    auth = auth or environ.get("ST_AUTH", "")
    if auth:
        user, key = arguments.user or environ.get("ST_USER", ""), arguments.key or environ.get("ST_KEY", "")
        if not user or not key:
            missing = "--user (or ST_USER)" if not user else "--key (or ST_KEY)"
            raise CommandError(f"{auth}: {missing} is missing", code=USAGE)
        return PasswordV1(auth, user, key), ""
    if environ.get("OS_STORAGE_URL") and environ.get("OS_AUTH_TOKEN"):
        return Given(environ["OS_STORAGE_URL"], environ["OS_AUTH_TOKEN"]), ""
    if environ.get("OS_AUTH_URL"):
        return _keystone(environ), ""
    raise CommandError(*_NOWHERE, code=USAGE)


def _of_directory(directory: ClusterDirectory, arguments: argparse.Namespace) -> tuple[Login, str]:
    """The user's key is read from the cluster's own file, by whoever may read that."""
    if not directory.exists:
        raise CommandError(f"{directory.root}: no cluster here; make one with: objstore up {directory.root}")
    if not directory.has_proxy:
        raise CommandError(f"{directory.root}: this node has no proxy; give --auth, --user and --key", code=USAGE)
    server = read_server(directory.proxy_conf, "proxy-server", "-")
    users = UserFile.open(directory.proxy_conf, Fs()).users()
    found = next((user for user in users if arguments.user in (None, user.identity)), None)
    if found is None:
        known = ", ".join(user.identity for user in users) or "none"
        raise CommandError(f"{directory.root}: no user {arguments.user or ''}; there are: {known}", code=FAILED)
    login = PasswordV1(f"{endpoint(server)}/auth/v1.0", found.identity, arguments.key or found.key)
    return login, server.settings.cert_file


def _keystone(environ: Mapping[str, str]) -> KeystoneV3:
    project: dict[str, Any] = {}
    if environ.get("OS_PROJECT_ID"):
        project = {"id": environ["OS_PROJECT_ID"]}
    elif environ.get("OS_PROJECT_NAME"):
        project = {"name": environ["OS_PROJECT_NAME"], "domain": _domain(environ, "OS_PROJECT_DOMAIN")}
    missing = [name for name in ("OS_USERNAME", "OS_PASSWORD") if not environ.get(name)]
    if not project:
        missing.append("OS_PROJECT_NAME")
    if missing:
        raise CommandError(f"OS_AUTH_URL is set, but not {' and '.join(missing)}", code=USAGE)
    return KeystoneV3(
        environ["OS_AUTH_URL"],
        environ["OS_USERNAME"],
        environ["OS_PASSWORD"],
        project,
        _domain(environ, "OS_USER_DOMAIN"),
        environ.get("OS_REGION_NAME", ""),
    )


def _domain(environ: Mapping[str, str], name: str) -> dict[str, str]:
    """By id where that is given, else by name; without either the one that Keystone makes first."""
    if environ.get(f"{name}_ID"):
        return {"id": environ[f"{name}_ID"]}
    if environ.get(f"{name}_NAME"):
        return {"name": environ[f"{name}_NAME"]}
    return {"id": "default"}
