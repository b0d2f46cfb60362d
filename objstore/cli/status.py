"""objstore status DIR: every process of a running cluster."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from objstore.cli.place import add_directory, ask_supervisor, existing
from objstore.cli.terminal import OK, Terminal

EXAMPLE = """\
example:
  objstore status ~/cluster --json

Exit code 0: running; 1: not running; 78: no cluster in DIR.
"""
_COLUMNS = ("pid", "role", "node", "device", "ports", "state", "restarts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_directory(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    directory = existing(arguments)
    status = ask_supervisor(directory, {"do": "status"})
    if arguments.json:
        status.pop("ok")
        terminal.say(json.dumps(status, indent=2))
        return OK
    terminal.say(f"{status['directory']}: {status['state']}")
    for line in table(status["processes"]):
        terminal.say(line)
    return OK


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows of text in aligned columns, the heading first."""
    cells = [_COLUMNS] + [tuple(_cell(row.get(column)) for column in _COLUMNS) for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(_COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        value = ",".join(map(str, value))
    return "-" if value in (None, "") else str(value)
