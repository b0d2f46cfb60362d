"""Installs the clients that the tests use: those of Python each into a venv of its own, the others by apt."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.packages import ToolsMissing, apt_install, programs, run

__all__ = ["Tools", "ToolsMissing", "browser", "duplicity", "install", "python_with"]

SWIFTCLIENT = "python-swiftclient>=4.6,<5"
LIBCLOUD = "apache-libcloud>=3.8,<4"
SELENIUM = "selenium>=4.20,<5"


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
    found = programs({"rclone": "rclone", "rsync": "rsync"})
    return Tools(python_with(SWIFTCLIENT).parent / "swift", found["rclone"], found["rsync"])


def python_with(requirement: str) -> Path:
    """A Python that has this package; installed once. Raises ToolsMissing."""
    folder = cache_directory() / re.split(r"[<>=!]", requirement)[0].removeprefix("python-")
    python, whole = folder / "bin" / "python", folder / "installed"
    if not whole.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        run([sys.executable, "-m", "venv", "--clear", str(folder)])
        run([str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", requirement])
        whole.touch()
    return python


def duplicity() -> Path:
    """Raises ToolsMissing."""
    found = programs({"duplicity": "duplicity", "gpg": "gnupg"})
    if not Path("/usr/lib/python3/dist-packages/swiftclient").is_dir():
        apt_install(["python3-swiftclient"])  # Its swift backend; duplicity runs in the system's Python.
    return found["duplicity"]


def browser() -> tuple[Path, Path]:
    """Chromium and its driver. Raises ToolsMissing."""
    found = programs({"chromium": "chromium", "chromedriver": "chromium-driver"})
    return found["chromium"], found["chromedriver"]
