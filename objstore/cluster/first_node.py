"""`objstore init DIR --zone Z --drives …`: the first node of a cluster that others will join.

It holds the ring builders until another node takes them over (agent.py). As in init.py, everything is made in a draft
that becomes DIR/etc in one step.
"""

from __future__ import annotations

import secrets
import shutil
import time
from dataclasses import dataclass, replace

from objstore.cluster import certificate, drive_weights, members, node_layout, token
from objstore.cluster.certificate import Certificate
from objstore.cluster.cluster_key import KEY_FILE, ClusterKey, new_key
from objstore.cluster.directory import STORAGE_KINDS, ClusterDirectory
from objstore.cluster.drives import Drives, check_data
from objstore.cluster.ini_text import Admin
from objstore.cluster.init import (
    InitError,
    InitPlan,
    check_directory,
    check_plan,
    check_written,
    first_admin,
    write_new,
    write_rings,
    write_shared,
)
from objstore.cluster.members import Member, Members
from objstore.cluster.new_rings import NewNode
from objstore.cluster.token import Token
from objstore.cluster.token_store import TokenStore
from objstore.config.cluster import load_cluster
from objstore.runtime.fs import Fs
from objstore.runtime.listen import is_free, shown

AGENT_PORT = 6199
_NODE_ID_BYTES = 8
_CLUSTER_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class FirstNode:
    """ip: what other nodes reach it by. rsync_port: of every node of the cluster; 0: the first after its storage
    servers that is free. weight: of each drive; None: by its size."""

    zone: str
    drives: Drives
    ip: str
    agent_port: int = AGENT_PORT
    rsync_port: int = 0
    weight: int | None = None


def initialise(directory: ClusterDirectory, plan: InitPlan, node: FirstNode, fs: Fs) -> tuple[Admin, Token]:
    """Make a cluster of one node; (its first user, a token for the second node). plan.nodes is not looked at. Raises
    InitError, DriveError, MembersError; then nothing is there."""
    assert not directory.exists, "never overwrite a cluster"
    check_directory(directory.root, fs)
    members.checked_zone(node.zone)
    if not is_free((node.ip, node.agent_port)):
        raise InitError(
            f"{shown((node.ip, node.agent_port))}: somebody else listens there, or it is no address of this machine; "
            "give another with --ip or --agent-port"
        )
    check_plan(plan)
    draft = directory.root / ".init"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        admin = first_admin()
        write_shared(draft, plan, admin)
        check_written(draft)
        check_data(node.drives, load_cluster(draft).secrets)
        identity = certificate.new()
        cluster = _members(node, plan, identity)
        write_new(draft / KEY_FILE, ClusterKey(new_key()).text() + "\n", 0o600)
        node_layout.write_identity(draft, identity)
        node_layout.write_node(draft, cluster.holding, cluster, node.drives)
        me = cluster.holding
        weights = drive_weights.of(node.drives.paths, node.weight)
        new = NewNode(me.name, me.zone_number, me.ip, me.ports["object"], node.drives.names, weights)
        write_rings(draft, plan, [new])
        members.write(draft, cluster, fs)
        join_token = token.new(identity.fingerprint, shown((node.ip, node.agent_port)))
        TokenStore(draft, fs).add(join_token, int(time.time()))
        draft.chmod(0o755)
        fs.rename_durable(str(draft), str(directory.etc))
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return admin, join_token


def new_id() -> str:
    """Of a node."""
    return secrets.token_hex(_NODE_ID_BYTES)


def _members(node: FirstNode, plan: InitPlan, identity: Certificate) -> Members:
    first_port = node_layout.free_ports(node.ip, plan.base_port)
    ports = {kind: first_port + offset for offset, kind in enumerate(STORAGE_KINDS)}
    rsync_port = node.rsync_port or node_layout.free_ports(node.ip, first_port + len(STORAGE_KINDS), 1)
    me = Member(
        new_id(),
        "n1",
        node.zone,
        members.zone_number(node.zone, ()),
        node.ip,
        node.agent_port,
        identity.fingerprint,
        ports,
    )
    empty = Members(secrets.token_hex(_CLUSTER_ID_BYTES), 1, 0, me.id, rsync_port, (), weights_by_size=True)
    return replace(empty.joined_by(me), version=1)
