"""objstore-agent DIR: the agent of a node whose servers and daemons are started one by one, as by systemd.

`objstore up DIR` runs the same agent itself. Meant for a service manager: log on standard error, READY=1, RELOADING=1
and the watchdog's sign of life to systemd.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from objstore.cli import agent
from objstore.cli.main import run_command
from objstore.cli.place import directory_of
from objstore.cli.terminal import CommandError, Terminal
from objstore.cluster.directory import MEMBERS_FILE, ClusterDirectory
from objstore.runtime import logs, process
from objstore.runtime.supervisor import CannotStart, Options, Supervisor
from objstore.runtime.worker import Program

_EPILOG = """\
example:
  objstore-agent /var/lib/objstore      where `objstore join ... --no-up` has made this machine a node

Signals: SIGTERM stop, SIGHUP start anew with the files as they are.
Exit codes: 0 stopped when asked; 78 DIR is no node of a cluster of several machines, or its files cannot be used.
"""


def main(
    argv: Sequence[str] | None = None,
    *,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Serve until SIGTERM; returns the exit code."""
    terminal = Terminal(stdout or sys.stdout, stderr or sys.stderr, os.environ if environ is None else environ)
    parser = argparse.ArgumentParser(
        prog="objstore-agent",
        description="The agent of a node: members, rings and drives, as the cluster's holder and its operators ask.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="the node's directory")
    arguments = parser.parse_args(list(sys.argv[1:] if argv is None else argv))
    return run_command(lambda: _serve(directory_of(arguments)), terminal)


def _serve(directory: ClusterDirectory) -> int:
    def plan() -> list[Program]:
        program = agent.program(directory, is_alone=True)
        if program is None:
            raise CannotStart(
                [
                    f"{directory.etc / MEMBERS_FILE}: is missing: {directory.root} is no node of a cluster of several "
                    "machines; see: objstore join --help"
                ]
            )
        return [program]

    process.set_title(agent.ROLE, "-", str(directory.root))
    logs.log_to_stderr()
    try:
        # rsync's locks lie there; `objstore up` has it made for its own.
        directory.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Supervisor(plan, Options(str(directory.root)), say=lambda text: None).run()
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be made ({error.strerror})") from None
    except CannotStart as error:
        raise CommandError(*error.lines) from None


if __name__ == "__main__":
    sys.exit(main())
