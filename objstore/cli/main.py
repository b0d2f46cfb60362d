"""objstore: the umbrella command. One module per subcommand; each is imported only when it is asked for.

Exit codes: 0 done; 1 it failed or is not running; 2 wrong usage; 78 the configuration or the directory cannot be used;
130 Ctrl-C before it was done.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from objstore.cli.terminal import INTERRUPTED, OK, CommandError, Terminal, stop_writing
from objstore.config.errors import EX_CONFIG, ConfigError

COMMANDS = {
    "up": "start a cluster in a directory (made when it is not there) and stay until Ctrl-C",
    "init": "make a cluster's directory without starting it",
    "join": "make this machine a node of a cluster, by a token of one of its nodes",
    "status": "say how a running cluster is: one verdict with its reasons, its processes and daemons",
    "doctor": "look for what is wrong with a machine, its disks and configuration, and say how to mend it",
    "down": "stop a running cluster",
    "user": "list, add and remove users, change and show keys",
    "node": "hold one storage node down and start it again; move its data away and take it out of the rings",
    "drive": "add, drain, replace and remove drives, after showing what that moves",
    "ring": "show the rings, go on with what could not move at once, take over what was done by hand",
    "config": "check every configuration file of a cluster",
    "ls": "list containers, or what is in one",
    "cp": "copy files and directories into a cluster, out of it, or within it",
    "rm": "delete objects, or containers with all that is in them",
    "stat": "show what is known of an account, a container or an object",
    "temp-url": "make a link that lets whoever has it read or write an object until it expires",
    "share": "let other users, or everybody, read or write a container; list and revoke that",
}
_OWN_HELP = frozenset({"ls"})
"""Commands in which -h means something else: they have --help alone."""
_EPILOG = """\
example:
  objstore up ~/cluster            a cluster of four nodes, three replicas, in the foreground
  objstore up ~/cluster --detach   the same in the background; then: objstore status ~/cluster
"""


def main(
    argv: Sequence[str] | None = None,
    *,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run one subcommand; returns the exit code."""
    terminal = Terminal(stdout or sys.stdout, stderr or sys.stderr, os.environ if environ is None else environ)
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] not in COMMANDS:
        return _usage(argv, terminal)
    command = importlib.import_module(f"objstore.cli.{argv[0].replace('-', '_')}")
    parser = argparse.ArgumentParser(
        prog=f"objstore {argv[0]}",
        description=COMMANDS[argv[0]],
        epilog=command.EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=argv[0] not in _OWN_HELP,
    )
    command.add_arguments(parser)
    arguments = parser.parse_args(argv[1:])
    return run_command(lambda: int(command.run(arguments, terminal)), terminal)


def run_command(run: Callable[[], int], terminal: Terminal) -> int:
    """Call a command and turn what it raises into lines and an exit code; a bug keeps its traceback."""
    try:
        return run()
    except CommandError as error:
        for line in error.lines:
            terminal.complain(line)
        return error.code
    except ConfigError as error:
        for problem in error.problems:
            terminal.complain(str(problem))
        return EX_CONFIG
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        stop_writing()
        return OK


def _usage(argv: Sequence[str], terminal: Terminal) -> int:
    parser = argparse.ArgumentParser(
        prog="objstore",
        description="A replicated object store that speaks the OpenStack Swift API.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"objstore {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text)
    parser.parse_args(argv)
    return OK


def _version() -> str:
    from importlib.metadata import version

    return version("objstore")


if __name__ == "__main__":
    sys.exit(main())
