"""The holder replaces the cluster's key: announced to all, signed with by all, then the old one is forgotten by all.

Each state is taken only when every member has confirmed the one before, durably; a node that does not answer holds it
up and nothing else; so does, for a minute at most, a machine that has bought the old key and is about to ask with it to
be a node. Every round of the holder brings nodes the state they lack and goes on when it can, so that a
rotation that broke off, or whose holder was replaced in the middle, ends by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from objstore.cluster.cluster_key import OLDEST, KeyRing, KeyStamp, Phase, new_key
from objstore.cluster.members import Members

_log = logging.getLogger("objstore.agent")


class Rotation:
    """Of the holder's agent. on_replaced: called before the old key is forgotten. is_joining: whether who is no member
    yet still needs that. heard: node id → the stamp of its key as it said last; who never answered is missing."""

    def __init__(
        self,
        keys: KeyRing,
        own_id: str,
        on_replaced: Callable[[], None] = lambda: None,
        is_joining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._keys = keys
        self._own_id = own_id
        self._on_replaced = on_replaced
        self._is_joining = is_joining

    @property
    def is_under_way(self) -> bool:
        return self._keys.current.phase is not Phase.SETTLED

    def begin(self, heard: Mapping[str, KeyStamp]) -> None:
        """With a new key, unless one is under way already. Raises OSError; then nothing has changed."""
        if not self.is_under_way:
            # Later than anything a holder that was lost may have begun.
            generation = max([self._keys.current.stamp, *heard.values(), OLDEST])[0] + 1
            self._keys.adopt(self._keys.current.announcing(new_key(), generation))
            _log.info("cluster key: generation=%d announced", generation)

    def go_on(self, members: Members, heard: Mapping[str, KeyStamp]) -> bool:
        """To the next state if all have confirmed this one; whether it is another now. Raises OSError."""
        if not self.is_under_way or self.lagging(members, heard):
            return False
        following = self._keys.current.following()
        if following.phase is Phase.SETTLED:
            if self._is_joining():
                return False
            self._on_replaced()
        self._keys.adopt(following)
        current = self._keys.current
        _log.info("cluster key: generation=%d %s", current.generation, current.phase.name.lower())
        return True

    def lagging(self, members: Members, heard: Mapping[str, KeyStamp]) -> list[str]:
        """Names of nodes that have not confirmed the state as it is."""
        stamp = self._keys.current.stamp
        others = [node for node in members.nodes if node.id != self._own_id]
        return [node.name for node in others if heard.get(node.id, (-1, 0)) < stamp]
