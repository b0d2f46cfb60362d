"""The agent of a node: everything the cluster may ask of it, as functions from a body to a body.

agent_app.py decides who may call what and turns errors into answers; here a caller is a member already (or shows a
token, in join()). Calls block on files, other agents and large rings: they are made in native threads.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from objstore.cluster import certificate, token
from objstore.cluster import members as members_file
from objstore.cluster.admission import DRIVES_MAX, Admission, applicant_of
from objstore.cluster.calls import ROUND_S, Calls, TokenKey, UserLine, peer_of, token_key_of, user_line_of
from objstore.cluster.cluster_key import TEXT_MAX, KeyFileError, KeyRing, Phase
from objstore.cluster.cluster_key import parse as parse_key
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.distribution import AtOnce, Distribution
from objstore.cluster.holder import Holder
from objstore.cluster.holder_messages import change_of
from objstore.cluster.local_drives import LocalDrives
from objstore.cluster.member_changes import MemberChanges
from objstore.cluster.members import MembersError
from objstore.cluster.membership import Membership, NotHolder
from objstore.cluster.node_state import ClusterFacts, NodeState, aged, cluster_facts_of, facts_body
from objstore.cluster.ring_install import InstalledRings
from objstore.cluster.ring_pack import packed, unpacked
from objstore.cluster.rotation import Rotation
from objstore.cluster.settled import Settlement
from objstore.cluster.signature import Verifier
from objstore.cluster.steps import Steps
from objstore.cluster.strangers import Strangers
from objstore.cluster.strict_json import BadFields, Fields
from objstore.cluster.succession import Succession
from objstore.cluster.token_store import TokenStore
from objstore.core.errors import DomainError
from objstore.runtime.clock import Clock, SystemClock
from objstore.runtime.fs import Fs
from objstore.runtime.listen import shown

_TICKS_PER_MS = 100
_DISK_CALLS = 2
"""At the same time; the agent has a few threads more than that (cli/agent.py)."""
ChangeUser = Callable[[UserLine], None]
"""Puts a line into the proxy's file, or takes it out. Raises DomainError."""


ChangeTokenKeys = Callable[[TokenKey], None]
"""Puts a key into the proxy's file. Raises DomainError."""


class OutdatedSender(DomainError):
    """Who sent rings or a key is not the holder any more."""


class DisksBusy(DomainError):
    """Enough calls wait for disks already."""


class NodesMissing(DomainError):
    """A change needs every node, and one does not answer."""


