"""The DIR argument that most commands have, and what it must be."""

from __future__ import annotations

import argparse
from pathlib import Path

from objstore.cli.terminal import FAILED, CommandError
from objstore.cluster.directory import ClusterDirectory
from objstore.runtime import control


def add_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", type=Path, help="the cluster's directory")


def directory_of(arguments: argparse.Namespace) -> ClusterDirectory:
    """DIR with its real path, so that every process of the cluster says the same name."""
    return ClusterDirectory(arguments.directory.expanduser().resolve())


def existing(arguments: argparse.Namespace) -> ClusterDirectory:
    """DIR, which must hold a cluster."""
    directory = directory_of(arguments)
    if not directory.exists:
        raise CommandError(f"{directory.root}: no cluster here; make one with: objstore up {directory.root}")
    return directory


def ask_supervisor(directory: ClusterDirectory, message: control.Message) -> control.Message:
    """Its answer; a CommandError when nobody answers or it says no."""
    try:
        reply = control.ask(directory.run, message)
    except control.NotRunning:
        raise CommandError(
            f"{directory.root}: not running; start it with: objstore up {directory.root}", code=FAILED
        ) from None
    if not reply.get("ok"):
        raise CommandError(f"{directory.root}: {reply.get('error')}", code=FAILED)
    return reply
