"""Another node becomes the holder: handed over by the one before, or taken from one that is lost.

Handed over: the old holder steps down first, durably, and gives its builders away afterwards, as often as it is asked;
so there is never a moment with two. Taken over: somebody says that the old holder is gone for good. Builders are then
made from the newest rings that any node has, and their version jumps, so that whatever the lost holder may have changed
last is older than anything this one will.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

from objstore.cluster.calls import PUSH_S, Calls, peer_of
from objstore.cluster.channel import ChannelError, Peer
from objstore.cluster.holder import Holder
from objstore.cluster.members import Members, MembersError
from objstore.cluster.members import parse as parse_members
from objstore.cluster.membership import Membership, NotHolder
from objstore.cluster.ring_install import InstalledRings, RingsRefused
from objstore.cluster.ring_manifest import BUILDER_SUFFIX, FILE_MODE, FILE_NAME, Manifest, is_ring_name, read_manifest
from objstore.cluster.ring_pack import BYTES_MAX
from objstore.cluster.strict_json import BadFields, Fields
from objstore.core.errors import DomainError
from objstore.ring.builder_file import load_builder
from objstore.runtime.fs import Fs

TAKEN_OVER_JUMP = 1_000_000
"""More changes than the lost holder can have made without any other node hearing of one."""
_BUILDERS_MAX = 200
_log = logging.getLogger("objstore.agent")


class HolderSilent(DomainError):
    """The holder was asked to hand over and gives no answer."""


class Succession:
    """Of one agent, on either side."""

    def __init__(
        self, etc: Path, membership: Membership, holder: Holder, installed: InstalledRings, calls: Calls, fs: Fs
    ) -> None:
        self._etc = etc
        self._membership = membership
        self._holder = holder
        self._installed = installed
        self._calls = calls
        self._fs = fs

    # The old holder

    def hand_over(self, to: str) -> bytes:
        """Step down for another node, and give it everything. Raises NotHolder when somebody else was meant to
        follow, MembersError, and what Holder.rings does."""
        members = self._membership.members
        if members.holder != to:
            self._membership.require_holder()
            # Files in order before the last moment in which this node may still put them in order.
            self._holder.rings()
            members = self._membership.change(lambda now: now.held_by(to))
            _log.info("handed the ring builders over to node=%s term=%d", members.holding.name, members.term)
        files = [*self._etc.glob(f"*{BUILDER_SUFFIX}"), *self._etc.glob("*.ring.gz"), self._etc / FILE_NAME]
        content = {path.name: base64.b64encode(path.read_bytes()).decode() for path in sorted(files)}
        return json.dumps({"members": members.to_json().decode(), "files": content}).encode()

    # The new one

    def take_over(self, *, is_lost: bool) -> str:
        """Become the holder; says how. is_lost: the old one will not come back. Raises HolderSilent, NotHolder,
        DomainError, OSError; then nothing has changed, or it can be repeated."""
        if self._membership.is_holder:
            return self._confirm() if is_lost else "this node holds the ring builders already"
        before = self._membership.members.holding
        if is_lost:
            self._require_lost()
            return self._rebuild(before.name)
        peer = peer_of(before)
        answer = self._ask_for_hand_over(before.name, peer)
        members, files = _handed_over(answer, f"{peer}: handover")
        if members.holder != self._membership.node_id:
            raise NotHolder(f"{before.name} has handed the builders to {members.holding.name}")
        # Before anything is replaced: whether they may be believed at all.
        self._membership.is_news(members)
        self._write(files)
        self._membership.adopt(members)
        return f"the ring builders came from {before.name}"

    def _ask_for_hand_over(self, name: str, peer: Peer) -> bytes:
        body = json.dumps({"to": self._membership.node_id}).encode()
        try:
            return self._calls.body_of(peer, "POST", "/v1/handover", body, timeout_s=PUSH_S, answer_max=2 * BYTES_MAX)
        except ChannelError as error:
            raise HolderSilent(
                f"{name} did not hand over ({error}): start it and try again, or, when it is gone for good: "
                "objstore node holder DIR --lost"
            ) from None

    def _require_lost(self) -> None:
        """A holder that answers is not lost. Raises MembersError."""
        holding = self._membership.members.holding
        try:
            self._calls.members(peer_of(holding))
        except (ChannelError, MembersError):
            return
        raise MembersError(f"{holding.name} answers: have it hand over, without --lost")

    def _confirm(self) -> str:
        """This node is the holder, and somebody else may say the same: from now on it is in a later term, with newer
        rings than any other can have made."""
        self._holder.rings()
        self._jump()
        members = self._membership.take_over()
        _log.warning("holds the ring builders whatever others say, term=%d", members.term)
        return f"this node holds the ring builders, now in term {members.term}: who said the same steps down"

    def _jump(self) -> None:
        manifest = read_manifest(self._etc, self._fs) or Manifest()
        jumped = replace(manifest, version=manifest.version + TAKEN_OVER_JUMP)
        self._fs.replace_file(str(self._etc / FILE_NAME), jumped.to_bytes(), FILE_MODE)

    def _rebuild(self, lost: str) -> str:
        source = self._fetch_newest()
        self._jump()
        rings = self._holder.rebuild_from_rings()
        self._membership.take_over()
        _log.warning("took the ring builders over from lost node=%s rings=%d", lost, rings.version)
        return f"builders were made from the rings of {source}; {lost} has lost its part when it comes back"

    def _fetch_newest(self) -> str:
        """Install the newest rings of any node that answers; whose they are. A node with newer members stops this."""
        members = self._membership.members
        newest, source = self._installed.state().version, "this node"
        others = [node for node in members.nodes if node.id not in (self._membership.node_id, members.holder)]
        for node in others:
            try:
                theirs = self._calls.members(peer_of(node))
                rings = self._calls.rings(peer_of(node))
            except DomainError as error:
                _log.warning("node=%s is not asked for its rings: %s", node.name, error)
                continue
            if theirs.stamp > members.stamp:
                self._membership.adopt(theirs)
                raise MembersError(f"{node.name} knows newer members, with {theirs.holding.name} as holder: look again")
            if rings.version > newest:
                try:
                    self._installed.install(rings)
                except RingsRefused as error:
                    raise MembersError(
                        f"{node.name} has newer rings, which cannot be installed here: {error}"
                    ) from None
                newest, source = rings.version, node.name
        return source

    def _write(self, files: dict[str, bytes]) -> None:
        """Builders are read before they take their place, rings and the manifest come last; a crash in between is
        repeated by asking again."""
        order = sorted(files, key=lambda name: (name == FILE_NAME, not name.endswith(BUILDER_SUFFIX), name))
        for name in order:
            if name.endswith(BUILDER_SUFFIX):
                self._write_builder(name, files[name])
            else:
                self._fs.replace_file(str(self._etc / name), files[name], FILE_MODE)

    def _write_builder(self, name: str, data: bytes) -> None:
        fd, draft = self._fs.open_temporary(str(self._etc), prefix=f".{name}.")
        try:
            self._fs.write(fd, data)
            load_builder(draft)
        finally:
            os.close(fd)
            self._fs.unlink(draft)
        self._fs.replace_file(str(self._etc / name), data, FILE_MODE)


def _handed_over(body: bytes, what: str) -> tuple[Members, dict[str, bytes]]:
    """Raises BadFields, MembersError."""
    fields = Fields.parse(body, what)
    files = fields.object("files")
    found = {}
    for name in files.names(_BUILDERS_MAX):
        stem = name.removesuffix(BUILDER_SUFFIX) + (".ring.gz" if name.endswith(BUILDER_SUFFIX) else "")
        if name != FILE_NAME and not is_ring_name(stem):
            raise BadFields(f"{what}: {name!r:.80} is no name of a ring or builder")
        try:
            found[name] = base64.b64decode(files.long_text(name, 2 * BYTES_MAX), validate=True)
        except ValueError:
            raise BadFields(f"{what}: {name} is damaged") from None
    return parse_members(fields.long_text("members", 1 << 20).encode(), f"{what}: members"), found
