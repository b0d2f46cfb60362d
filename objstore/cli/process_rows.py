"""Processes as objstore-oldies and objstore-orphans list them, and the age that both ask for."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from objstore.cli.terminal import Terminal
from objstore.runtime.process_table import OurProcess

WIDTH = 80


def hours(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: expected hours, 0 or more")
    return value


def tell(rows: Sequence[OurProcess], terminal: Terminal, *, as_json: bool, is_wide: bool = True) -> None:
    """One line each under a heading; nothing at all when there are none."""
    if as_json:
        found = [{"pid": each.pid, "hours": round(each.age_s / 3600, 2), "command": each.title} for each in rows]
        terminal.say(json.dumps(found, indent=2))
        return
    lines = [f"{'Hours':>7}  {'PID':>7}  Command"] if rows else []
    lines += [f"{each.age_s / 3600:7.0f}  {each.pid:7d}  {each.title}" for each in rows]
    for line in lines:
        terminal.say(line if is_wide else line[:WIDTH])
