"""[container-sync]: Swift's option names and defaults; the realms stand in container-sync-realms.conf."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import Kind, boolean, decimal, names, number, setting, text
from objstore.daemon.settings import DaemonSettings
from objstore.http.outgoing import Trust, proxy_address


def _proxies(value: str) -> tuple[tuple[str, int], ...]:
    return tuple(proxy_address(item.strip()) for item in value.split(",") if item.strip())


@dataclass(frozen=True)
class ContainerSyncSettings(DaemonSettings):
    """Brings the objects of containers with X-Container-Sync-To and -Key to containers of other clusters."""

    concurrency: int = setting("2", number(1, 1024), "Containers that are synced at once.")
    sync_row_concurrency: int = setting("8", number(1, 256), "Objects of a container that are under way at once.")
    container_time: float = setting("60", decimal(0.1), "Seconds that a container may take of one pass, at most.")
    sync_proxy: tuple[tuple[str, int], ...] = setting(
        "",
        Kind(_proxies, "forward proxies as http://host:port, separated by commas"),
        "Forward proxies to reach other clusters by; with several, each object takes the next one.",
    )
    allowed_sync_hosts: tuple[str, ...] = setting(
        "",
        names,
        "Hosts that X-Container-Sync-To may name by URL: whoever owns a container has this daemon send PUT and DELETE "
        "to any port of theirs. None by default, whatever the container server accepts; clusters of realms need none.",
    )
    conn_timeout: float = setting("5", decimal(0.001), "Seconds to connect to another cluster.")
    node_timeout: float = setting("60", decimal(0.001), "Seconds of silence after which another cluster is given up.")
    peer_ca_file: str = setting("", text, "PEM file of authorities for https:// clusters; empty: the system's.")
    peer_insecure: bool = setting(
        "no", boolean, "Accept any certificate of another cluster without checking it.", advanced=True
    )
    internal_client_conf_path: str = setting(
        "", text, "An internal-client.conf with the pipeline to read objects by; empty: slo, symlink and the proxy."
    )

    @property
    def trust(self) -> Trust:
        return Trust(self.peer_ca_file or None, self.peer_insecure)
