"""What commands on any node of a cluster use to have its holder change drives, rings and members.

connect() reads DIR/etc: the members file says who holds the builders, the cluster's key signs. The local agent keeps
that file up to date, so the command goes to the holder itself, by one connection and not by two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from objstore.cluster.agent import own_membership
from objstore.cluster.calls import ASK_S, PLAN_S, Calls, Refusing, TokenKey, UserLine, peer_of
from objstore.cluster.change_plan import ChangePlan, Usage
from objstore.cluster.changes import Change
from objstore.cluster.channel import ChannelError, Peer
from objstore.cluster.cluster_key import KeyRing
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.holder_messages import asked, plan_of
from objstore.cluster.local_drives import Look
from objstore.cluster.members import Member, Members
from objstore.cluster.node_state import ClusterFacts
from objstore.cluster.ring_manifest import RingSet
from objstore.cluster.ring_pack import BYTES_MAX, unpacked
from objstore.cluster.strict_json import Fields
from objstore.runtime.fs import Fs


class HolderClient:
    """A Planner (holder.py) on whichever node holds the builders. Besides what a Planner raises, everything raises
    ChannelError: the holder does not answer, or refuses, in words for a human."""

    def __init__(self, members: Members, me: Member, calls: Calls) -> None:
        self.members = members
        self.me = me
        self._calls = calls

    @property
    def is_holder(self) -> bool:
        """Whether this node holds the builders itself."""
        return self.members.holder == self.me.id

    @property
    def holder(self) -> Peer:
        return peer_of(self.members.holding)

    @contextmanager
    def _at_holder(self) -> Iterator[Peer]:
        """Whom to ask; one that does not answer is named, with what to do."""
        try:
            yield self.holder
        except Refusing:
            raise
        except ChannelError as error:
            raise ChannelError(
                f"{error}: there {self.members.holding.name} holds the ring builders: start it, or, when it is gone "
                "for good, on the node that is to follow: objstore node holder DIR --lost"
            ) from None

    def version(self) -> int:
        with self._at_holder() as holder:
            body = self._calls.body_of(holder, "GET", "/v1/version", timeout_s=PLAN_S)
        return Fields.parse(body, "answer").number("version")

    def plan(self, change: Change, usage: Usage | None = None) -> ChangePlan:
        body = asked(change, usage)
        with self._at_holder() as holder:
            return plan_of(
                self._calls.body_of(holder, "POST", "/v1/plan", body, timeout_s=PLAN_S, answer_max=BYTES_MAX)
            )

    def apply(self, change: Change, expected_version: int, usage: Usage | None = None) -> RingSet:
        """Raises VersionConflict, ChangeRefused, ForeignRing too. After a ChannelError it may have been done: look."""
        body = asked(change, usage, expected_version)
        with self._at_holder() as holder:
            answer = self._calls.body_of(holder, "POST", "/v1/apply", body, timeout_s=PLAN_S, answer_max=BYTES_MAX)
        return unpacked(answer)[1]

    def facts(self, timeout_s: float = ASK_S) -> ClusterFacts:
        """What the holder knows of every node."""
        with self._at_holder() as holder:
            return self._calls.facts(holder, timeout_s)

    def local_facts(self, timeout_s: float) -> ClusterFacts:
        """What this node's own agent knows, from the holder."""
        return self._calls.facts(peer_of(self.me), timeout_s)

    def push(self, *, is_forced: bool) -> ClusterFacts:
        """Bring the holder's rings to every node now; what is known then. is_forced: also over files that came there by
        hand."""
        with self._at_holder() as holder:
            return self._calls.push_all(holder, is_forced=is_forced)

    def pause(self, *, is_paused: bool) -> None:
        """Whether further steps of changes wait, or follow by themselves."""
        with self._at_holder() as holder:
            self._calls.pause(holder, is_paused=is_paused)

    def change_user(self, node: Member, line: UserLine) -> None:
        """On one node's proxy."""
        self._calls.change_user(peer_of(node), line)

    def look(self, node: Member, held: Sequence[str], new: str) -> Look:
        """At drives of any node."""
        return self._calls.look(peer_of(node), held, new)

    def prepare(self, node: Member, drive: str, *, may_have_data: bool) -> None:
        """Have any node make a drive ready for the rings to name it."""
        self._calls.prepare(peer_of(node), drive, may_have_data=may_have_data)

    def put_token_key(self, node: Member, key: TokenKey) -> None:
        """On one node's proxy."""
        self._calls.put_token_key(peer_of(node), key)

    def new_token(self) -> str:
        with self._at_holder() as holder:
            return self._calls.new_token(holder)

    def rotate_key(self) -> str:
        """Replace the cluster's key on all nodes; says how far that is."""
        with self._at_holder() as holder:
            return self._calls.rotate_key(holder)

    def take_over(self, *, is_lost: bool) -> str:
        """Make this node the holder; says how it went."""
        return self._calls.take_over(peer_of(self.me), is_lost=is_lost)


def connect(directory: ClusterDirectory) -> HolderClient:
    """Raises MembersError (also when DIR has no members file: see is_of_several), CertificateError, KeyFileError."""
    membership, _ = own_membership(directory.etc, Fs())
    assert membership.me is not None, "found by its certificate"
    calls = Calls(KeyRing(directory.etc, Fs()).signing, membership.node_id)
    return HolderClient(membership.members, membership.me, calls)


def is_of_several(directory: ClusterDirectory) -> bool:
    """Whether a directory is a node among others, whose rings are changed by its holder's agent."""
    return directory.members_file.exists()
