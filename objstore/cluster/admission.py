"""A machine becomes a node: what the holder does for one that has shown a join token.

In two steps. The token buys the cluster's secrets: it is used up, durably, before they are sent. With them the new node
checks its drives and comes back, now as somebody who has the cluster's key, to be written into the members and to have
its drives in the rings; that step may be repeated as often as it takes.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from objstore.cluster import members as members_file
from objstore.cluster.changes import AddDrives, NewDrive, NodeAddress
from objstore.cluster.device_changes import ChangeRefused
from objstore.cluster.directory import STORAGE_KINDS, ClusterDirectory
from objstore.cluster.drive_weights import WEIGHT_MAX
from objstore.cluster.holder import Holder, VersionConflict
from objstore.cluster.members import Member, Members
from objstore.cluster.membership import Membership
from objstore.cluster.node_layout import Shared, shared_in
from objstore.cluster.strict_json import BadFields, Fields
from objstore.cluster.token_store import TokenRefused, TokenStore
from objstore.core.errors import DomainError
from objstore.ring.fileformat import load
from objstore.runtime.clock import Clock
from objstore.runtime.devices import is_safe_name

DRIVES_MAX = 1000
_ATTEMPTS = 5
_WRONG_MAX = 10
"""Refused tokens of one address, in _FORGOTTEN_S, after which it is not listened to."""
_FORGOTTEN_S = 600.0
_ADDRESSES_MAX = 4096
_EXPECTED_S = 60.0
"""For so long after it has bought the secrets a machine is expected to ask, with them, to be a node."""
_log = logging.getLogger("objstore.agent")


class TooManyGuesses(DomainError):
    """An address has shown too many wrong tokens."""


@dataclass(frozen=True, slots=True)
class Applicant:
    """A node that wants to be one. name: "" for the next free one. drives: name → weight."""

    id: str
    name: str
    zone: str
    ip: str
    agent_port: int
    fingerprint: str
    ports: dict[str, int]
    drives: dict[str, int]

    def to_json(self) -> bytes:
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps(fields).encode()


def applicant_of(fields: Fields) -> Applicant:
    """Raises BadFields, MembersError."""
    drives = fields.object("drives")
    weights = {name: drives.number(name, 1, WEIGHT_MAX) for name in drives.names(DRIVES_MAX)}
    unsafe = next((name for name in weights if not is_safe_name(name)), None)
    if unsafe is not None or not weights:
        raise BadFields(f"drives: expected names of devices, letters, digits and any of _.-~, got {unsafe!r:.80}")
    return Applicant(
        id=fields.hexadecimal("id", 8),
        name=members_file.checked_name(fields.text("name", 32)) if fields.text("name", 32) else "",
        zone=members_file.checked_zone(fields.text("zone", 32)),
        ip=members_file.ip_of(fields),
        agent_port=fields.number("agent_port", 1, 65535),
        fingerprint=fields.hexadecimal("fingerprint", 32),
        ports=members_file.ports_of(fields),
        drives=weights,
    )


class Admission:
    """Of the holder's agent."""

    def __init__(
        self, directory: ClusterDirectory, membership: Membership, holder: Holder, tokens: TokenStore, clock: Clock
    ) -> None:
        self._directory = directory
        self._membership = membership
        self._holder = holder
        self._tokens = tokens
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._expected: dict[str, float] = {}

    def secrets(self, token_id: str, secret: str, address: str) -> tuple[Shared, Members]:
        """What a right token buys, once. address: of whoever shows it. Raises TokenRefused, TooManyGuesses,
        NotHolder, and OSError or ConfigError of our own files."""
        members = self._membership.require_holder()
        now_s = self._clock.monotonic()
        count, since_s = self._wrong.get(address, (0, now_s))
        if now_s - since_s > _FORGOTTEN_S:
            count, since_s = 0, now_s
        if count >= _WRONG_MAX:
            raise TooManyGuesses(f"too many wrong tokens from {address}: wait {_FORGOTTEN_S / 60:.0f} minutes")
        # Before the token is spent: what cannot be given costs none.
        shared = shared_in(self._directory.etc, self._directory.proxy_conf)
        try:
            self._tokens.redeem(token_id, secret, int(self._clock.now().seconds))
        except TokenRefused as error:
            self._wrong[address] = count + 1, since_s
            self._wrong.move_to_end(address)
            while len(self._wrong) > _ADDRESSES_MAX:
                self._wrong.popitem(last=False)
            _log.warning("join token refused address=%s token=%s reason=%s", address, token_id, error)
            raise
        _log.info("join token used address=%s token=%s", address, token_id)
        return shared, members

    def expect(self, node_id: str) -> None:
        """A machine that has bought the secrets will ask to be this node."""
        now_s = self._clock.monotonic()
        self._expected = {each: at_s for each, at_s in self._expected.items() if now_s - at_s < _EXPECTED_S}
        self._expected[node_id] = now_s

    @property
    def is_expecting(self) -> bool:
        now_s = self._clock.monotonic()
        return any(now_s - at_s < _EXPECTED_S for at_s in list(self._expected.values()))

    def admit(self, applicant: Applicant) -> tuple[Members, Member]:
        """Write a node into members and rings; again without effect. Raises NotHolder, MembersError, ChangeRefused,
        and what Holder does."""
        members = self._membership.require_holder()
        node = _member(applicant, members)
        # What the rings would refuse is refused before the node is anywhere.
        plan = self._holder.plan(change) if (change := self._drives(applicant, node)) is not None else None
        if plan is not None and plan.refusals:
            raise ChangeRefused(*plan.refusals)
        if members.by_id(node.id) != node:
            members = self._membership.change(lambda now: now.joined_by(node))
            _log.info("node joined name=%s ip=%s zone=%s", node.name, node.ip, node.zone)
        self._add_drives(applicant, node)
        self._expected.pop(node.id, None)
        return self._membership.members, node

    def _add_drives(self, applicant: Applicant, node: Member) -> None:
        for attempt in range(_ATTEMPTS):
            change = self._drives(applicant, node)
            if change is None:
                return
            try:
                rings = self._holder.apply(change, self._holder.version())
            except VersionConflict:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                _log.info("drives added node=%s count=%d rings=%d", node.name, len(change.drives), rings.version)

    def _drives(self, applicant: Applicant, node: Member) -> AddDrives | None:
        """Those that are in no ring yet; None when all are."""
        present = {
            device.device
            for device in load(self._directory.etc / "account.ring.gz").devices
            if device is not None and (device.ip, device.port) == (node.ip, node.ports["account"])
        }
        new = tuple(NewDrive(name, float(weight)) for name, weight in applicant.drives.items() if name not in present)
        return AddDrives(address_of(node), node.zone_number, new) if new else None


def address_of(node: Member) -> NodeAddress:
    """As changes name a node."""
    return NodeAddress(node.name, node.ip, *(node.ports[kind] for kind in STORAGE_KINDS))


def _member(applicant: Applicant, members: Members) -> Member:
    known = members.by_id(applicant.id)
    if known is not None and known.fingerprint != applicant.fingerprint:
        raise members_file.MembersError(
            f"node id {applicant.id} belongs to {known.name}, which has another certificate"
        )
    name = known.name if known is not None else applicant.name or members_file.free_name(members)
    node = Member(
        applicant.id,
        name,
        applicant.zone,
        members_file.zone_number(applicant.zone, members.nodes),
        applicant.ip,
        applicant.agent_port,
        applicant.fingerprint,
        applicant.ports,
    )
    members.joined_by(node)
    return node
