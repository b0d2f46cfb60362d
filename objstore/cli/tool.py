"""A command of its own beside the umbrella one: objstore-get-nodes and its like. What such commands have in common."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TextIO

from objstore.cli.main import run_command
from objstore.cli.terminal import Terminal
from objstore.core.timestamp import InvalidTimestamp, Timestamp


class Main(Protocol):
    def __call__(
        self,
        argv: Sequence[str] | None = None,
        *,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> int:
        """argv: without the program's name. Returns the exit code."""
        ...


def tool_parser(prog: str, description: str, examples: str) -> argparse.ArgumentParser:
    """examples: what --help ends with, as it stands."""
    return argparse.ArgumentParser(
        prog=prog, description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def tool_main(
    make_parser: Callable[[], argparse.ArgumentParser], run: Callable[[argparse.Namespace, Terminal], int]
) -> Main:
    """The main() of a command. run(arguments, terminal) gives the exit code, or raises CommandError, ConfigError."""

    def main(
        argv: Sequence[str] | None = None,
        *,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> int:
        terminal = Terminal(stdout or sys.stdout, stderr or sys.stderr, os.environ if environ is None else environ)
        arguments = make_parser().parse_args(list(sys.argv[1:] if argv is None else argv))
        return run_command(lambda: run(arguments, terminal), terminal)

    return main


def timestamp_argument(text: str) -> Timestamp:
    """A type for argparse: a timestamp in any of its forms."""
    try:
        return Timestamp.parse(text)
    except InvalidTimestamp as error:
        raise argparse.ArgumentTypeError(str(error)) from None
