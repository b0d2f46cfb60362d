"""`objstore join`: a machine becomes a node of a cluster, by a token and its own drives.

    1. drives, addresses and ports are looked at; nothing has been sent
    2. the token is shown, inside TLS pinned to the fingerprint in it; the cluster's secrets come back and are kept in
       DIR/.join (0700), with the identity this node will have
    3. drives are compared with the secrets: data of another cluster is refused
    4. the holder, asked with the cluster's key now, writes the node into members and rings
    5. the rings are fetched, DIR/.join becomes DIR/etc by one rename

Until 2 nothing is anywhere. From then on the token is used up, but DIR/.join goes on without it: the same command, run
again, continues, and the holder does nothing twice. When the cluster's key was replaced between 2 and 4, what was
bought is no good any more: another token, given to the same command, buys it anew for the same node.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from objstore.cluster import certificate, drive_weights, node_layout
from objstore.cluster import members as members_file
from objstore.cluster.admission import Applicant
from objstore.cluster.calls import PLAN_S, Calls, Refusing, refusing
from objstore.cluster.channel import Peer, exchange
from objstore.cluster.cluster_key import KEY_FILE, TEXT_MAX
from objstore.cluster.cluster_key import parse as parse_key
from objstore.cluster.directory import STORAGE_KINDS, ClusterDirectory
from objstore.cluster.drives import Drives, check_data
from objstore.cluster.first_node import AGENT_PORT, new_id
from objstore.cluster.init import InitError, check_directory, free_port
from objstore.cluster.join_draft import DRAFT, STATE, Begun, keep, resumed, shared_and_members
from objstore.cluster.members import Member, Members
from objstore.cluster.node_layout import Proxy, Shared
from objstore.cluster.ring_install import InstalledRings
from objstore.cluster.strict_json import BadFields, Fields
from objstore.cluster.token import Token
from objstore.config.cluster import load_cluster
from objstore.http.status import HTTPStatus, is_success
from objstore.runtime.fs import Fs
from objstore.runtime.listen import is_free, shown

_JOIN_S = 30.0
_ANSWER_MAX = 8 << 20


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """What was asked for. ip: "" is the address by which the holder is reached. proxy_port: None is no proxy, 0 any
    free port. proxy_ip: "" is the node's. name: "" is the next free one. weight: of each drive; None: as this cluster
    weighs them."""

    host: str
    port: int
    zone: str
    drives: Drives
    ip: str = ""
    name: str = ""
    agent_port: int = AGENT_PORT
    base_port: int = 6200
    proxy_ip: str = ""
    proxy_port: int | None = 8080
    proxy_workers: str = "2"
    weight: int | None = None


class JoinError(InitError):
    """The machine has not become a node; what to do is part of the text."""


class KeyReplaced(JoinError):
    """What the token has bought is no good any more."""


def join(
    directory: ClusterDirectory, plan: JoinPlan, token: Token | None, fs: Fs, say: Callable[[str], None]
) -> Member:
    """Make this machine a node; returns what it is. token: None continues a join that broke off. Raises JoinError,
    DriveError, MembersError, ChannelError; say: what happens, line by line."""
    assert not directory.exists, "never overwrite a cluster"
    check_directory(directory.root, fs)
    members_file.checked_zone(plan.zone)
    draft = directory.root / DRAFT
    begun = resumed(draft)
    if begun is None:
        begun = _began(draft, plan, token, fs)
        say("the cluster's secrets have arrived")
    else:
        say("going on with the join that broke off before; its token is not needed again")
    write = _Writing(directory, draft, plan, begun, fs)
    try:
        node, members = write.admitted()
    except KeyReplaced:
        if token is None or token.id == begun.token_id:
            raise
        begun = _renewed(draft, plan, token, begun, fs)
        say("the cluster's key was replaced since that join began; its secrets have arrived anew")
        write = _Writing(directory, draft, plan, begun, fs)
        node, members = write.admitted()
    say(f"this is node {node.name} of zone {node.zone} now; its drives weigh {_shown(write.weights)}")
    write.files(node, members)
    return node


def _shown(weights: dict[str, int]) -> str:
    return ", ".join(f"{weight} ({name})" for name, weight in weights.items())


def _began(draft: Path, plan: JoinPlan, token: Token | None, fs: Fs) -> Begun:
    if token is None:
        raise JoinError("--token is missing: get one on a node of the cluster with: objstore node token DIR")
    peer = Peer(plan.host, plan.port, token.fingerprint)
    ip = plan.ip or _address_towards(peer)
    _require_local(ip, plan)
    first_port = node_layout.free_ports(ip, plan.base_port)
    node_id, identity = new_id(), certificate.new()
    shared, members = _bought(peer, token, node_id)
    begun = Begun(node_id, ip, first_port, shared, members, identity, token.id)
    shutil.rmtree(draft, ignore_errors=True)
    keep(draft, begun, fs)
    return begun


def _renewed(draft: Path, plan: JoinPlan, token: Token, begun: Begun, fs: Fs) -> Begun:
    """The same node, with what another token buys: the holder may know it already."""
    shared, members = _bought(Peer(plan.host, plan.port, token.fingerprint), token, begun.node_id)
    renewed = replace(begun, shared=shared, members=members, token_id=token.id)
    keep(draft, renewed, fs)
    return renewed


def _address_towards(peer: Peer) -> str:
    """Ours, as connections to the holder have it."""
    answer = exchange(peer, "GET", "/healthcheck", {}, b"", timeout_s=_JOIN_S)
    return str(ipaddress.ip_address(answer.local_ip.partition("%")[0]))


def _require_local(ip: str, plan: JoinPlan) -> None:
    """Raises JoinError."""
    if not is_free((ip, plan.agent_port)):
        raise JoinError(
            f"{shown((ip, plan.agent_port))}: somebody else listens there, or it is no address of this machine; give "
            "another with --ip or --agent-port"
        )
    if plan.proxy_port:
        address = (plan.proxy_ip or ip, plan.proxy_port)
        if not is_free(address):
            raise JoinError(
                f"{shown(address)}: somebody else listens there; give the proxy another port with --port, or none with "
                "--no-proxy"
            )


def _bought(peer: Peer, token: Token, node_id: str) -> tuple[Shared, Members]:
    body = json.dumps({"id": token.id, "secret": token.secret, "node": node_id}).encode()
    answer = exchange(peer, "POST", "/v1/join", {}, body, timeout_s=_JOIN_S, answer_max=_ANSWER_MAX)
    if not is_success(answer.status):
        raise JoinError(str(refusing(peer, answer)))
    try:
        return shared_and_members(Fields.parse(answer.body, f"{peer}: answer"))
    except BadFields as error:
        raise JoinError(f"{error}; the token is used up: get another with: objstore node token DIR") from None


class _Writing:
    """Steps 3 to 5."""

    def __init__(self, directory: ClusterDirectory, draft: Path, plan: JoinPlan, begun: Begun, fs: Fs) -> None:
        self._directory = directory
        self._draft = draft
        self._plan = plan
        self._begun = begun
        self._fs = fs
        self._key = parse_key(begun.shared.key, "key")
        self._signing = self._key.signing
        self._calls = Calls(lambda: self._signing, begun.node_id)

    @property
    def _holder(self) -> Peer:
        """By the address that was given: the one in the members file may not be reachable from here. Where a join goes
        on, that may be another node than the one that gave the token."""
        host, port, members = self._plan.host, self._plan.port, self._begun.members
        named = next((node for node in members.nodes if (node.ip, node.agent_port) == (host, port)), members.holding)
        return Peer(host, port, named.fingerprint)

    @property
    def weights(self) -> dict[str, int]:
        """Raises OSError."""
        is_by_size = self._begun.members.weights_by_size
        weights = drive_weights.of(self._plan.drives.paths, self._plan.weight, is_by_size=is_by_size)
        return {name: int(weight) for name, weight in weights.items()}

    def admitted(self) -> tuple[Member, Members]:
        self._clear()
        node_layout.write_shared(self._draft, self._begun.shared)
        check_data(self._plan.drives, load_cluster(self._draft).secrets)
        begun, plan = self._begun, self._plan
        applicant = Applicant(
            begun.node_id,
            plan.name,
            plan.zone,
            begun.ip,
            plan.agent_port,
            begun.identity.fingerprint,
            {kind: begun.first_port + offset for offset, kind in enumerate(STORAGE_KINDS)},
            self.weights,
        )
        fields = self._asked(applicant)
        self._take_over_key(fields)
        members = members_file.parse(fields.long_text("members", members_file.BYTES_MAX).encode())
        node = members.by_id(begun.node_id)
        if node is None:
            raise JoinError(f"{self._holder}: did not write this node into the members; run the same command again")
        return node, members

    def _asked(self, applicant: Applicant) -> Fields:
        """The holder's answer, by whichever key it takes: it may be replacing one by the other. Raises KeyReplaced."""
        for key in self._key.accepted:
            self._signing = key
            try:
                body = self._calls.body_of(self._holder, "POST", "/v1/nodes", applicant.to_json(), timeout_s=PLAN_S)
            except Refusing as error:
                if error.status != HTTPStatus.FORBIDDEN:
                    raise
            else:
                return Fields.parse(body, f"{self._holder}: answer")
        raise KeyReplaced(
            "the cluster's key was replaced since this join began (objstore node rotate-key), so what its token bought "
            "is no good any more: get another with objstore node token DIR, on a node of the cluster, and run the "
            "same command with that"
        )

    def _take_over_key(self, fields: Fields) -> None:
        """What members sign with by now: the holder could not bring it to who knows the one before only."""
        if "key" not in fields:  # A holder of an older release.
            return
        key = parse_key(fields.long_text("key", TEXT_MAX), "key")
        if key.stamp > self._key.stamp:
            self._fs.replace_file(str(self._draft / KEY_FILE), f"{key.text()}\n".encode(), 0o600)
            self._key, self._signing = key, key.signing

    def files(self, node: Member, members: Members) -> None:
        draft, begun, plan = self._draft, self._begun, self._plan
        rings = self._calls.rings(self._holder)
        InstalledRings(draft, self._fs).install(rings)
        node_layout.write_identity(draft, begun.identity)
        node_layout.write_node(draft, node, members, plan.drives)
        if plan.proxy_port is not None:
            ip = plan.proxy_ip or node.ip
            proxy = Proxy(ip, plan.proxy_port or free_port(ip), plan.proxy_workers)
            node_layout.write_proxy(draft, proxy, begun.shared)
        members_file.write(draft, members, self._fs)
        draft.chmod(0o755)
        self._fs.rename_durable(str(draft), str(self._directory.etc))
        # Only now: without it a join that breaks off could not go on.
        self._fs.unlink(str(self._directory.etc / STATE))

    def _clear(self) -> None:
        """What an earlier attempt left, but for its state."""
        for entry in os.scandir(self._draft):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif entry.name != STATE:
                os.unlink(entry.path)