class Agent:
    """wake: called when there is something to distribute at once. users, token_keys: of this node's proxy; None: it has
    none."""

    def __init__(
        self,
        directory: ClusterDirectory,
        membership: Membership,
        keys: KeyRing,
        verifier: Verifier,
        calls: Calls,
        at_once: AtOnce,
        fs: Fs,
        clock: Clock,
        wake: Callable[[], None] = lambda: None,
        users: ChangeUser | None = None,
        token_keys: ChangeTokenKeys | None = None,
    ) -> None:
        self.membership = membership
        self.verifier = verifier
        self.wake = wake
        self._users = users
        self._token_keys = token_keys
        self._directory = directory
        self._calls = calls
        self._fs = fs
        self._clock = clock
        self._tokens = TokenStore(directory.etc, fs)
        self._holder = Holder(directory.etc, fs, clock)
        self._installed = InstalledRings(directory.etc, fs)
        self._admission = Admission(directory, membership, self._holder, self._tokens, clock)
        self._changes = MemberChanges(directory.etc, membership, self._holder)
        self._steps = Steps(self._holder, clock, Strangers(directory.etc, at_once, clock.monotonic))
        self._keys = keys
        self._rotation = Rotation(keys, membership.node_id, self._revoke_tokens, lambda: self._admission.is_expecting)
        self._distribution = Distribution(
            membership,
            self._holder,
            self._installed,
            calls,
            at_once,
            clock.monotonic,
            self._settled,
            self._steps.text,
            lambda: keys.current,
        )
        self._succession = Succession(directory.etc, membership, self._holder, self._installed, calls, fs)
        self._changing = threading.Lock()
        self._changing_users = threading.Lock()
        self._settling = threading.Lock()
        self._disk_calls = threading.BoundedSemaphore(_DISK_CALLS)
        self._told: tuple[float, ClusterFacts] | None = None

    # Of the holder

    def round(self) -> bool:
        """The holder's round; nothing on other nodes. True: there is news that nodes asked first have not heard. Raises
        OSError and DomainError of own files."""
        if not self.membership.is_holder:
            return False
        before = self._distribution.problems()
        try:
            has_gone_on = self._go_on(self._distribution.round())
        except NotHolder:  # Somebody took over meanwhile.
            return False
        return has_gone_on or self._distribution.problems() != before

    def _go_on(self, facts: ClusterFacts) -> bool:
        """The next step of a change, or to another key, unless somebody is changing something now: the next round
        comes."""
        if not self._changing.acquire(blocking=False):
            return False
        try:
            members = self.membership.require_holder()
            has_other_key = self._rotation.go_on(members, self._distribution.key_stamps())
            return self._steps.go_on(facts, members.server_addresses()) or has_other_key
        finally:
            self._changing.release()

    def announce(self) -> None:
        """This node is here (again): have the holder make its round now. Raises ChannelError, HolderRefused: nobody
        holds, or somebody else; the next round will come all the same."""
        if not self.membership.is_holder:
            self._calls.announce(peer_of(self.membership.members.holding))

    def greet(self, _: bytes) -> bytes:
        """A node has announced itself."""
        self.membership.require_holder()
        self.wake()
        return b""

    def join(self, body: bytes, address: str) -> bytes:
        """{"id", "secret"} of a token, and "node": who the caller will be → the cluster's secrets. address: of the
        caller."""
        fields = Fields.parse(body, "body")
        # While a key is being replaced both are given: whoever comes then needs no waiting for.
        is_with_one_key = not self._rotation.is_under_way
        shared, members = self._admission.secrets(
            fields.hexadecimal("id", 4), fields.hexadecimal("secret", 16), address
        )
        if is_with_one_key and "node" in fields:
            self._admission.expect(fields.hexadecimal("node", 8))
        return json.dumps({"shared": json.loads(shared.to_json()), "members": members.to_json().decode()}).encode()

    def admit(self, body: bytes) -> bytes:
        """An Applicant → {"members", "name", "key"}: it is a node, and its drives are in the rings."""
        applicant = applicant_of(Fields.parse(body, "body"))
        with self._as_holder():
            members, node = self._admission.admit(applicant)
        self.wake()
        found = {"members": members.to_json().decode(), "name": node.name, "key": self._keys.current.text()}
        return json.dumps(found).encode()

    def new_token(self, _: bytes) -> bytes:
        members = self.membership.require_holder()
        made = token.new(members.holding.fingerprint, shown((members.holding.ip, members.holding.agent_port)))
        self._tokens.add(made, int(self._clock.now().seconds))
        return json.dumps({"token": made.text()}).encode()

    def plan(self, body: bytes) -> bytes:
        change, usage = change_of(Fields.parse(body, "body"))
        return json.dumps(self._changes.plan(change, usage).to_json()).encode()

    def apply(self, body: bytes) -> bytes:
        """→ the rings as they are then; they are on their way to the other nodes."""
        fields = Fields.parse(body, "body")
        (change, usage), version = change_of(fields), fields.number("version")
        with self._as_holder() as members:
            rings = self._changes.apply(change, version, usage)
        self.wake()
        return packed(rings, members.term)

    def version(self, _: bytes) -> bytes:
        self.membership.require_holder()
        return json.dumps({"version": self._holder.version()}).encode()

    def push(self, body: bytes) -> bytes:
        """{"is_forced"}: whether also over files that came by hand. Commands of an older release send nothing, and mean
        that."""
        self.membership.require_holder()
        is_forced = Fields.parse(body, "body").truth("is_forced") if body else True
        return facts_body(self._distribution.round(is_forced=is_forced))

    def pause(self, body: bytes) -> bytes:
        """{"is_paused"}: whether further steps of changes wait until this is said otherwise."""
        is_paused = Fields.parse(body, "body").truth("is_paused")
        with self._as_holder():
            self._holder.pause(is_paused)
        self.wake()
        return b""

    def rotate_key(self, _: bytes) -> bytes:
        """Have all members sign with another key. Refused while one does not answer: it could not follow."""
        with self._as_holder() as members:
            silent = self._distribution.silent()
            if silent and not self._rotation.is_under_way:
                raise NodesMissing(
                    f"{'; '.join(silent)}: every node must have the new key before the old one goes: start it, or take "
                    "it out with: objstore node remove DIR NODE --lost"
                )
            self._rotation.begin(self._distribution.key_stamps())
            for _step in Phase:
                # Each round brings the state there is now, and hears who has it.
                self._distribution.round()
                if not self._rotation.go_on(members, self._distribution.key_stamps()):
                    break
            lagging = self._rotation.lagging(members, self._distribution.key_stamps())
        self.wake()
        return json.dumps({"text": self._key_text(lagging)}).encode()

    def _revoke_tokens(self) -> None:
        """Whoever had the old key may have asked for some."""
        self._tokens.revoke(int(self._clock.now().seconds))

    def _key_text(self, lagging: Sequence[str]) -> str:
        key = self._keys.current
        if self._rotation.is_under_way:
            return (
                f"the new key (generation {key.generation}) is on its way; "
                f"{', '.join(lagging) or 'a machine that joins'} has not confirmed it yet: the old one is good until "
                "then, and the holder goes on by itself"
            )
        still = f"; {', '.join(lagging)} accepts the old one until the holder reaches it" if lagging else ""
        return (
            f"all nodes sign with the new key (generation {key.generation}), and the old one is forgotten, with the "
            f"join tokens that were given out{still}"
        )

    def hand_over(self, body: bytes) -> bytes:
        to = Fields.parse(body, "body").hexadecimal("to", 8)
        with self._changing:
            answer = self._succession.hand_over(to)
        return answer

    # Of every node

    def take_over(self, body: bytes) -> bytes:
        is_lost = Fields.parse(body, "body").truth("is_lost")
        with self._changing:
            text = self._succession.take_over(is_lost=is_lost)
        self.wake()
        return json.dumps({"text": text}).encode()

    def hear(self, body: bytes) -> bytes:
        """The holder's round arrives: what it knows → our state."""
        facts = cluster_facts_of(Fields.parse(body, "body"))
        self._told = self._clock.monotonic(), facts
        members = self.membership.members
        stamp = self._keys.current.stamp
        state = NodeState(members.stamp, members.holder, self._installed.state(), self._settled(), stamp)
        return json.dumps(state.to_json()).encode()

    def facts(self, _: bytes) -> bytes:
        """What is known of all nodes: by the holder itself, or as the holder said last."""
        if self.membership.is_holder:
            return facts_body(self._distribution.facts())
        if self._told is None:
            return facts_body(ClusterFacts(self.membership.members.holding.name, 0, {}, (), (), 0.0))
        since_s, facts = self._told
        return facts_body(aged(facts, self._clock.monotonic() - since_s))

    def members(self, _: bytes) -> bytes:
        return self.membership.members.to_json()

    def adopt_members(self, body: bytes) -> bytes:
        self.membership.adopt(members_file.parse(body))
        return b""

    def adopt_key(self, body: bytes) -> bytes:
        """{"term", "key"}: the cluster's key, from the holder of that term."""
        fields = Fields.parse(body, "body")
        term = fields.number("term")
        members = self.membership.members
        if term < members.term or self.membership.is_holder:
            raise OutdatedSender(
                f"a key of term {term} is refused: in term {members.term}, {members.holding.name} holds the rings"
            )
        try:
            self._keys.adopt(parse_key(fields.long_text("key", TEXT_MAX), "key"))
        except KeyFileError as error:
            raise BadFields(str(error)) from None
        return b""

    def change_user(self, body: bytes) -> bytes:
        """{"account", "user", "value"}: a line of the proxy's users, as calls.UserLine has it."""
        line = user_line_of(Fields.parse(body, "body"))
        if self._users is not None:
            with self._changing_users:
                self._users(line)
        return b""

    def look(self, body: bytes) -> bytes:
        """{"drives": [{"name"}], "new": name or ""} of this node → a Look."""
        fields = Fields.parse(body, "body")
        held = [each.text("name", 255) for each in fields.objects("drives", DRIVES_MAX)]
        with self._at_disks():
            return json.dumps(self._drives.look(held, fields.text("new", 255)).to_json()).encode()

    def prepare(self, body: bytes) -> bytes:
        """{"drive", "may_have_data"}: a drive of this node is ready for the rings to name it."""
        fields = Fields.parse(body, "body")
        with self._at_disks():
            self._drives.prepare(fields.text("drive", 255), may_have_data=fields.truth("may_have_data"))
        return b""

    def _settled(self) -> int:
        """Asked with every round: while one look hangs at a disk, the others say that there is no evidence."""
        me = self.membership.me
        if me is None or not self._settling.acquire(blocking=False):
            return 0
        try:
            return Settlement(self._directory, me.name, self._fs, self._clock).version()
        finally:
            self._settling.release()

    @contextmanager
    def _at_disks(self) -> Iterator[None]:
        """A disk that hangs keeps whoever looks at it: that must not be every thread of the agent. Raises DisksBusy."""
        if not self._disk_calls.acquire(blocking=False):
            raise DisksBusy("the drives of this node are being looked at for others: a disk may hang; try again")
        try:
            yield
        finally:
            self._disk_calls.release()

    @property
    def _drives(self) -> LocalDrives:
        """Raises MembersError."""
        me = self.membership.me
        if me is None:
            raise MembersError("this node is not among the members any more")
        return LocalDrives(self._directory, me.name)

    def put_token_key(self, body: bytes) -> bytes:
        """A key of the proxy's tokens, as calls.TokenKey has it."""
        key = token_key_of(Fields.parse(body, "body"))
        if self._token_keys is not None:
            with self._changing_users:
                self._token_keys(key)
        return b""

    def rings(self, _: bytes) -> bytes:
        """The rings of this node. Raises RingsRefused when they are not whole."""
        if self.membership.is_holder:
            return packed(self._holder.rings(), self.membership.members.term)
        return packed(self._installed.ring_set(), self.membership.members.term)

    def install(self, body: bytes) -> bytes:
        return self._install(body, is_forced=False)

    def install_by_force(self, body: bytes) -> bytes:
        return self._install(body, is_forced=True)

    def _install(self, body: bytes, *, is_forced: bool) -> bytes:
        term, rings = unpacked(body)
        members = self.membership.members
        if term < members.term or self.membership.is_holder:
            raise OutdatedSender(
                f"rings of term {term} are refused: in term {members.term}, {members.holding.name} holds them"
            )
        self._installed.install(rings, is_forced=is_forced)
        return b""

    @contextmanager
    def _as_holder(self) -> Iterator[members_file.Members]:
        """One change at a time, after a round: a holder that was away may have been replaced, and learns it from the
        others. Raises NotHolder."""
        with self._changing:
            self._distribution.round()
            yield self.membership.require_holder()


