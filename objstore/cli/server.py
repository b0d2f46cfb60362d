"""What the four server commands do: check one ini file, listen, fork its workers, keep them running.

Meant for a service manager: log on standard error (or log_file), READY=1 and RELOADING=1 to systemd, SIGHUP reads the
file again without dropping a request, SIGTERM lets requests end for graceful_timeout seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from objstore.cli.assembly import completed
from objstore.cli.main import run_command
from objstore.cli.serve import open_log, programs, tls_context
from objstore.cli.terminal import CommandError, Terminal
from objstore.cluster.preflight import ring_problems
from objstore.cluster.servers import ServerFile, read_server
from objstore.config.cluster import load_cluster
from objstore.config.errors import ConfigError
from objstore.config.server import ROLE_PORTS
from objstore.runtime import process
from objstore.runtime.supervisor import CannotStart, Options, Supervisor
from objstore.runtime.worker import Program

_EPILOG = """\
example:
  objstore-{role} /etc/swift/{role}.conf

Signals: SIGTERM stop, SIGHUP read the configuration again.
Exit codes: 0 stopped when asked; 78 the configuration cannot be used (each problem is one line).
"""


def run_server(
    role: str,
    argv: Sequence[str] | None,
    stdout: TextIO | None,
    stderr: TextIO | None,
    environ: Mapping[str, str] | None,
) -> int:
    """The command objstore-<role>; returns the exit code."""
    assert role in ROLE_PORTS
    terminal = Terminal(stdout or sys.stdout, stderr or sys.stderr, os.environ if environ is None else environ)
    parser = argparse.ArgumentParser(
        prog=f"objstore-{role}",
        description="Workers that share one port, from one ini file or conf.d directory.",
        epilog=_EPILOG.format(role=role),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("conf", metavar="CONF", type=Path, help="an ini file, or a directory of *.conf files")
    arguments = parser.parse_args(list(sys.argv[1:] if argv is None else argv))
    return run_command(lambda: _serve(role, arguments.conf.resolve()), terminal)


def _serve(role: str, path: Path) -> int:
    try:
        return _supervise(role, path)
    except CannotStart as error:
        raise CommandError(*error.lines) from None


def _supervise(role: str, path: Path) -> int:
    """Raises ConfigError and CannotStart."""
    first = _checked(path, role)
    process.set_title(role, "-", str(path))

    def plan() -> list[Program]:
        try:
            return programs([_checked(path, role)])
        except ConfigError as error:
            raise CannotStart([str(problem) for problem in error.problems]) from None

    grace_s = first.settings.graceful_timeout
    options = Options(str(path), grace_s, grace_s, user=first.settings.user if os.geteuid() == 0 else "")
    open_log(first, None)
    return Supervisor(plan, options, say=lambda text: None).run()


def _checked(path: Path, role: str) -> ServerFile:
    """The file, when it, swift.conf and the rings can be used. Raises ConfigError, CannotStart."""
    server = read_server(path, role, "-")
    cluster = load_cluster(server.swift_dir)
    if role == "proxy-server":
        completed(server.ini)
        lines = list(ring_problems(cluster, []))
        if lines:
            raise CannotStart(lines)
    tls_context(server)
    return server
