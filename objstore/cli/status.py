"""objstore status DIR: every process of a running cluster, and how the last pass of every daemon went."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from objstore.cli.place import add_directory, ask_supervisor, existing
from objstore.cli.terminal import OK, Terminal
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.servers import recon_directories
from objstore.daemon import recon
from objstore.daemon.runner import DAEMONS

EXAMPLE = """\
example:
  objstore status ~/cluster --json

Exit code 0: running; 1: not running; 78: no cluster in DIR.
"""
_COLUMNS = ("pid", "role", "node", "device", "ports", "state", "restarts")
_DAEMON_COLUMNS = ("daemon", "node", "state", "passes", "last", "elapsed", "jobs", "failures")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_directory(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    directory = existing(arguments)
    status = ask_supervisor(directory, {"do": "status"})
    status["daemons"] = daemon_rows(directory)
    if arguments.json:
        status.pop("ok")
        terminal.say(json.dumps(status, indent=2))
        return OK
    terminal.say(f"{status['directory']}: {status['state']}")
    for line in table(status["processes"]):
        terminal.say(line)
    if status["daemons"]:
        terminal.say()
        for line in table([shown(row, time.time()) for row in status["daemons"]], _DAEMON_COLUMNS):
            terminal.say(line)
    return OK


def daemon_rows(directory: ClusterDirectory) -> list[dict[str, Any]]:
    """What every daemon of every node says of itself (daemon/runner.py), with its name and node. One whose recon file
    cannot be read is left out."""
    rows = []
    for node, path in recon_directories(directory).items():
        try:
            entries = recon.read(recon.recon_file(path, DAEMONS))
        except OSError:
            continue
        rows += [
            {**entry, "daemon": name, "node": node}
            for name, entry in sorted(entries.items())
            if isinstance(entry, dict)
        ]
    return rows


def shown(row: Mapping[str, Any], now_s: float) -> dict[str, Any]:
    """A daemon's row as a human reads it; last: when its last pass began. Another version's may lack some of it."""
    started, elapsed = row.get("started"), row.get("elapsed")
    return {
        **row,
        "last": f"{max(0.0, now_s - started):.0f} s ago" if isinstance(started, int | float) else "never",
        "elapsed": f"{elapsed:.1f} s" if isinstance(elapsed, int | float) else None,
        "failures": row.get("failures"),
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
