"""objstore-orphans: our processes that nothing on this machine manages any more (B5.9).

A process belongs to somebody when it descends from one that a pid file names, that runs in a systemd service, or that
is the supervisor of `objstore up`. What makes a single pass (once) is somebody's as well. Everything else of our title
is an orphan: started by hand, or its pid file was lost.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from objstore.cli.process_control import DEFAULT_RUN_DIR
from objstore.cli.process_rows import hours, tell
from objstore.cli.terminal import FAILED, OK, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.runtime.pid_files import pids_in
from objstore.runtime.process_table import ONCE, OurProcess, indexed, ours, root_of, send_if

_EXAMPLE = """\
examples:
  objstore-orphans                  those that have run for a day
  objstore-orphans -a 2 -k TERM     end those that have run for two hours

Exit codes: 0; 1 one of them could not be signalled.
"""
_SUPERVISOR = "supervisor"


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser("objstore-orphans", "Processes of this machine that nothing manages.", _EXAMPLE)
    parser.add_argument("-a", "--age", type=hours, default=24.0, metavar="HOURS", help="at least so long (24)")
    parser.add_argument("-k", "--kill", type=_signal, metavar="SIGNAL", help="send them this signal: TERM, 15, …")
    parser.add_argument("-w", "--wide", action="store_true", help="whole lines, not 80 characters")
    parser.add_argument(
        "-r", "--run-dir", type=Path, default=DEFAULT_RUN_DIR, metavar="DIR", help=f"pid files ({DEFAULT_RUN_DIR})"
    )
    parser.add_argument("--json", action="store_true", help="for a script")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    found = orphans(ours(), set(pids_in(arguments.run_dir)), arguments.age * 3600)
    tell(found, terminal, as_json=arguments.json, is_wide=arguments.wide)
    if arguments.kill is None:
        return OK
    return OK if all([_told(each, arguments.kill, terminal) for each in found]) else FAILED


def orphans(processes: Sequence[OurProcess], managed: Collection[int], age_s: float) -> list[OurProcess]:
    """Those of at least that age whom nobody manages. managed: what pid files say. Pure."""
    by_pid = indexed(processes)
    return [
        each
        for each in processes
        if each.age_s >= age_s and not _is_managed(root_of(each, by_pid), managed) and not each.title.endswith(ONCE)
    ]


def _is_managed(root: OurProcess, managed: Collection[int]) -> bool:
    return (
        root.pid in managed
        or root.role == _SUPERVISOR
        or root.unit.startswith("objstore-")
        or root.title.endswith(ONCE)
    )


def _told(one: OurProcess, number: signal.Signals, terminal: Terminal) -> bool:
    """Whether it got the signal, or has ended in the meantime."""
    try:
        send_if(one.pid, number, lambda process: process.title == one.title)
    except PermissionError:
        terminal.complain(f"{one.pid}: it belongs to another user; try as root")
        return False
    return True


def _signal(text: str) -> signal.Signals:
    try:
        return signal.Signals(int(text)) if text.isdigit() else signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"]
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a signal, such as TERM or 15") from None


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
