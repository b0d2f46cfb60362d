"""What one agent, or a command with the cluster's key, asks another: signed requests, checked answers.

Every call blocks, for its deadline at most. Answers that refuse are raised in the words of whoever refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from objstore.cluster import members as members_file
from objstore.cluster.channel import Answer, ChannelError, Peer, exchange
from objstore.cluster.holder_messages import refused
from objstore.cluster.local_drives import Look, look_of
from objstore.cluster.members import Member, Members
from objstore.cluster.node_state import ClusterFacts, NodeState, node_state_of, parsed_facts
from objstore.cluster.ring_manifest import RingSet
from objstore.cluster.ring_pack import BYTES_MAX, unpacked
from objstore.cluster.signature import signed
from objstore.cluster.strict_json import BadFields, Fields
from objstore.http.status import HTTPStatus, is_success

ROUND_S = 5.0
"""For each exchange of a round: a node that is down must not keep the others waiting."""
ASK_S = 15.0
"""For a question that somebody waits for."""
PUSH_S = 60.0
"""A push of rings that takes longer than this counts as not arrived, and is tried again."""
DISK_S = 60.0
"""For whoever has to look at disks."""
PLAN_S = 300.0
"""The holder may have to rebalance large rings."""
_USER_MAX = 4096
_ROUND_ANSWER_MAX = 1 << 18

Exchange = Callable[..., Answer]
"""As channel.exchange."""


class Refusing(ChannelError):
    """The peer answered no. Its reason is the text."""

    def __init__(self, peer: Peer, status: int, reason: str) -> None:
        super().__init__(f"{peer}: {reason}")
        self.status = status


@dataclass(frozen=True, slots=True)
class UserLine:
    """A user of the proxies' tempauth. value: key and groups as its line has them; None: there is no such user."""

    account: str
    user: str
    value: str | None = field(repr=False)

    def to_json(self) -> bytes:
        return json.dumps({"account": self.account, "user": self.user, "value": self.value}).encode()


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key of the proxies' tokens, as fernet_keys has it. is_first: it makes them; else it opens them only. keep: keys
    that stay, it included; 0: all."""

    key: str = field(repr=False)
    is_first: bool
    keep: int

    def to_json(self) -> bytes:
        return json.dumps({"key": self.key, "is_first": self.is_first, "keep": self.keep}).encode()


def token_key_of(fields: Fields) -> TokenKey:
    """Raises BadFields."""
    return TokenKey(fields.text("key", 64), fields.truth("is_first"), fields.number("keep", 0, 100))


def user_line_of(fields: Fields) -> UserLine:
    """Raises BadFields."""
    value = None if fields.plain().get("value") is None else fields.text("value", _USER_MAX)
    return UserLine(fields.text("account", _USER_MAX), fields.text("user", _USER_MAX), value)


@dataclass(frozen=True, slots=True)
class Calls:
    """Of one sender. key: of the cluster, to sign with now. sender: a node's id. round_s: for each exchange of a
    round."""

    key: Callable[[], bytes] = field(repr=False)
    sender: str
    exchange: Exchange = exchange
    round_s: float = ROUND_S
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def ask(
        self, peer: Peer, method: str, target: str, body: bytes = b"", *, timeout_s: float, answer_max: int = 1 << 20
    ) -> Answer:
        """One signed request, whatever its answer. Raises ChannelError."""
        headers: Mapping[str, str] = signed(
            self.key(), peer.fingerprint, self.sender, method, target, body, self.now_ms()
        )
        return self.exchange(peer, method, target, headers, body, timeout_s=timeout_s, answer_max=answer_max)

    def body_of(
        self, peer: Peer, method: str, target: str, body: bytes = b"", *, timeout_s: float, answer_max: int = 1 << 20
    ) -> bytes:
        """The body of a good answer. Raises ChannelError."""
        answer = self.ask(peer, method, target, body, timeout_s=timeout_s, answer_max=answer_max)
        if not is_success(answer.status):
            raise refusing(peer, answer)
        return answer.body

    def announce(self, peer: Peer) -> None:
        """Ask the holder for a round."""
        self.body_of(peer, "POST", "/v1/here", timeout_s=self.round_s)

    # Rounds, by the holder

    def round(self, peer: Peer, facts: bytes) -> NodeState:
        """Tell a node what is known (node_state.facts_body), and hear how it is. Raises ChannelError, BadFields."""
        body = self.body_of(peer, "POST", "/v1/round", facts, timeout_s=self.round_s, answer_max=_ROUND_ANSWER_MAX)
        return node_state_of(Fields.parse(body, f"{peer}: state"))

    def push_members(self, peer: Peer, members: bytes) -> None:
        """members: Members.to_json()."""
        self.body_of(peer, "PUT", "/v1/members", members, timeout_s=self.round_s)

    def push_key(self, peer: Peer, key: bytes) -> None:
        """key: as Agent.adopt_key has it."""
        self.body_of(peer, "PUT", "/v1/key", key, timeout_s=self.round_s)

    def push_rings(self, peer: Peer, rings: bytes, *, is_forced: bool = False) -> None:
        """rings: ring_pack.packed()."""
        self.body_of(peer, "PUT", "/v1/rings/forced" if is_forced else "/v1/rings", rings, timeout_s=PUSH_S)

    # Questions

    def members(self, peer: Peer) -> Members:
        """Raises ChannelError, MembersError."""
        return members_file.parse(self.body_of(peer, "GET", "/v1/members", timeout_s=self.round_s), f"{peer}: members")

    def rings(self, peer: Peer) -> RingSet:
        """Raises ChannelError, BadRings."""
        return unpacked(self.body_of(peer, "GET", "/v1/rings", timeout_s=PUSH_S, answer_max=BYTES_MAX))[1]

    def facts(self, peer: Peer, timeout_s: float = ASK_S) -> ClusterFacts:
        """Raises ChannelError, BadFields."""
        return parsed_facts(self.body_of(peer, "GET", "/v1/facts", timeout_s=timeout_s))

    def push_all(self, peer: Peer, *, is_forced: bool) -> ClusterFacts:
        """Have the holder bring its rings to every node now; is_forced: also over files that came by hand."""
        body = json.dumps({"is_forced": is_forced}).encode()
        return parsed_facts(self.body_of(peer, "POST", "/v1/push", body, timeout_s=PLAN_S))

    def new_token(self, peer: Peer) -> str:
        body = self.body_of(peer, "POST", "/v1/tokens", timeout_s=ASK_S)
        return Fields.parse(body, "token").text("token")

    def pause(self, peer: Peer, *, is_paused: bool) -> None:
        """Whether further steps of changes follow by themselves. The holder asks every node first."""
        self.body_of(peer, "POST", "/v1/steps", json.dumps({"is_paused": is_paused}).encode(), timeout_s=PLAN_S)

    def put_token_key(self, peer: Peer, key: TokenKey) -> None:
        """Have a node's proxy use a key of tokens."""
        self.body_of(peer, "PUT", "/v1/token-key", key.to_json(), timeout_s=self.round_s)

    def rotate_key(self, peer: Peer) -> str:
        """Have the holder replace the cluster's key; how far that is, in words."""
        body = self.body_of(peer, "POST", "/v1/rotate", timeout_s=PLAN_S)
        return Fields.parse(body, "answer").text("text", 4096)

    def change_user(self, peer: Peer, line: UserLine) -> None:
        """Have a node's proxy know a user as given, or no more."""
        self.body_of(peer, "PUT", "/v1/users", line.to_json(), timeout_s=self.round_s)

    def look(self, peer: Peer, held: Sequence[str], new: str) -> Look:
        """At drives of a node: see LocalDrives.look. Raises ChannelError, BadFields."""
        body = json.dumps({"drives": [{"name": name} for name in held], "new": new}).encode()
        answer = self.body_of(peer, "POST", "/v1/drives/look", body, timeout_s=DISK_S)
        return look_of(Fields.parse(answer, f"{peer}: drives"))

    def prepare(self, peer: Peer, drive: str, *, may_have_data: bool) -> None:
        """Have a node make a drive of its ready: see LocalDrives.prepare."""
        body = json.dumps({"drive": drive, "may_have_data": may_have_data}).encode()
        self.body_of(peer, "POST", "/v1/drives/ready", body, timeout_s=DISK_S)

    def take_over(self, peer: Peer, *, is_lost: bool) -> str:
        """Have a node become the holder; what it did, in words."""
        body = json.dumps({"is_lost": is_lost}).encode()
        return Fields.parse(self.body_of(peer, "POST", "/v1/holder", body, timeout_s=PLAN_S), "answer").text("text")


def peer_of(member: Member) -> Peer:
    return Peer(member.ip, member.agent_port, member.fingerprint)


def refusing(peer: Peer, answer: Answer) -> Exception:
    """What an answer that is no success becomes: the holder's own errors where it is one of those."""
    if answer.status == HTTPStatus.CONFLICT:
        return refused(answer.body)
    try:
        return Refusing(peer, answer.status, Fields.parse(answer.body, "answer").text("error", 4096))
    except BadFields:
        return Refusing(peer, answer.status, f"status {answer.status} without a reason")
