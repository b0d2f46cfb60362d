"""Account and container servers in this process, on temporary devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from objstore.account.app import make_app as make_account_app
from objstore.account.settings import AccountServerSettings
from objstore.config.cluster import Cluster
from objstore.container.app import make_app as make_container_app
from objstore.container.settings import ContainerServerSettings
from objstore.core.hashing import HashSecrets
from objstore.core.limits import Limits
from objstore.core.policy import Policies, Policy
from objstore.http.dispatch import BackendApp
from tests.support.clock import SimClock

SECRETS = HashSecrets(b"wire-prefix", b"wire-suffix")
POLICIES = Policies([Policy(0, "gold", is_default=True), Policy(1, "ec21"), Policy(2, "silver")])


def _settings(kind: Any, root: Path, options: dict[str, str]) -> Any:
    for name in ("sdb1", "sdb2", "sdb3", "sdb4"):
        (root / name).mkdir(parents=True, exist_ok=True)
    pairs = {"devices": str(root), "mount_check": "no", "fallocate_reserve": "0", **options}
    settings, problems = kind.from_pairs(pairs)
    assert not problems
    return settings


def account_server(root: Path, limits: Limits | None = None, clock: Any = None, **options: str) -> BackendApp:
    return make_account_app(
        _settings(AccountServerSettings, root, options),
        Cluster(root, SECRETS, POLICIES, limits or Limits()),
        clock or SimClock(),
    )


def container_server(
    root: Path, limits: Limits | None = None, clock: Any = None, send: Any = None, silences: Any = None, **options: str
) -> BackendApp:
    """send: what stands in for account servers; by default they answer 201."""
    return make_container_app(
        _settings(ContainerServerSettings, root, options),
        Cluster(root, SECRETS, POLICIES, limits or Limits()),
        clock or SimClock(),
        send=send or (lambda node, target, headers, timeout_s: 201),
        silences=silences,
    )
