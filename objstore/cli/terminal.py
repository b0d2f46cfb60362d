"""What a command talks to: its two output streams and its environment; and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from objstore.config.errors import EX_CONFIG

OK = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130
__all__ = ["EX_CONFIG", "FAILED", "INTERRUPTED", "OK", "USAGE", "CommandError", "Terminal", "stop_writing"]


class CommandError(Exception):
    """Ends a command: `lines` go to standard error, `code` is its exit code."""

    def __init__(self, *lines: str, code: int = EX_CONFIG) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code


def stop_writing() -> None:
    """After BrokenPipeError: whoever read our output has left; Python would complain again while it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass(frozen=True, slots=True)
class Terminal:
    """stdin: whom to ask; None for the process' own."""

    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str]
    stdin: TextIO | None = None

    def say(self, text: str = "") -> None:
        print(text, file=self.stdout, flush=True)

    def say_if_heard(self, text: str) -> None:
        """As say(), for who lives longer than its reader: a pipe or terminal that is gone is no reason to stop."""
        try:
            self.say(text)
        except OSError:
            return

    def complain(self, text: str) -> None:
        print(f"objstore: {text}", file=self.stderr, flush=True)

    @property
    def can_ask(self) -> bool:
        """Whether somebody sits there who reads and can answer."""
        stdin = self.stdin or sys.stdin
        return stdin is not None and stdin.isatty() and self.stdout.isatty()

    def confirm(self, question: str) -> bool:
        """Ask; anything but yes, and the end of input, is no."""
        self.stdout.write(f"{question} (y/N) ")
        self.stdout.flush()
        return (self.stdin or sys.stdin).readline().strip().lower() in ("y", "yes")

    @property
    def shows_secrets(self) -> bool:
        """Whether somebody reads standard output now: a key is never written into a file or a pipe unasked."""
        return self.stdout.isatty()
