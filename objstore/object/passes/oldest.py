"""The containers whose rows have waited longest: what recon tells operators about the updater. Source: formats 6.10."""

from __future__ import annotations

from objstore.core.timestamp import Timestamp


class OldestPending:
    """Remembers the oldest failed row of each container, of at most max_entries containers: those with the oldest."""

    def __init__(self, max_entries: int = 100, shown: int = 5) -> None:
        self._max_entries = max_entries
        self._shown = shown
        self._oldest: dict[tuple[str, str], Timestamp] = {}

    def note(self, timestamp: Timestamp, account: str, container: str) -> None:
        known = self._oldest.get((account, container))
        if known is not None and known <= timestamp:
            return
        self._oldest[account, container] = timestamp
        if len(self._oldest) > self._max_entries:
            youngest = max(self._oldest, key=lambda key: self._oldest[key])
            del self._oldest[youngest]

    def clear(self) -> None:
        self._oldest.clear()

    def stats(self, now_s: float) -> dict[str, object]:
        """The value of object_updater_stats."""
        ordered = sorted(self._oldest.items(), key=lambda item: item[1])
        oldest_s = ordered[0][1].seconds if ordered else None
        return {
            "failures_account_container_count": len(ordered),
            "failures_oldest_timestamp": oldest_s,
            "failures_oldest_timestamp_age": None if oldest_s is None else now_s - oldest_s,
            "failures_oldest_timestamp_account_containers": {
                "oldest_count": min(len(ordered), self._shown),
                "oldest_entries": [
                    {"timestamp": timestamp.internal, "account": account, "container": container}
                    for (account, container), timestamp in ordered[: self._shown]
                ],
            },
            "tracker_memory_usage": float(sum(200 + len(account) + len(name) for account, name in self._oldest)),
        }
