"""rsyncd.conf: which directories of a node other nodes' replicators may bring files into, and nothing else.

    [object_6200]       the object server at port 6200: its devices' objects and objects-N directories
    [container_6201]    the container server: its devices' tmp directories, where databases arrive
    [account_6202]      the account server, likewise

Modules can be written to, but not read or listed; nothing can be deleted or overwritten in place; symbolic links that
somebody sends are made harmless. `objstore up` writes the file anew at every start and runs one rsync daemon on
loopback for all nodes of a directory; on a machine of its own rsync is the system's service (etc/rsyncd.conf-sample).
Source: formats 6.8; rsyncd.conf(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from objstore.cluster.servers import ServerFile

FILE_NAME = "rsyncd.conf"
_OURS = re.compile(r"rsync://(?P<ip>127\.0\.0\.1|\{replication_ip\}):(?P<port>[0-9]{1,5})/")
_FILTERS = {
    # Nobody brings digests or locks: those are made where they are.
    "object": "- /*/*/*/hashes.* - /*/*/*/.lock* + /*/ + /*/objects/*** + /*/objects-*/*** - *",
    "container": "+ /*/ + /*/tmp/*** - *",
    "account": "+ /*/ + /*/tmp/*** - *",
}
_MAX_CONNECTIONS = 8
_HEAD = """\
# {title}
# Every module can be written to by the replicators of other nodes, and by nobody be read or listed.
address = {ip}
port = {port}
use chroot = no
munge symlinks = yes
numeric ids = yes
reverse lookup = no
hosts allow = {hosts}
read only = no
write only = yes
list = no
max connections = {connections}
timeout = 900
refuse options = delete* remove-source-files inplace append append-verify partial* copy-links devices specials
"""
_OWNER = """\
uid = {uid}
gid = {gid}
"""
_MODULE = """
[{name}]
path = {path}
lock file = {lock}
filter = {filter}
"""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the rsync daemon of a directory listens."""

    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class Module:
    """name: in the address. kind: of server, whose files may come. path: the directory that holds the devices."""

    name: str
    kind: str
    path: str


def listening(servers: Iterable[ServerFile], *, is_of_several: bool = False) -> Listening | None:
    """What the files of a directory's servers say about it: the loopback port in rsync_module of a replicator; None
    when none names one, as in directories that are older than this. is_of_several: the directory is one node among
    others, and where a template has every node's own address, it is this node's."""
    for server in servers:
        for section, entries in server.ini.sections.items():
            entry = entries.get("rsync_module") if section.endswith("-replicator") else None
            matched = _OURS.match(entry.value.strip()) if entry is not None else None
            if matched is None or int(matched["port"]) > 65535:
                continue
            if matched["ip"].startswith("127."):
                return Listening(matched["ip"], int(matched["port"]))
            if is_of_several:
                return Listening(server.address[0], int(matched["port"]))
    return None


def modules(servers: Iterable[ServerFile]) -> list[Module]:
    """One for each storage server, named after its port: nodes of one directory share an address."""
    found = []
    for server in servers:
        kind = server.role.removesuffix("-server")
        if kind in _FILTERS:
            found.append(Module(f"{kind}_{server.address[1]}", kind, os.path.abspath(server.devices)))
    return found


def text(
    where: Listening,
    served: Sequence[Module],
    lock_file: str,
    owner: tuple[int, int] | None,
    others: Iterable[str] = (),
) -> str:
    """The file. owner: (uid, gid) that files get when rsync runs as root. others: addresses and networks besides our
    own that may bring files."""
    parts = [
        _HEAD.format(
            title="Written by objstore up at every start.",
            ip=where.ip,
            port=where.port,
            hosts=" ".join(sorted({where.ip, *others})),
            connections=_MAX_CONNECTIONS * max(1, len(served)),
        )
    ]
    if owner is not None:
        parts.append(_OWNER.format(uid=owner[0], gid=owner[1]))
    parts += [_module(module, lock_file) for module in served]
    return "".join(parts)


def allowed(text: str) -> list[str]:
    """Whom a daemon with that file admits; [] where it does not say, and admits everybody."""
    lines = (line.partition("=") for line in text.splitlines())
    return next((value.split() for name, _, value in lines if name.strip() == "hosts allow"), [])


def sample() -> str:
    """etc/rsyncd.conf-sample: for a machine that is one node."""
    head = _HEAD.format(
        title="rsyncd.conf of a storage node; hosts allow: the addresses of all nodes' replication network.",
        ip="0.0.0.0",
        port=873,
        hosts="10.0.0.0/8",
        connections=_MAX_CONNECTIONS * len(_FILTERS),
    )
    served = [Module(kind, kind, "/srv/node") for kind in _FILTERS]
    owner = "uid = swift\ngid = swift\n"
    return head + owner + "".join(_module(module, "/run/lock/rsync-objstore") for module in served)


def _module(module: Module, lock_file: str) -> str:
    # A lock file of its own: connections are counted per file.
    lock = f"{lock_file}.{module.name}"
    return _MODULE.format(name=module.name, path=module.path, lock=lock, filter=_FILTERS[module.kind])
