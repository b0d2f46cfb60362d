"""objstore down DIR: stop a running cluster and wait until it is gone."""

from __future__ import annotations

import argparse
import time

from objstore.cli.place import add_directory, ask_supervisor, existing
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.runtime.lock import is_held

EXAMPLE = """\
example:
  objstore down ~/cluster
"""
_PATIENCE_S = 10.0
_POLL_S = 0.02


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_directory(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    directory = existing(arguments)
    pid = ask_supervisor(directory, {"do": "stop"})["pid"]
    end = time.monotonic() + _PATIENCE_S
    while is_held(directory.run):
        if time.monotonic() > end:
            raise CommandError(f"{directory.root}: supervisor {pid} did not end in {_PATIENCE_S:g} s", code=FAILED)
        time.sleep(_POLL_S)
    terminal.say(f"{directory.root}: stopped")
    return OK
