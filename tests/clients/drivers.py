"""`swift` and `rclone` as a user runs them: upload, list and download a tree, with the cluster's own credentials."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tests.clients.tools import Tools
from tests.support.cluster import Cluster

COMMAND_S = 1800
ADMIN = "admin:admin"


class ClientFailed(AssertionError):
    """A client ended with an error; carries its last words."""


class Driver(Protocol):
    """name; start_upload runs in the background, the others to their end. Trees keep their paths as object names."""

    name: str

    def start_upload(self, source: Path, container: str) -> subprocess.Popen[str]: ...
    def names(self, container: str) -> list[str]: ...
    def download(self, container: str, target: Path) -> None: ...


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a client; ClientFailed unless it ends with 0."""
    try:
        out, err = process.communicate(timeout=COMMAND_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise ClientFailed(f"{process.args}: not done within {COMMAND_S} s") from None
    if process.returncode != 0:
        raise ClientFailed(f"{process.args}: exit {process.returncode}\n{out[-2000:]}\n{err[-2000:]}")


class Command:
    """A program with an environment of its own. start() in the background, output() to its end; ClientFailed."""

    def __init__(self, program: Path, environ: Mapping[str, str]) -> None:
        self._program = program
        self._environ = {**os.environ, "LC_ALL": "C.UTF-8", **environ}

    def start(self, arguments: Sequence[str], cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self._program), *arguments], env=self._environ, cwd=cwd, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def output(self, arguments: Sequence[str], cwd: Path | None = None) -> str:
        done = subprocess.run(
            [str(self._program), *arguments], env=self._environ, cwd=cwd, text=True, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=COMMAND_S,
        )  # fmt: skip
        if done.returncode != 0:
            raise ClientFailed(f"{done.args}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done.stdout


class Swift:
    """python-swiftclient's command."""

    name = "swift"

    def __init__(self, tools: Tools, cluster: Cluster) -> None:
        self.command = Command(
            tools.swift, {"ST_AUTH": cluster.auth_url, "ST_USER": ADMIN, "ST_KEY": cluster.key(ADMIN)}
        )

    def start_upload(self, source: Path, container: str) -> subprocess.Popen[str]:
        return self.command.start(["--quiet", "upload", container, "."], cwd=source)

    def names(self, container: str) -> list[str]:
        return self.command.output(["list", container]).splitlines()

    def download(self, container: str, target: Path) -> None:
        self.command.output(["--quiet", "download", container, "--output-dir", str(target)])

    def upload_as(self, source: Path, container: str, name: str) -> None:
        self.command.output(["--quiet", "upload", container, str(source), "--object-name", name])

    def download_as(self, container: str, name: str, target: Path) -> None:
        self.command.output(["--quiet", "download", container, name, "--output", str(target)])


class Rclone:
    """rclone's swift backend, configured by the environment alone."""

    name = "rclone"

    def __init__(self, tools: Tools, cluster: Cluster) -> None:
        self.command = Command(
            tools.rclone,
            {
                "RCLONE_CONFIG": "/dev/null",
                "RCLONE_CONFIG_HERE_TYPE": "swift",
                "RCLONE_CONFIG_HERE_AUTH": cluster.auth_url,
                "RCLONE_CONFIG_HERE_USER": ADMIN,
                "RCLONE_CONFIG_HERE_KEY": cluster.key(ADMIN),
            },
        )

    def start_upload(self, source: Path, container: str) -> subprocess.Popen[str]:
        return self.command.start(["copy", "--retries", "1", str(source), f"here:{container}"])

    def names(self, container: str) -> list[str]:
        return self.command.output(["lsf", "--recursive", "--files-only", f"here:{container}"]).splitlines()

    def download(self, container: str, target: Path) -> None:
        self.command.output(["copy", "--retries", "1", f"here:{container}", str(target)])
