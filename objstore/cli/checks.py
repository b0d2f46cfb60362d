"""Everything that must hold before a cluster directory is started, as lines for a human."""

from __future__ import annotations

from objstore.cli.assembly import completed
from objstore.cli.keymaster_check import keymaster_problems
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.preflight import ring_problems, secret_problems
from objstore.cluster.servers import ServerFile, read_servers
from objstore.config.cluster import Cluster, load_cluster
from objstore.config.errors import ConfigError


def all_problems(directory: ClusterDirectory) -> tuple[list[str], list[str]]:
    """(problems, notes) of a cluster directory; it can be started when there are no problems."""
    _, lines, notes = checked(directory)
    return lines, notes


def checked(directory: ClusterDirectory) -> tuple[list[ServerFile], list[str], list[str]]:
    """(servers, problems, notes). Rings and data are looked at only when the settings are right."""
    lines: list[str] = []
    notes: list[str] = []
    servers: list[ServerFile] = []
    cluster: Cluster | None = None
    try:
        cluster = load_cluster(directory.etc)
    except ConfigError as error:
        lines += map(str, error.problems)
    try:
        servers = read_servers(directory)
        for server in servers:
            notes += server.notes
            if server.role == "proxy-server":
                notes += completed(server.ini)[1]
                lines += keymaster_problems(server.ini)
    except ConfigError as error:
        lines += map(str, error.problems)
    if cluster is not None and not lines:
        lines += [*ring_problems(cluster, servers), *secret_problems(cluster, servers)]
    return servers, lines, notes
