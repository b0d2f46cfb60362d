"""Programs that tests need and the machine may lack: installed by apt where that is possible, else said."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

INSTALL_S = 600.0


class ToolsMissing(Exception):
    """A program is not there and cannot be installed here; says why."""


def programs(packages: Mapping[str, str]) -> dict[str, Path]:
    """Where each program is, by name. packages: program → the Debian package that has it. Raises ToolsMissing."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for name in packages if shutil.which(name, path=path) is None]
    if missing:
        apt_install([packages[name] for name in missing])
    found = {name: shutil.which(name, path=path) for name in packages}
    if absent := [name for name, where in found.items() if where is None]:
        raise ToolsMissing(f"{', '.join(absent)}: apt-get said it installed them, but they are not in PATH")
    return {name: Path(where) for name, where in found.items() if where is not None}


def apt_install(names: Sequence[str]) -> None:
    """Raises ToolsMissing."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise ToolsMissing(f"{', '.join(names)} not installed, and only root may apt-get install them")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], environ)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names], environ)


def run(command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
    """Run an installer to its end. Raises ToolsMissing."""
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired as error:
        raise ToolsMissing(f"{' '.join(command)}: not done within {INSTALL_S:.0f} s") from error
    if done.returncode != 0:
        raise ToolsMissing(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
