"""objstore doctor DIR: what is wrong with this machine or its configuration, and the one line that mends it."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

from objstore.cli.checks import checked
from objstore.cli.doctor_admission import admitted, admitted_to_rsync, of_admission
from objstore.cli.doctor_checks import Finding, of_clock, of_limits, of_modes, of_ports, of_rings, of_rsync
from objstore.cli.doctor_disks import of_disks
from objstore.cli.keymaster_check import keymaster_problems
from objstore.cli.place import directory_of
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.cluster.directory import STORAGE_KINDS, ClusterDirectory
from objstore.cluster.node_layout import SECRET_FILES
from objstore.cluster.preflight import ring_problems, secret_problems
from objstore.cluster.servers import PROXY_NODE, ServerFile, read_server
from objstore.config.cluster import load_cluster
from objstore.config.errors import ConfigError
from objstore.runtime import control

EXAMPLE = """\
example:
  objstore doctor ~/cluster
  objstore doctor --conf /etc/swift --json

Writes one small file on every disk and removes it. Exit code 0: nothing is wrong; 1: findings; 78: no cluster.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", type=Path, nargs="?", help="the cluster's directory")
    parser.add_argument("--conf", metavar="DIR", type=Path, help="this machine's configuration, e.g. /etc/swift")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    if (arguments.directory is None) == (arguments.conf is None):
        raise CommandError("expected DIR or --conf DIR", code=USAGE)
    if arguments.conf is not None:
        findings, allowed = of_machine(arguments.conf.expanduser().resolve())
        rsync: list[str] = []
    else:
        directory = directory_of(arguments)
        if not directory.exists:
            raise CommandError(f"{directory.root}: no cluster here; make one with: objstore up {directory.root}")
        findings, allowed = of_directory(directory)
        rsync = admitted_to_rsync(directory)
    if arguments.json:
        found = [dataclasses.asdict(each) for each in findings]
        terminal.say(json.dumps({"findings": found, "admitted": allowed, "rsync_admitted": rsync}, indent=2))
    else:
        if allowed:
            terminal.say(f"storage servers admit: {' '.join(allowed)}, and this machine")
        if rsync:
            terminal.say(f"rsync admits: {' '.join(rsync)}")
        for each in findings:
            terminal.say(f"{each.what}: {each.text}; {each.fix}")
        if not findings:
            terminal.say("nothing is wrong")
    return FAILED if findings else OK


def of_directory(directory: ClusterDirectory) -> tuple[list[Finding], list[str]]:
    """Of the cluster in a directory: (what is wrong, whom its storage servers admit)."""
    try:
        control.ask(directory.run, {"do": "status"})
        is_running = True
    except control.NotRunning:
        is_running = False
    servers, problems, _ = checked(directory)
    findings = [
        *(_of_configuration(problems)),
        *of_modes([directory.swift_conf, directory.proxy_conf, *(directory.etc / name for name in SECRET_FILES)]),
        *_of_servers(servers, is_running),
    ]
    return findings, admitted(servers)


def of_machine(conf: Path) -> tuple[list[Finding], list[str]]:
    """As of_directory, of the servers whose files lie in one directory, as on a node of its own."""
    if not conf.is_dir():
        raise CommandError(f"{conf}: expected a directory with swift.conf and the servers' files")
    servers: list[ServerFile] = []
    problems: list[str] = []
    for role, node in [(f"{kind}-server", "here") for kind in STORAGE_KINDS] + [("proxy-server", PROXY_NODE)]:
        for path in (conf / f"{role}.conf", conf / f"{role}.conf.d"):
            if path.exists():
                try:
                    servers.append(read_server(path, role, node))
                    if role == "proxy-server":
                        problems += keymaster_problems(servers[-1].ini)
                except ConfigError as error:
                    problems += map(str, error.problems)
                break
    try:
        cluster = load_cluster(conf)
        if not problems:
            problems += [*ring_problems(cluster, servers), *secret_problems(cluster, servers)]
    except ConfigError as error:
        problems += map(str, error.problems)
    modes = of_modes([conf / "swift.conf", conf / "proxy-server.conf"])
    return [*_of_configuration(problems), *modes, *_of_servers(servers, None)], admitted(servers)


def _of_servers(servers: list[ServerFile], is_running: bool | None) -> list[Finding]:
    return [
        *of_clock(),
        *of_limits(),
        *of_rsync(servers),
        *of_rings(servers),
        *of_ports(servers, is_running),
        *of_disks(servers),
        *of_admission(servers),
    ]


def _of_configuration(problems: Iterable[str]) -> list[Finding]:
    """One line each already says what was expected where."""
    return [Finding("configuration", line, "edit it, then: objstore config check") for line in problems]
