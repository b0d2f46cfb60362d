"""The ini files of a new cluster, as text: what an operator edits afterwards. Nothing here is read back.

Paths are relative to the file (%(here)s), so that a stopped cluster can be moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from objstore.cluster.directory import STORAGE_KINDS

_POINTER = """\
# Every setting there is, and what it means: etc/{kind}.conf-sample in the checkout.
# After an edit: objstore config check DIR
"""

_SWIFT_CONF = """\
# What all servers of this cluster share. Read as latin-1.
{pointer}
[swift-hash]
# Never change these: they decide where everything is, and with others nothing is found again.
swift_hash_path_prefix = {prefix}
swift_hash_path_suffix = {suffix}
"""

_POLICY = """
[storage-policy:{index}]
name = {name}
default = {default}
"""

_PROXY_CONF = """\
{pointer}
[DEFAULT]
bind_ip = {ip}
bind_port = {port}
workers = {workers}
swift_dir = %(here)s
# For https, PEM files:
# cert_file =
# key_file =

[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache listing_formats container_sync bulk tempurl
    formpost ratelimit tempauth staticweb copy container-quotas account-quotas slo dlo
    versioned_writes symlink proxy-logging proxy-server

[app:proxy-server]
use = egg:objstore#proxy
account_autocreate = yes

[filter:tempauth]
use = egg:objstore#tempauth
# Tokens are made with the first of fernet_keys and accepted from any: to rotate, put a new one in front, later drop the
# last. user_<account>_<user> = <key> [group ...]   also edited by: objstore user add|list|passwd|remove DIR
{tempauth}

[filter:catch_errors]
use = egg:objstore#catch_errors

[filter:gatekeeper]
use = egg:objstore#gatekeeper

[filter:healthcheck]
use = egg:objstore#healthcheck

[filter:proxy-logging]
use = egg:objstore#proxy_logging

[filter:cache]
use = egg:objstore#memcache

[filter:listing_formats]
use = egg:objstore#listing_formats

[filter:container_sync]
use = egg:objstore#container_sync

[filter:bulk]
use = egg:objstore#bulk

[filter:tempurl]
use = egg:objstore#tempurl

[filter:formpost]
use = egg:objstore#formpost

[filter:ratelimit]
use = egg:objstore#ratelimit

[filter:staticweb]
use = egg:objstore#staticweb

[filter:copy]
use = egg:objstore#copy

[filter:container-quotas]
use = egg:objstore#container_quotas

[filter:account-quotas]
use = egg:objstore#account_quotas

[filter:slo]
use = egg:objstore#slo

[filter:dlo]
use = egg:objstore#dlo

[filter:versioned_writes]
use = egg:objstore#versioned_writes

[filter:symlink]
use = egg:objstore#symlink
"""

_SERVER_CONF = """\
{pointer}
[DEFAULT]
bind_ip = {ip}
bind_port = {port}
workers = 1
swift_dir = %(here)s/..
devices = {devices}
mount_check = {mount_check}
# Who may connect: addresses in the rings, this machine's own, and admit_hosts (proxies on machines of their own).
admit = rings
recon_cache_path = %(here)s/../../cache/{node}

[pipeline:main]
pipeline = healthcheck recon {kind}-server

[app:{kind}-server]
use = egg:objstore#{kind}

[filter:healthcheck]
use = egg:objstore#healthcheck

[filter:recon]
use = egg:objstore#recon
"""

# Intervals for a machine whose owner watches: what failed is repaired within seconds, and an idle pass costs next to
# nothing. Large clusters have Swift's defaults, which hold where a section or key is missing.
_DAEMONS = {
    "object": """
[object-replicator]
interval = 30
rsync_module = {rsync}/object_{{replication_port}}

[object-updater]
interval = 10

[object-auditor]
interval = 3600

[object-expirer]
interval = 30
""",
    "container": """
[container-replicator]
interval = 30
rsync_module = {rsync}/container_{{replication_port}}

[container-updater]
interval = 30

[container-sync]
interval = 30
""",
    "account": """
[account-replicator]
interval = 30
rsync_module = {rsync}/account_{{replication_port}}

[account-reaper]
interval = 60
""",
}


@dataclass(frozen=True, slots=True)
class Admin:
    """The first user of a cluster."""

    account: str
    user: str
    key: str

    def tempauth(self, fernet_key: str) -> dict[str, str]:
        """The settings of a tempauth that knows this user and makes tokens with this key."""
        return {"fernet_keys": fernet_key, f"user_{self.account}_{self.user}": f"{self.key} .admin"}


def swift_conf(prefix: str, suffix: str, policy_names: Sequence[str]) -> str:
    """policy_names: in the order of their indexes; the first is the default."""
    text = _SWIFT_CONF.format(pointer=_pointer("swift"), prefix=prefix, suffix=suffix)
    for index, name in enumerate(policy_names):
        text += _POLICY.format(index=index, name=name, default="yes" if index == 0 else "no")
    return text


def proxy_conf(ip: str, port: int, workers: str, tempauth: Mapping[str, str]) -> str:
    """tempauth: settings of the filter, users among them."""
    return _PROXY_CONF.format(
        pointer=_pointer("proxy-server"), ip=ip, port=port, workers=workers, tempauth=_lines(tempauth)
    )


def server_conf(
    kind: str, node: str, ip: str, port: int, rsync: str, devices: str = "", *, mount_check: bool = False
) -> str:
    """rsync: what an rsync daemon's modules lie under, rsync://HOST:PORT (cluster/rsyncd.py). devices: the directory of
    the node's drives; "" is the one inside the cluster's directory."""
    assert kind in STORAGE_KINDS
    text = _SERVER_CONF.format(
        pointer=_pointer(f"{kind}-server"), ip=ip, port=port, node=node, kind=kind,
        devices=devices or f"%(here)s/../../nodes/{node}", mount_check="yes" if mount_check else "no",
    )  # fmt: skip
    return text + _DAEMONS[kind].format(rsync=rsync)


def _lines(settings: Mapping[str, str]) -> str:
    """An indented line continues the value above it."""
    return "\n".join(f"{key} = {value}".replace("\n", "\n    ") for key, value in settings.items())


def _pointer(kind: str) -> str:
    return _POINTER.format(kind=kind)