def opened(
    directory: ClusterDirectory,
    at_once: AtOnce,
    *,
    fs: Fs | None = None,
    clock: Clock | None = None,
    wake: Callable[[], None] = lambda: None,
    round_s: float = ROUND_S,
    users: ChangeUser | None = None,
    token_keys: ChangeTokenKeys | None = None,
) -> Agent:
    """The agent of the node in a directory. round_s: for each exchange of a round. The others: see Agent. Raises
    MembersError, CertificateError, KeyFileError."""
    etc, fs, clock = directory.etc, fs or Fs(), clock or SystemClock()
    membership, fingerprint = own_membership(etc, fs)
    keys = KeyRing(etc, fs)
    now = clock.now

    def now_ms() -> int:
        return now().ticks // _TICKS_PER_MS

    calls = Calls(keys.signing, membership.node_id, now_ms=now_ms, round_s=round_s)
    verifier = Verifier(keys.accepted, fingerprint, now_ms)
    return Agent(directory, membership, keys, verifier, calls, at_once, fs, clock, wake, users, token_keys)


def own_membership(etc: Path, fs: Fs) -> tuple[Membership, str]:
    """Which of the members the node in a directory is, and its fingerprint. Raises MembersError, CertificateError."""
    members = members_file.read(etc)
    if members is None:
        raise MembersError(
            f"{etc / members_file.FILE_NAME}: is missing: this is no node of a cluster of several machines"
        )
    fingerprint = certificate.own_fingerprint(etc)
    me = members.by_fingerprint(fingerprint)
    if me is None:
        raise MembersError(
            f"{etc / members_file.FILE_NAME}: this node is not (or no more) among the members; to have it join again, "
            "empty its drives, remove the directory and use: objstore join"
        )
    return Membership(etc, me.id, fs, members), fingerprint
