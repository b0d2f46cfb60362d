"""[DEFAULT] of a server's ini file: where it listens, how many processes it has, what it writes to its log.

Names and defaults are Swift's; the keys of `LEFT_ALONE` are accepted from an existing file and have no effect here.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass

from objstore.config.priority import PrioritySettings
from objstore.config.settings import Kind, boolean, choice, decimal, number, setting, text
from objstore.config.statsd import StatsdSettings

ROLE_PORTS = {"proxy-server": 8080, "object-server": 6200, "container-server": 6201, "account-server": 6202}

LEFT_ALONE = frozenset(
    """
    bind_timeout keep_idle eventlet_debug log_custom_handlers log_udp_host log_udp_port
    log_statsd_label_mode log_statsd_emit_legacy disable_fallocate
    servers_per_port db_preallocation db_query_logging network_chunk_size disk_chunk_size reclaim_age
    swift_conf_file log_max_line_length log_address log_facility log_name log_headers
    trans_id_suffix expose_info admin_key disallowed_sections cors_allow_origin strict_cors_mode cors_expose_headers
    conn_timeout node_timeout http_timeout fallocate_reserve container_update_timeout auto_create_account_prefix
    """.split()
)
"""Swift's other [DEFAULT] keys. An app that knows one of them checks its value; nobody reports it as unknown."""


ADMIT_ALL = "all"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _worker_count(text: str) -> int:
    if text.lower() == "auto":
        return os.cpu_count() or 1
    count = int(text)
    if count < 0:
        raise ValueError("")
    return max(1, count)


workers = Kind(_worker_count, "auto, or a whole number")


def _networks(text: str) -> tuple[Network, ...]:
    found = []
    for item in text.replace(",", " ").split():
        try:
            found.append(ipaddress.ip_network(item))
        except ValueError as error:
            raise ValueError(str(error)) from None
    return tuple(found)


networks = Kind(_networks, "addresses and networks like 10.0.0.5 10.1.0.0/16")


@dataclass(frozen=True)
class ServerSettings(PrioritySettings, StatsdSettings):
    """[DEFAULT]: the process. Filters and the application may have keys of their own here too."""

    bind_ip: str = setting("0.0.0.0", text, "The address to listen on.")
    bind_port: int = setting(
        "0", number(0, 65535), "The port; 0: 8080 for a proxy, 6200 object, 6201 container, 6202 account."
    )
    workers: int = setting("auto", workers, "Processes that share the port; auto: one per CPU core.")
    swift_dir: str = setting("/etc/swift", text, "Where swift.conf and the rings are.")
    user: str = setting("", text, "The user to become after listening, when started as root.")
    devices: str = setting(
        "/srv/node", text, "Storage servers: the directory in which each device has its directory or mount point."
    )
    mount_check: bool = setting("yes", boolean, "Storage servers: refuse a device that is not a mount point.")
    recon_cache_path: str = setting(
        "/var/cache/swift",
        text,
        "Storage servers: the directory in which daemons leave their results for recon and `objstore status`.",
    )
    admit: str = setting(
        ADMIT_ALL,
        choice(ADMIT_ALL, "rings"),
        "Storage servers: who may connect. rings: addresses in the rings, this machine's own and admit_hosts; all: "
        "everybody who reaches the port, which must then be guarded by other means.",
    )
    admit_hosts: tuple[Network, ...] = setting(
        "", networks, "With admit = rings: proxies outside the rings, addresses or networks."
    )
    cert_file: str = setting("", text, "TLS certificate (chain) in PEM; needs key_file.")
    key_file: str = setting("", text, "The private key of cert_file.")
    log_level: str = setting(
        "INFO", choice("debug", "info", "warning", "error", "critical"), "The least severe level that is logged."
    )
    log_file: str = setting("", text, "The log file, rotated by size; empty: standard error.")
    client_timeout: float = setting("60", decimal(0.001), "Seconds to wait for a client's next bytes.")
    client_min_rate: float = setting(
        "0",
        decimal(0),
        "The slowest upload, in bytes a second: a slower client gets 408 once the server has waited for it for "
        "client_timeout in all; 0: no such limit.",
        advanced=True,
    )
    require_proxy_protocol: bool = setting(
        "false",
        boolean,
        "Every connection begins with a PROXY line (version 1), by which a load balancer names the client.",
        advanced=True,
    )
    max_clients: int = setting(
        "16384", number(1), "Connections that one worker holds at once, idle ones included.", advanced=True
    )
    keepalive_timeout: float = setting(
        "60", decimal(0), "Seconds an idle connection is kept open; 0: closed after each answer.", advanced=True
    )
    backlog: int = setting("4096", number(1), "Connections that may wait to be accepted.", advanced=True)
    graceful_timeout: float = setting(
        "30", decimal(0), "Seconds that requests in progress have to end when a worker is replaced.", advanced=True
    )
