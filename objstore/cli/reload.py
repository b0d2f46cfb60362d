"""objstore-reload PID: have a server or daemon read its configuration again, safely (B5.3).

The configuration is checked first: with a wrong one nothing is signalled. Then SIGHUP, and a wait until every process
that served before has ended and others serve in its place. No request is dropped meanwhile.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from objstore.cli.control_targets import daemon_names
from objstore.cli.daemons import role_of
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.cluster.servers import read_server
from objstore.config.server import ROLE_PORTS
from objstore.runtime.process_table import TITLE, OurProcess, look, ours, send_if

_EXAMPLE = """\
example:
  objstore-reload $(cat /var/run/swift/proxy-server.pid)

PID is that of the process that the command itself is, not of one of its workers.
Exit codes: 0 others have taken over; 1 they have not in time, or no such process; 78 the configuration cannot be used.
"""
_POLL_S = 0.05


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser("objstore-reload", "Have a server read its configuration again, safely.", _EXAMPLE)
    parser.add_argument("pid", type=int, metavar="PID", help="of a server or daemon")
    parser.add_argument("-t", "--timeout", type=float, default=300.0, metavar="SECONDS", help="how long to wait (300)")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    server = look(arguments.pid)
    if server is None or not _is_server(server):
        raise CommandError(f"pid {arguments.pid}: not a server or daemon that was started by its command", code=FAILED)
    conf = Path(server.title.split(" ", 3)[3])
    read_server(conf, server.role if server.role in ROLE_PORTS else role_of(server.role), "-")
    before = _children(server.pid)
    if not send_if(server.pid, signal.SIGHUP, lambda process: process.title == server.title):
        raise CommandError(f"pid {server.pid}: it has ended", code=FAILED)
    deadline = time.monotonic() + arguments.timeout
    while time.monotonic() < deadline:
        now = _children(server.pid)
        if now and not now & before:
            terminal.say(f"{server.role}: reloaded ({conf})")
            return OK
        if look(server.pid) is None:
            raise CommandError(f"{server.role}: it ended while it reloaded; see its log", code=FAILED)
        time.sleep(_POLL_S)
    terminal.complain(f"{server.role}: not reloaded after {arguments.timeout:g} s; see its log")
    return FAILED


def _is_server(process: OurProcess) -> bool:
    """Whether it stands above its workers, and belongs to no cluster of `objstore up`."""
    words = process.title.split(" ", 3)
    is_known = process.role in (*ROLE_PORTS, *daemon_names())
    if not is_known or len(words) != 4 or words[0] != TITLE or words[2] != "-":
        return False
    parent = look(process.parent_pid)
    return parent is None or not parent.role


def _children(pid: int) -> set[int]:
    return {each.pid for each in ours() if each.parent_pid == pid}


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
