"""What every command of objstore-ring-builder gets: its arguments, the files, where to print and whom to ask."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from objstore.cli.ring_builder_files import RingFiles

EXIT_OK = 0
EXIT_WARNING = 1
EXIT_ERROR = 2


class CommandError(Exception):
    """Ends a command with exit code 2; nothing has been changed. The text is for the operator."""


@dataclass(frozen=True, slots=True)
class Session:
    arguments: argparse.Namespace
    files: RingFiles
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO

    def say(self, text: str = "") -> None:
        print(text, file=self.stdout)

    def warn(self, text: str) -> None:
        print(text, file=self.stderr)

    def say_json(self, value: Any) -> None:
        """value: of plain lists, dicts, texts and numbers."""
        json.dump(value, self.stdout, indent=2)
        self.stdout.write("\n")

    def confirm(self, question: str) -> bool:
        """Ask; anything but yes, and the end of input, is no."""
        self.stdout.write(f"{question} (y/N) ")
        self.stdout.flush()
        return self.stdin.readline().strip().lower() in ("y", "yes")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need; all but the first right-aligned."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = []
    for row in (headings, *rows):
        cells = [
            text.ljust(width) if not n else text.rjust(width)
            for n, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
