"""Installs the clients that the tests use: python-swiftclient into a venv of its own, rclone and rsync by apt."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.packages import ToolsMissing, programs, run

__all__ = ["Tools", "ToolsMissing", "install"]

SWIFTCLIENT = "python-swiftclient>=4.6,<5"


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
    return Tools(_swiftclient(cache_directory() / "swiftclient"), found["rclone"], found["rsync"])


def _swiftclient(folder: Path) -> Path:
    swift = folder / "bin" / "swift"
    if not swift.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        run([sys.executable, "-m", "venv", str(folder)])
        run([str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", SWIFTCLIENT])
    return swift
