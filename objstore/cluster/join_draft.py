"""DIR/.join (0700): what a join keeps of itself while it is under way, so that the same command goes on with it.

join.json (0600): who the node will be (id, addresses, certificate and its key), which token it has shown, and what that
has bought: the cluster's secrets. Written once whole, and again when another token had to be bought with.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from objstore.cluster import members as members_file
from objstore.cluster import node_layout
from objstore.cluster.certificate import Certificate
from objstore.cluster.members import Members
from objstore.cluster.node_layout import Shared
from objstore.cluster.strict_json import BadFields, Fields
from objstore.runtime.fs import Fs

DRAFT = ".join"
STATE = "join.json"


@dataclass(frozen=True, slots=True)
class Begun:
    """Who this node will be, and what the token of that id has bought."""

    node_id: str
    ip: str
    first_port: int
    shared: Shared
    members: Members
    identity: Certificate
    token_id: str = ""


def shared_and_members(fields: Fields) -> tuple[Shared, Members]:
    """What a token buys. Raises BadFields, MembersError."""
    text = fields.long_text("members", members_file.BYTES_MAX)
    return node_layout.shared_of(fields.object("shared")), members_file.parse(text.encode(), "members")


def keep(draft: Path, begun: Begun, fs: Fs) -> None:
    """Durable before this returns. Raises OSError."""
    draft.mkdir(mode=0o700, exist_ok=True)
    fs.replace_file(str(draft / STATE), _text(begun).encode(), 0o600)
    fs.sync_directory(str(draft.parent))


def _text(begun: Begun) -> str:
    return json.dumps(
        {
            "node_id": begun.node_id,
            "ip": begun.ip,
            "first_port": begun.first_port,
            "shared": asdict(begun.shared),
            "members": begun.members.to_json().decode(),
            "certificate": begun.identity.certificate.decode(),
            "private_key": begun.identity.key.decode(),
            "fingerprint": begun.identity.fingerprint,
            "token": begun.token_id,
        }
    )


def resumed(draft: Path) -> Begun | None:
    """A join that broke off after its token was used; None when there is none."""
    try:
        fields = Fields.parse((draft / STATE).read_bytes(), str(draft / STATE))
        shared, members = shared_and_members(fields)
        return Begun(
            fields.hexadecimal("node_id", 8),
            fields.text("ip"),
            fields.number("first_port", 1, 65535),
            shared,
            members,
            Certificate(
                fields.long_text("certificate", 1 << 16).encode(),
                fields.long_text("private_key", 1 << 16).encode(),
                fields.hexadecimal("fingerprint", 32),
            ),
            fields.text("token", 16) if "token" in fields else "",
        )
    except FileNotFoundError:
        return None
    except (OSError, BadFields, members_file.MembersError):
        # It was cut short by the crash that ended it: the token it had is gone with it.
        return None
