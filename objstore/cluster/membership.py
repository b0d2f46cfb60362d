"""This node among the members: the file DIR/etc/cluster.json as the agent keeps it.

The holder changes it; everybody else takes over what is newer. What is older, of another cluster, or of another holder
in the same term is refused: two holders must not both be believed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from objstore.cluster import members as files
from objstore.cluster.members import Member, Members, MembersError
from objstore.core.errors import DomainError
from objstore.runtime.fs import Fs
from objstore.runtime.listen import shown


class NotHolder(DomainError):
    """The node that was asked does not hold the builders."""


class MembersRefused(DomainError):
    """A members file is not taken over."""


class SplitHolders(MembersRefused):
    """Two nodes say that they hold the builders in the same term."""


class Membership:
    """For the threads of one agent. node_id: of this node."""

    def __init__(self, etc: Path, node_id: str, fs: Fs, members: Members) -> None:
        self.node_id = node_id
        self._etc = etc
        self._fs = fs
        self._lock = threading.Lock()
        self._members = members

    @property
    def members(self) -> Members:
        return self._members

    @property
    def me(self) -> Member | None:
        """None once this node has been removed."""
        return self._members.by_id(self.node_id)

    @property
    def is_holder(self) -> bool:
        return self._members.holder == self.node_id

    def require_holder(self) -> Members:
        """Raises NotHolder, which says who is."""
        members = self._members
        if members.holder != self.node_id:
            holder = members.holding
            raise NotHolder(f"the ring builders are held by {holder.name} ({shown((holder.ip, holder.agent_port))})")
        return members

    def change(self, change: Callable[[Members], Members]) -> Members:
        """By the holder; durable when this returns. Raises NotHolder, MembersError, OSError."""
        with self._lock:
            return self._written(change(self.require_holder()))

    def take_over(self) -> Members:
        """Become the holder of the next term. Raises MembersError, OSError."""
        with self._lock:
            return self._written(self._members.held_by(self.node_id))

    def adopt(self, new: Members) -> bool:
        """What another node says; False when it is known already. Raises MembersRefused, OSError."""
        with self._lock:
            if not self.is_news(new):
                return False
            self._written(new)
            return True

    def is_news(self, new: Members) -> bool:
        """Whether adopt() would take them over. Raises MembersRefused."""
        old = self._members
        if new.cluster != old.cluster:
            raise MembersRefused("the members file of another cluster")
        if new.term == old.term and new.holder != old.holder:
            raise SplitHolders(
                f"two nodes hold the ring builders in term {new.term}: {new.holding.name} and {old.holding.name}; "
                f"decide for one and run there: objstore node holder DIR --lost"
            )
        if new.stamp < old.stamp:
            raise MembersRefused(f"members {_shown(new)} are older than those here, {_shown(old)}")
        if new.stamp == old.stamp and new != old:
            raise MembersRefused(f"other members under the same version, {_shown(old)}")
        return new.stamp > old.stamp

    def _written(self, members: Members) -> Members:
        files.write(self._etc, members, self._fs)
        self._members = members
        return members


def _shown(members: Members) -> str:
    return f"term {members.term} version {members.version}"


__all__ = ["Membership", "MembersError", "MembersRefused", "NotHolder", "SplitHolders"]
