"""Rows on their way to one container: made into requests once, for all nodes that get the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from objstore.object.passes.update_plan import row_for_many
from objstore.object.rows import ContainerRow
from objstore.peers.container_rows import body_of
from objstore.storage.pending_walk import Waiting

Numbers = tuple[int, ...]
"""Positions in the rows of a batch."""


class Batch:
    """policy_index: of the async_pending directory the rows lay in. Belongs to one job."""

    def __init__(self, policy_index: int, rows: Sequence[Waiting]) -> None:
        self.policy_index = policy_index
        self.rows = rows
        self._made: dict[int, ContainerRow | None] = {}
        self._updates: dict[Numbers, tuple[bytes, dict[str, str]]] = {}

    def that_may_go_together(self, numbers: Iterable[int]) -> Numbers:
        """Those that need not travel alone."""
        return tuple(number for number in numbers if self._row(number) is not None)

    def update(self, numbers: Numbers) -> tuple[bytes, dict[str, str]]:
        """(body, headers) of an UPDATE with these rows."""
        known = self._updates.get(numbers)
        if known is None:
            made = [row for row in map(self._row, numbers) if row is not None]
            assert len(made) == len(numbers) > 0
            headers = {
                "x-timestamp": max(self.rows[number].timestamp for number in numbers).internal,
                "x-trans-id": made[0].transaction_id,
                "x-backend-storage-policy-index": str(made[0].policy_index),
            }
            known = self._updates[numbers] = body_of([row.item() for row in made]), headers
        return known

    def _row(self, number: int) -> ContainerRow | None:
        if number not in self._made:
            self._made[number] = row_for_many(self.rows[number].update, self.policy_index)
        return self._made[number]
