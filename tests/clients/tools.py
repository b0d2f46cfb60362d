"""Installs the clients that the tests use: python-swiftclient into a venv of its own, rclone and rsync by apt."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SWIFTCLIENT = "python-swiftclient>=4.6,<5"
PACKAGES = ("rclone", "rsync")
_INSTALL_S = 600


class ToolsMissing(Exception):
    """A client is not there and cannot be installed here; says why."""


@dataclass(frozen=True, slots=True)
class Tools:
    swift: Path
    rclone: Path
    rsync: Path


def cache_directory() -> Path:
    """Where installed clients are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "objstore-tests"


def install() -> Tools:
    """The clients, installed where they are missing. ToolsMissing when that is not possible (no network, no root)."""
    missing = [name for name in PACKAGES if shutil.which(name) is None]
    if missing:
        _apt_install(missing)
    rclone, rsync = (shutil.which(name) for name in PACKAGES)
    if rclone is None or rsync is None:
        raise ToolsMissing(f"{', '.join(missing)}: apt-get said it installed them, but they are not in PATH")
    return Tools(_swiftclient(cache_directory() / "swiftclient"), Path(rclone), Path(rsync))


def _apt_install(names: Sequence[str]) -> None:
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise ToolsMissing(f"{', '.join(names)} not installed, and only root may apt-get install them")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], environ)
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names], environ)


def _swiftclient(folder: Path) -> Path:
    swift = folder / "bin" / "swift"
    if not swift.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", SWIFTCLIENT])
    return swift


def _run(command: Sequence[str], environ: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_INSTALL_S)
    except subprocess.TimeoutExpired as error:
        raise ToolsMissing(f"{' '.join(command)}: not done within {_INSTALL_S} s") from error
    if done.returncode != 0:
        raise ToolsMissing(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
