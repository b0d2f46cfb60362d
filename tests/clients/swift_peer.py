"""One node of OpenStack Swift from PyPI, run as a peer and nothing else: a proxy with container sync and tempauth, the
three servers over one device, and the container-sync daemon. Nobody looks into its files.

It reads /etc/swift, whatever it is told: it runs in a mount namespace of its own, where /etc is a copy with its
configuration in it. So this wants root.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from objstore.cli import ring_builder
from tests.clients.tools import ToolsMissing, python_with
from tests.replay.client import wait_for_port
from tests.support.packages import programs
from tests.support.ports import PortBlock

SWIFT = "swift>=2.36,<3"
START_S = 120.0
USER, KEY = "peer:owner", "key-of-the-peer"
ACCOUNT = "AUTH_peer"

SWIFT_CONF = """\
[swift-hash]
swift_hash_path_suffix = of-the-peer
[storage-policy:0]
name = gold
default = yes
"""
SERVER = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = root
workers = 0
devices = {devices}
mount_check = false
log_name = {kind}
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
allow_versions = true
fallocate_reserve = 0
[container-sync]
interval = 1
internal_client_conf_path = /etc/swift/internal-client.conf
"""
PROXY = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = root
workers = 0
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats container_sync tempauth copy slo dlo versioned_writes symlink
    proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_peer_owner = {key} .admin
[filter:container_sync]
use = egg:swift#container_sync
current = //r/peer
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:symlink]
use = egg:swift#symlink
[filter:versioned_writes]
use = egg:swift#versioned_writes
"""
INTERNAL = """\
[DEFAULT]
[pipeline:main]
pipeline = catch_errors cache symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:symlink]
use = egg:swift#symlink
"""
PLAIN = ("catch_errors", "gatekeeper", "listing_formats", "copy", "slo", "dlo")


@dataclass(frozen=True, slots=True)
class SwiftPeer:
    port: int
    logs: Path

    @property
    def auth_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/auth/v1.0"


@contextmanager
def running(folder: Path, ports: PortBlock, realms: str) -> Iterator[SwiftPeer]:
    """realms: its container-sync-realms.conf; its proxy listens at the first of the ports. Raises ToolsMissing."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        raise ToolsMissing("a mount namespace of its own, which only root may make")
    memcached = programs({"memcached": "memcached"})["memcached"]
    scripts = python_with(SWIFT).parent
    etc, cache_port = folder / "etc", ports.first + 9
    shutil.copytree("/etc", etc, symlinks=True, ignore=shutil.ignore_patterns("shadow*", "gshadow*", "ssh", "private"))
    conf, logs = etc / "swift", folder / "logs"
    shutil.rmtree(conf, ignore_errors=True)
    conf.mkdir()
    logs.mkdir()
    (conf / "container-sync-realms.conf").write_text(realms)
    kinds = {kind: ports.first + 1 + number for number, kind in enumerate(("account", "container", "object"))}
    _configure(conf, folder / "devices", ports.first, kinds, cache_port)
    commands = {"memcached": [str(memcached), "-l", "127.0.0.1", "-p", str(cache_port), "-u", "root"]}
    commands |= {kind: [str(scripts / f"swift-{kind}-server"), f"/etc/swift/{kind}-server.conf"] for kind in kinds}
    commands["proxy"] = [str(scripts / "swift-proxy-server"), "/etc/swift/proxy-server.conf"]
    commands["sync"] = [str(scripts / "swift-container-sync"), "/etc/swift/container-server.conf", "-v"]
    children = []
    try:
        for name, command in commands.items():
            with (logs / name).open("wb") as log:
                within = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', str(etc), *command]
                children.append(subprocess.Popen(within, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        for port in (*kinds.values(), ports.first):
            wait_for_port(("127.0.0.1", port), START_S)
        yield SwiftPeer(ports.first, logs)
    finally:
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait(30)


def _configure(conf: Path, devices: Path, port: int, kinds: dict[str, int], cache_port: int) -> None:
    (devices / "d1").mkdir(parents=True)
    (conf / "swift.conf").write_text(SWIFT_CONF)
    sections = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in PLAIN)
    (conf / "proxy-server.conf").write_text(PROXY.format(port=port, key=KEY, memcached=cache_port) + sections)
    internal = INTERNAL.format(memcached=cache_port) + "[filter:catch_errors]\nuse = egg:swift#catch_errors\n"
    (conf / "internal-client.conf").write_text(internal)
    for kind, own in kinds.items():
        (conf / f"{kind}-server.conf").write_text(SERVER.format(kind=kind, port=own, devices=devices))
        builder = conf / f"{kind}.builder"
        for arguments in (("create", 3, 1, 0), ("add", f"r1z1-127.0.0.1:{own}/d1", 1), ("rebalance",)):
            output = io.StringIO()
            code = ring_builder.main([str(builder), *map(str, arguments)], stdout=output, stderr=output, environ={})
            assert code in (0, 1), output.getvalue()
