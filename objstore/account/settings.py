"""Settings of the account server."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.dbserver.settings import DatabaseServerSettings


@dataclass(frozen=True)
class AccountServerSettings(DatabaseServerSettings):
    """How one account server keeps and serves accounts."""
