"""objstore status DIR: one verdict with its reasons, every process, and how the last pass of every daemon went."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from objstore.cli.place import add_directory, ask_supervisor, existing
from objstore.cli.status_facts import gather
from objstore.cli.terminal import FAILED, OK, Terminal
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.servers import recon_directories
from objstore.cluster.verdict import Reason, Verdict, reasons, verdict
from objstore.daemon import recon
from objstore.daemon.pass_ import FAILURES

EXAMPLE = """\
example:
  objstore status ~/cluster --json
  objstore status ~/cluster --watch

Exit code 0: OK; 3: DEGRADED, a human should look; 1: DATA AT RISK, or not running; 78: no cluster in DIR.
"""
DEGRADED = 3
EXIT_CODES = {Verdict.OK: OK, Verdict.DEGRADED: DEGRADED, Verdict.DATA_AT_RISK: FAILED}
REASONS_SHOWN = 30
WATCH_S = 2.0
_CLEAR = "\x1b[H\x1b[2J"
_COLUMNS = ("pid", "role", "node", "device", "ports", "state", "restarts")
_DAEMON_COLUMNS = ("daemon", "node", "state", "passes", "last", "elapsed", "jobs", "failures", "counts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_directory(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object (with --watch: one per line)")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=WATCH_S,
        metavar="SECONDS",
        help=f"again every so many seconds ({WATCH_S:g}), until Ctrl-C",
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    directory = existing(arguments)
    if arguments.watch is None:
        return look(directory, terminal, arguments.json)
    is_screen = terminal.stdout.isatty() and not arguments.json

    def again() -> int:
        if is_screen:
            terminal.stdout.write(_CLEAR)
        return look(directory, terminal, arguments.json, indent=None)

    return watch(again, partial(time.sleep, arguments.watch))


def watch(again: Callable[[], int], pause: Callable[[], None]) -> int:
    """Call again() until Ctrl-C, which is how this ends well; the last exit code."""
    code = OK
    try:
        while True:
            code = again()
            pause()
    except KeyboardInterrupt:
        return code


def look(directory: ClusterDirectory, terminal: Terminal, as_json: bool, indent: int | None = 2) -> int:
    """Say how it is, once; returns the exit code. Raises CommandError when it does not run."""
    status = ask_supervisor(directory, {"do": "status"})
    status["daemons"] = daemon_rows(directory)
    found = reasons(gather(directory, status["processes"], status["daemons"]), time.time())
    worst = verdict(found)
    if as_json:
        status.pop("ok")
        status |= {"verdict": worst.value, "reasons": [dataclasses.asdict(reason) for reason in found]}
        terminal.say(json.dumps(status, indent=indent))
        return EXIT_CODES[worst]
    terminal.say(f"{status['directory']}: {status['state']}")
    for line in table(status["processes"]):
        terminal.say(line)
    if status["daemons"]:
        terminal.say()
        for line in table([shown(row, time.time()) for row in status["daemons"]], _DAEMON_COLUMNS):
            terminal.say(line)
    terminal.say()
    for line in verdict_lines(worst, found):
        terminal.say(line)
    return EXIT_CODES[worst]


def verdict_lines(worst: Verdict, found: Sequence[Reason]) -> list[str]:
    """The verdict and its first reasons, for a human: last on the screen, where one looks."""
    lines = [f"verdict: {worst.value}"]
    lines += [
        f"  {'at risk' if reason.severity is Verdict.DATA_AT_RISK else 'degraded'}: {reason.text}"
        for reason in found[:REASONS_SHOWN]
    ]
    if len(found) > REASONS_SHOWN:
        lines.append(f"  … and {len(found) - REASONS_SHOWN} more; --json has them all")
    return lines


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 86_400:
        raise ValueError(text)
    return value


def daemon_rows(directory: ClusterDirectory) -> list[dict[str, Any]]:
    """What every daemon of every node says of itself (daemon/runner.py), with its name and node. One whose recon file
    cannot be read is left out."""
    rows = []
    for node, path in recon_directories(directory).items():
        try:
            entries = recon.read(recon.recon_file(path, recon.DAEMONS))
        except OSError:
            continue
        rows += [
            {**entry, "daemon": name, "node": node}
            for name, entry in sorted(entries.items())
            if isinstance(entry, dict)
        ]
    return rows


def shown(row: Mapping[str, Any], now_s: float) -> dict[str, Any]:
    """A daemon's row as a human reads it; last: when its last pass began; counts: what it did then, which for some
    daemons (reaper, reconciler) stands nowhere else. Another version's may lack some of it."""
    started, elapsed, counts = row.get("started"), row.get("elapsed"), row.get("counts")
    found = counts.items() if isinstance(counts, dict) else ()
    return {
        **row,
        "last": f"{max(0.0, now_s - started):.0f} s ago" if isinstance(started, int | float) else "never",
        "elapsed": f"{elapsed:.1f} s" if isinstance(elapsed, int | float) else None,
        "failures": row.get("failures"),
        "counts": [f"{name}={count}" for name, count in sorted(found) if count and name != FAILURES],
    }


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = _COLUMNS) -> list[str]:
    """Rows of text in aligned columns, the heading first."""
    cells = [tuple(columns)] + [tuple(_cell(row.get(column)) for column in columns) for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        value = ",".join(map(str, value))
    return "-" if value in (None, "") else str(value)
