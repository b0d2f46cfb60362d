"""The servers that a cluster directory describes: one ini file each, checked together.

read_servers() is the only way from DIR/etc to what is started; everything wrong in any file comes in one ConfigError.
glance() is for who only looks: it checks no pipeline, and so imports none of the code that the files name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from objstore.cluster.directory import STORAGE_KINDS, ClusterDirectory
from objstore.config.errors import ConfigError, ConfigProblem, located
from objstore.config.inifile import DEFAULT, Entry, IniFile, read_ini
from objstore.config.report import check
from objstore.config.server import ROLE_PORTS, ServerSettings
from objstore.config.settings import Problem

PROXY_NODE = "-"
RECON_KEY = "recon_cache_path"


@dataclass(frozen=True, slots=True)
class ServerFile:
    """One server: what its file says. role: proxy-server, object-server …; node: its name, or - for the proxy."""

    role: str
    node: str
    ini: IniFile
    settings: ServerSettings
    notes: tuple[str, ...] = ()

    @property
    def address(self) -> tuple[str, int]:
        return self.settings.bind_ip, self.settings.bind_port or ROLE_PORTS[self.role]

    @property
    def swift_dir(self) -> Path:
        return Path(self.settings.swift_dir)

    @property
    def devices(self) -> Path:
        return Path(self.settings.devices)

    @property
    def origin(self) -> str:
        """The setting its address comes from, for messages."""
        entry = self.ini.defaults.get("bind_port")
        place = f"{entry.file}:{entry.line}" if entry is not None else str(self.ini.path)
        return f"{place}: [DEFAULT] bind_port"


def read_server(path: Path, role: str, node: str) -> ServerFile:
    """One file, checked. Raises ConfigError with everything wrong in it."""
    ini = read_ini(path)
    found = check(ini)
    settings, _ = _own_settings(ini)
    problems = [*found.problems, *_tls_problems(ini, settings)]
    if problems:
        raise ConfigError(problems)
    return ServerFile(role, node, ini, settings, found.notes)


def read_servers(directory: ClusterDirectory) -> list[ServerFile]:
    """Every server of a cluster directory: storage servers node by node, then the proxy. Raises ConfigError."""
    servers: list[ServerFile] = []
    problems: list[ConfigProblem] = []
    for path, role, node in _files(directory):
        try:
            server = read_server(path, role, node)
            servers.append(server if node == PROXY_NODE else _with_cache(server, directory.cache(node)))
        except ConfigError as error:
            problems += error.problems
    problems += _clashes(servers)
    if problems:
        raise ConfigError(problems)
    return servers


def glance(directory: ClusterDirectory) -> list[ServerFile]:
    """As read_servers(), for who does not start them: of each file only [DEFAULT] is read. Raises ConfigError."""
    servers: list[ServerFile] = []
    problems: list[ConfigProblem] = []
    for path, role, node in _files(directory):
        try:
            ini = read_ini(path)
        except ConfigError as error:
            problems += error.problems
            continue
        settings, wrong = _own_settings(ini)
        problems += located(wrong, str(path), DEFAULT)
        servers.append(ServerFile(role, node, ini, settings))
    if problems:
        raise ConfigError(problems)
    return servers


def recon_directories(directory: ClusterDirectory) -> dict[str, Path]:
    """Node to its recon cache, as its object server's file says; where that cannot be read, the usual place."""
    found = {}
    for node in directory.node_names():
        found[node] = directory.cache(node)
        try:
            value = read_ini(directory.server_conf(node, "object")).pairs(DEFAULT).get(RECON_KEY)
        except ConfigError:
            continue
        if value:
            found[node] = Path(value)
    return found


def _own_settings(ini: IniFile) -> tuple[ServerSettings, list[Problem]]:
    return ServerSettings.from_pairs(
        {key: value for key, value in ini.pairs(DEFAULT).items() if key in ServerSettings.keys()}
    )


def _with_cache(server: ServerFile, cache: Path) -> ServerFile:
    """A cluster directory has its recon caches in it, also one whose files were written before there were any."""
    if RECON_KEY in server.ini.defaults:
        return server
    defaults = {**server.ini.defaults, RECON_KEY: Entry(RECON_KEY, str(cache), server.ini.path, 0)}
    return dataclasses.replace(server, ini=dataclasses.replace(server.ini, defaults=defaults))


def _files(directory: ClusterDirectory) -> Iterator[tuple[Path, str, str]]:
    for node in directory.node_names():
        for kind in STORAGE_KINDS:
            yield directory.server_conf(node, kind), f"{kind}-server", node
    if directory.has_proxy:
        yield directory.proxy_conf, "proxy-server", PROXY_NODE


def _tls_problems(ini: IniFile, settings: ServerSettings) -> Iterator[ConfigProblem]:
    for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        value = getattr(settings, key)
        if getattr(settings, other) and not value:
            yield ConfigProblem(str(ini.path), DEFAULT, key, "", f"a file, because {other} is set")
        elif value and not Path(value).is_file():
            yield ConfigProblem(str(ini.path), DEFAULT, key, value, "a PEM file that is there")


def _clashes(servers: list[ServerFile]) -> Iterator[ConfigProblem]:
    """Two servers of one address: each would answer half of the other's requests."""
    seen: dict[tuple[str, int], ServerFile] = {}
    for server in servers:
        first = seen.setdefault(server.address, server)
        if first is not server:
            yield ConfigProblem(
                str(server.ini.path), DEFAULT, "bind_port", str(server.address[1]), "a port of its own",
                f"{first.ini.path} has the same",
            )  # fmt: skip
