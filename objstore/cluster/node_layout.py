"""DIR/etc of one node among others: its ini files, its identity, and what it shares with the rest of the cluster.

    DIR/etc/cluster.json                     the members                              (members.py)
    DIR/etc/cluster.key                      what agents sign with, 0600              (cluster_key.py)
    DIR/etc/agent.crt, agent.key             who this node is, key 0600               (certificate.py)
    DIR/etc/tokens.json                      of the holder: digests of join tokens    (token_store.py)
    DIR/etc/rings.json, *.ring.gz            the rings                                (ring_manifest.py)

Everything is written into a draft, which its caller renames to DIR/etc as the last step. Used by the first node
(first_node.py) and by every later one (joining.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from objstore.cluster import ini_text
from objstore.cluster.certificate import CERTIFICATE_FILE, KEY_FILE, Certificate
from objstore.cluster.cluster_key import KEY_FILE as CLUSTER_KEY_FILE
from objstore.cluster.cluster_key import TEXT_MAX, KeyFileError, parse
from objstore.cluster.directory import STORAGE_KINDS
from objstore.cluster.drives import Drives
from objstore.cluster.init import InitError, write_new
from objstore.cluster.members import Member, Members
from objstore.cluster.strict_json import BadFields, Fields
from objstore.cluster.token_store import FILE_NAME as TOKENS_FILE
from objstore.config.inifile import read_ini
from objstore.runtime.listen import is_free

SECRET_FILES = (CLUSTER_KEY_FILE, KEY_FILE, TOKENS_FILE)
TEMPAUTH = "filter:tempauth"
_PORT_STEP = 10
_PORT_LAST = 60000
_SETTINGS_MAX = 10_000
_SWIFT_CONF_MAX = 1 << 20
SHARED_MAX = 4 << 20


@dataclass(frozen=True, slots=True)
class Shared:
    """The secrets every node has. swift_conf: the file's text, read as latin-1. tempauth: settings of the proxies'
    filter, users and token keys among them. key: of the cluster, as cluster_key.parse reads it."""

    swift_conf: str = field(repr=False)
    tempauth: dict[str, str] = field(repr=False)
    key: str = field(repr=False)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where a node's proxy listens. workers: as the setting has it."""

    ip: str
    port: int
    workers: str


def shared_of(fields: Fields) -> Shared:
    """The inverse of to_json(). Raises BadFields."""
    tempauth = fields.object("tempauth")
    if not all(name.isprintable() and "[" not in name for name in tempauth.names(_SETTINGS_MAX)):
        raise BadFields("tempauth: expected names of settings")
    try:
        key = parse(fields.long_text("key", TEXT_MAX), "key").text()
    except KeyFileError as error:
        raise BadFields(str(error)) from None
    return Shared(
        fields.long_text("swift_conf", _SWIFT_CONF_MAX),
        {name: tempauth.long_text(name, 1 << 16) for name in tempauth.names(_SETTINGS_MAX)},
        key,
    )


def shared_in(etc: Path, proxy_conf: Path) -> Shared:
    """What a node has to give. Raises OSError, ConfigError."""
    tempauth = {}
    if proxy_conf.exists():
        tempauth = {key: entry.value for key, entry in read_ini(proxy_conf).entries(TEMPAUTH).items() if key != "use"}
    return Shared(
        (etc / "swift.conf").read_text(encoding="latin-1"),
        tempauth,
        (etc / CLUSTER_KEY_FILE).read_text(encoding="ascii").strip(),
    )


def free_ports(ip: str, base_port: int, count: int = len(STORAGE_KINDS)) -> int:
    """The first of `count` ports in a row that are free on an address. Raises InitError."""
    for port in range(base_port, _PORT_LAST, _PORT_STEP):
        if all(is_free((ip, port + offset)) for offset in range(count)):
            return port
    raise InitError(f"no free ports on {ip} from {base_port} on: is it an address of this machine? see: ip addr")


def write_identity(draft: Path, identity: Certificate) -> None:
    write_new(draft / CERTIFICATE_FILE, identity.certificate.decode(), 0o644)
    write_new(draft / KEY_FILE, identity.key.decode(), 0o600)


def write_shared(draft: Path, shared: Shared) -> None:
    """swift.conf and the cluster's key."""
    write_new(draft / "swift.conf", shared.swift_conf, 0o600, encoding="latin-1")
    write_new(draft / CLUSTER_KEY_FILE, shared.key + "\n", 0o600)


def write_node(draft: Path, node: Member, members: Members, drives: Drives) -> None:
    """The ini files of a node's storage servers."""
    (draft / node.name).mkdir()
    rsync = f"rsync://{{replication_ip}}:{members.rsync_port}"
    for kind in STORAGE_KINDS:
        text = ini_text.server_conf(
            kind, node.name, node.ip, node.ports[kind], rsync, str(drives.root), mount_check=drives.is_mounted
        )
        write_new(draft / node.name / f"{kind}-server.conf", text, 0o644)


def write_proxy(draft: Path, proxy: Proxy, shared: Shared) -> None:
    text = ini_text.proxy_conf(proxy.ip, proxy.port, proxy.workers, shared.tempauth)
    write_new(draft / "proxy-server.conf", text, 0o600)
