"""What every daemon's command does: check its ini file, then run its pass once, or under a supervisor for good.

A daemon whose settings want several workers gets as many processes, each with a share of the disks; the supervisor
starts again what dies of them, and --once ends when all have ended.

Meant for a service manager: log on standard error (or log_file), READY=1, STOPPING=1, RELOADING=1 and WATCHDOG=1 to
systemd. SIGHUP reads the file and swift.conf again: a new process takes over, and the old one ends. SIGTERM ends
everything within two seconds: jobs under way are cut off after one, which every job can bear (daemon/pass_.py).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from objstore.cli.daemons import DaemonPlan, plans, role_of, runner, serve, shares
from objstore.cli.main import run_command
from objstore.cli.serve import open_log, priority_of
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.cluster.servers import read_server
from objstore.config.cluster import load_cluster
from objstore.config.errors import ConfigError
from objstore.daemon.pass_ import FAILURES, PassReport, Scope
from objstore.daemon.worker_share import WorkerShare
from objstore.runtime import green, process
from objstore.runtime.children import results_of
from objstore.runtime.priority import take
from objstore.runtime.process_table import ONCE
from objstore.runtime.supervisor import CannotStart, Options, Supervisor
from objstore.runtime.worker import Program

_log = logging.getLogger("objstore.daemon")
_GRACE_S = 1.3
_REFUSED = "refused"
_EPILOG = """\
example:
  objstore-{name} /etc/swift/{role}.conf                              until SIGTERM
  objstore-{name} /etc/swift/{role}.conf --once --devices sdb1,sdc1   one pass over two disks

Settings: [{name}] of CONF; all of them, with their defaults, stand in etc/{role}.conf-sample.
Signals: SIGTERM stop, SIGHUP read the configuration again.
Exit codes: 0 stopped when asked, or with --once: all was done; 1 with --once: something failed (see the log);
78 the configuration cannot be used (each problem is one line).
"""


def run_daemon(
    name: str,
    argv: Sequence[str] | None,
    stdout: TextIO | None,
    stderr: TextIO | None,
    environ: Mapping[str, str] | None,
) -> int:
    """The command objstore-<name>; returns the exit code."""
    terminal = Terminal(stdout or sys.stdout, stderr or sys.stderr, os.environ if environ is None else environ)
    arguments = _parser(name).parse_args(list(sys.argv[1:] if argv is None else argv))
    scope = Scope(arguments.devices, arguments.partitions, arguments.policies)
    read = partial(_read, name, arguments.conf.resolve(), arguments.verbose)

    def run() -> int:
        try:
            return _once(name, read, scope, terminal) if arguments.once else _supervise(name, read, scope)
        except CannotStart as error:
            raise CommandError(*error.lines) from None

    return run_command(run, terminal)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"objstore-{name}",
        description=f"The daemon {name} of a storage node, from the node's ini file or conf.d directory.",
        epilog=_EPILOG.format(name=name, role=role_of(name)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("conf", metavar="CONF", type=Path, help="an ini file, or a directory of *.conf files")
    parser.add_argument("--once", action="store_true", help="one pass, then end")
    parser.add_argument("--verbose", action="store_true", help="log everything, whatever log_level says")
    parser.add_argument("--devices", type=_names, metavar="A,B", help="only these devices")
    parser.add_argument("--partitions", type=_numbers, metavar="1,2", help="only these partitions")
    parser.add_argument("--policies", type=_numbers, metavar="0,1", help="only these storage policies, by index")
    return parser


def _names(text: str) -> frozenset[str]:
    found = frozenset(item.strip() for item in text.split(",") if item.strip())
    if not found:
        raise argparse.ArgumentTypeError("expected names separated by commas")
    return found


def _numbers(text: str) -> frozenset[int]:
    try:
        return frozenset(int(item) for item in _names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected whole numbers separated by commas") from None


def _once(name: str, read: Callable[[], DaemonPlan], scope: Scope, terminal: Terminal) -> int:
    plan = read()
    process.set_title(name, "-", f"{plan.server.ini.path}{ONCE}")
    open_log(plan.server, None)
    for problem in take(priority_of(plan.settings)):
        _log.warning("%s", problem)
    workers = shares(plan, scope)
    if len(workers) == 1:
        report = _pass(plan, scope, None)
    else:
        report = _together(results_of([partial(_told_pass, plan, scope, share) for share in workers]))
    summary = " ".join(f"{key}={count}" for key, count in sorted(report.counts.items()))
    terminal.say(f"{name}: {report.job_count} jobs in {report.elapsed_s:.1f} s {summary}".rstrip())
    if not report.is_complete:
        failures = report.counts.get(FAILURES, 0)
        terminal.complain(f"{name}: not everything was done ({failures} failures; see the log)")
    return OK if report.is_complete else FAILED


def _pass(plan: DaemonPlan, scope: Scope, share: WorkerShare | None) -> PassReport:
    green.patch_sockets()
    return runner(plan, share).run_once(scope)


def _told_pass(plan: DaemonPlan, scope: Scope, share: WorkerShare | None) -> dict[str, Any]:
    """One process of several: run its share of a pass; the report for the parent, as JSON values."""
    try:
        return asdict(_pass(plan, scope, share))
    except CannotStart as error:
        return {_REFUSED: error.lines}


def _together(told: Sequence[dict[str, Any] | None]) -> PassReport:
    """One report of all processes; one that died has not done its part. Raises CannotStart when one could not start."""
    for each in told:
        if each is not None and _REFUSED in each:
            raise CannotStart(each[_REFUSED])
    reports = [PassReport(**each) for each in told if each is not None]
    counts = sum((Counter(report.counts) for report in reports), Counter({FAILURES: told.count(None)}))
    return PassReport(
        min((report.started_s for report in reports), default=0.0),
        max((report.elapsed_s for report in reports), default=0.0),
        sum(report.job_count for report in reports),
        counts,
        len(reports) == len(told) and all(report.is_complete for report in reports),
    )


def _supervise(name: str, read: Callable[[], DaemonPlan], scope: Scope) -> int:
    first = read()
    title = str(first.server.ini.path)
    process.set_title(name, "-", title)

    def programs() -> list[Program]:
        try:
            plan = read()
            return [
                Program(name, "-", partial(serve, [plan], scope, None, share=share), index=index)
                for index, share in enumerate(shares(plan, scope))
            ]
        except ConfigError as error:
            raise CannotStart([str(problem) for problem in error.problems]) from None

    user = first.server.settings.user if os.geteuid() == 0 else ""
    open_log(first.server, None)
    return Supervisor(programs, Options(title, _GRACE_S, _GRACE_S, user=user), say=lambda text: None).run()


def _read(name: str, path: Path, is_verbose: bool) -> DaemonPlan:
    """The daemon's section of the file, when the file and swift.conf can be used. Raises ConfigError."""
    server = read_server(path, role_of(name), "-")
    load_cluster(server.swift_dir)
    if is_verbose:
        server = replace(server, settings=replace(server.settings, log_level="debug"))
    (plan,) = plans([server], [name])
    return plan
