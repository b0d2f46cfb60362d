"""objstore-init SERVER… COMMAND: start, stop and ask about the servers and daemons of a machine (B5.1 to B5.3).

For machines without a service manager; with systemd the units of etc/systemd do this better. Each process is the
server's own command in a session of its own; its pid file says which one, and a signal goes only to a process that
still is what was started (runtime/pid_files.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from objstore.cli import control_actions as actions
from objstore.cli.control_targets import GROUPS, UnknownServer, Wanted, pid_files, wanted
from objstore.cli.terminal import FAILED, OK, USAGE, CommandError, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.runtime.pid_files import PidFile

_EXAMPLE = """\
examples:
  objstore-init all start                  every server and daemon that has a configuration
  objstore-init object-server.2 reload     the one of /etc/swift/object-server/2.conf
  objstore-init 'object-*' stop --kill-wait 60
  objstore-init object-replicator once
  objstore-init rest status --json

commands:
  start       and wait until it serves          no-wait    start, and do not wait
  stop, shutdown   requests under way may end   once       start daemons for one pass, and wait for it
  kill        at once                           no-daemon  start in the foreground
  restart     stop, then start                  status     exit code 0: all run
  reload, force-reload, reload-seamless: read the configuration again; no request is dropped

Exit codes: 0; 1 something could not be done, or with status: does not run; 2 wrong usage.
"""
_RELOADS = ("reload", "force-reload", "reload-seamless")
_COMMANDS = ("start", "stop", "shutdown", "kill", "restart", "status", "once", "no-daemon", "no-wait", *_RELOADS)
DEFAULT_RUN_DIR = Path("/var/run/swift")


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser("objstore-init", "Start and stop the servers and daemons of this machine.", _EXAMPLE)
    parser.add_argument("servers", nargs="+", metavar="SERVER", help=f"{', '.join(GROUPS)}, a name, or a pattern")
    parser.add_argument("command", choices=_COMMANDS, metavar="COMMAND", help="see below")
    parser.add_argument("-w", "--no-wait", action="store_true", help="do not wait until it serves or has ended")
    parser.add_argument("-o", "--once", action="store_true", help="daemons: one pass")
    parser.add_argument("-n", "--no-daemon", action="store_true", help="start in the foreground")
    parser.add_argument("-g", "--graceful", action="store_true", help="as every stop here: requests may end")
    parser.add_argument("-c", "--config-num", type=_positive, metavar="N", help="only the N-th configuration of each")
    parser.add_argument(
        "-k", "--kill-wait", type=_seconds, default=15.0, metavar="SECONDS", help="how long a stop may take (15)"
    )
    parser.add_argument("--kill-after-timeout", action="store_true", help="then kill what still runs")
    parser.add_argument(
        "-r", "--run-dir", type=Path, default=DEFAULT_RUN_DIR, metavar="DIR", help=f"pid files ({DEFAULT_RUN_DIR})"
    )
    parser.add_argument(
        "-d", "--swift-dir", type=Path, default=Path("/etc/swift"), metavar="DIR", help="configurations (/etc/swift)"
    )
    strictness = parser.add_mutually_exclusive_group()
    strictness.add_argument(
        "--strict", action="store_true", default=None, help="fail when one has no configuration; so it is with names"
    )
    strictness.add_argument(
        "--non-strict", dest="strict", action="store_false", help="leave it out; so it is with groups and patterns"
    )
    parser.add_argument("--json", action="store_true", help="status: for a script")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    try:
        asked, is_by_name = wanted(arguments.servers)
    except UnknownServer as error:
        raise CommandError(str(error), code=USAGE) from None
    is_strict = is_by_name if arguments.strict is None else arguments.strict
    swift_dir, run_dir = arguments.swift_dir.resolve(), arguments.run_dir.resolve()
    found: list[PidFile] = []
    is_complete = True
    for one in asked:
        files = pid_files(one, swift_dir, run_dir, arguments.config_num)
        found += files
        if not files and is_strict:
            is_complete = False
            terminal.complain(_missing(one, swift_dir))
    if not found:
        raise CommandError(f"{swift_dir}: no configuration of what was asked for", code=FAILED)
    is_done = _command(arguments)(found, arguments, terminal)
    return OK if is_done and is_complete else FAILED


_Command = Callable[[Sequence[PidFile], argparse.Namespace, Terminal], bool]


def _command(arguments: argparse.Namespace) -> _Command:
    """`once`, `no-daemon` and `no-wait` are ways to start; the options of those names mean the same."""
    return _TABLE.get(arguments.command, _start)


def _start(files: Sequence[PidFile], arguments: argparse.Namespace, terminal: Terminal) -> bool:
    command = arguments.command
    how = actions.How(
        is_once=arguments.once or command == "once",
        is_foreground=arguments.no_daemon or command == "no-daemon",
        waits=not (arguments.no_wait or command == "no-wait"),
    )
    return actions.start(files, how, arguments.run_dir.resolve(), terminal)


def _stop(files: Sequence[PidFile], arguments: argparse.Namespace, terminal: Terminal) -> bool:
    wait_s = 0.0 if arguments.no_wait else arguments.kill_wait
    return actions.stop(files, wait_s, arguments.kill_after_timeout, terminal)


def _restart(files: Sequence[PidFile], arguments: argparse.Namespace, terminal: Terminal) -> bool:
    is_stopped = actions.stop(files, arguments.kill_wait, arguments.kill_after_timeout, terminal)
    return is_stopped and _start(files, arguments, terminal)


def _kill(files: Sequence[PidFile], arguments: argparse.Namespace, terminal: Terminal) -> bool:
    return actions.kill(files, arguments.kill_wait, terminal)


def _reload(files: Sequence[PidFile], arguments: argparse.Namespace, terminal: Terminal) -> bool:
    return actions.reload(files, terminal)


def _status(files: Sequence[PidFile], arguments: argparse.Namespace, terminal: Terminal) -> bool:
    rows = []
    for file in files:
        process = file.process()
        pid = process.pid if process is not None else None
        age_s = round(process.age_s) if process is not None else None
        rows.append({"server": file.server, "conf": str(file.conf), "pid": pid, "age_s": age_s})
    if arguments.json:
        terminal.say(json.dumps(rows, indent=2))
    else:
        for row in rows:
            state = f"running ({row['pid']} - {row['conf']})" if row["pid"] else f"not running ({row['conf']})"
            terminal.say(f"{row['server']} {state}")
    return all(row["pid"] for row in rows)


_TABLE: Mapping[str, _Command] = {
    "stop": _stop,
    "shutdown": _stop,
    "kill": _kill,
    "restart": _restart,
    "status": _status,
    **dict.fromkeys(_RELOADS, _reload),
}


def _missing(one: Wanted, swift_dir: Path) -> str:
    number = f" number {one.number}" if one.number else ""
    return f"{one.server}: no configuration{number} in {swift_dir}"


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86_400:
        raise ValueError(text)
    return value


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
