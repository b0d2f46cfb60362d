"""Names in the queue of objects that will expire. Pure. Source: formats 4.15.

An entry is a row, never an object. Its container: a day, spread over 100 names; its name:
<when>-<account>/<container>/<object>.
"""

from __future__ import annotations

from dataclasses import dataclass

from objstore.core.hashing import HashSecrets

SPREAD = 100
ENTRY_CONTENT_TYPE = "text/plain;swift_expirer_bytes={}"


@dataclass(frozen=True, slots=True)
class QueueEntry:
    account: str
    container: str
    obj: str


@dataclass(frozen=True, slots=True)
class ExpiryQueue:
    """account_name: without its leading dot. divisor_s: seconds of expiry per container."""

    secrets: HashSecrets
    account_name: str = "expiring_objects"
    divisor_s: int = 86_400

    @property
    def account(self) -> str:
        return f".{self.account_name}"

    def container(self, delete_at_s: int, account: str, container: str, obj: str) -> str:
        spread = int(self.secrets.hash_path(account, container, obj), 16) % SPREAD
        return f"{max(0, delete_at_s // self.divisor_s * self.divisor_s - spread):010d}"

    def entry(self, delete_at_s: int, account: str, container: str, obj: str) -> QueueEntry:
        return QueueEntry(
            self.account,
            self.container(delete_at_s, account, container, obj),
            f"{delete_at_s:010d}-{account}/{container}/{obj}",
        )
