"""Copying a database file into a peer's tmp/ with rsync, through the module its node serves. Source: formats 6.8.

rsync runs as a child process that a native thread waits for; it is never asked to use a shell or ssh.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass

from objstore.ring.model import Node

PROGRAM = "rsync"
_ERROR_BYTES_MAX = 500
_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Rsync:
    """module: a template such as "{replication_ip}::container"; fields: ip port replication_ip replication_port region
    zone device meta. Seconds are whole, as rsync takes them. compress: between regions."""

    module: str
    timeout_s: int = 60
    connect_timeout_s: int = 3
    is_compressed: bool = False

    def command(self, source: str, node: Node, name: str, *, is_far: bool = False) -> list[str]:
        """is_far: in another region."""
        options = ["--quiet", "--no-motd", f"--timeout={self.timeout_s}", f"--contimeout={self.connect_timeout_s}"]
        options += ["--whole-file", "--times"]
        if self.is_compressed and is_far:
            options.append("--compress")
        return [PROGRAM, *options, "--", source, f"{module_of(self.module, node)}/{node.name}/tmp/{name}"]

    def push(self, command: list[str]) -> str:
        """Run it and wait (blocks: for a native thread); "" when the file arrived, else what rsync said."""
        with tempfile.TemporaryFile() as errors:
            try:
                # No pipes: reading them would need select(), which is green in this process, and this thread is not.
                child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
            except OSError as error:
                return str(error)
            try:
                code = child.wait(_wait_s(self.timeout_s, self.connect_timeout_s))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                return "not done in time"
            if code == 0:
                return ""
            errors.seek(0)
            said = errors.read(_ERROR_BYTES_MAX).decode(errors="replace").strip()
            return f"exit code {code}: {said}"


def module_of(template: str, node: Node) -> str:
    """Where a node's rsync daemon keeps its devices."""
    device = node.device
    return template.format(
        ip=_bracketed(device.ip),
        port=device.port,
        replication_ip=_bracketed(device.replication_ip),
        replication_port=device.replication_port,
        region=device.region,
        zone=device.zone,
        device=device.device,
        meta=device.meta,
    )


def checked_module(template: str) -> str:
    """A template of the settings. Raises ValueError for one that rsync would take for a directory or for ssh."""
    if not template:
        return template
    if "::" not in template and not template.startswith("rsync://"):
        raise ValueError("a module of an rsync daemon is HOST::MODULE")
    try:
        template.format(ip="", port="", replication_ip="", replication_port="", region="", zone="", device="", meta="")
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise ValueError(f"unknown field {error}") from None
    return template


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _wait_s(timeout_s: int, connect_timeout_s: int) -> float:
    """rsync's own timeout is one of silence; a transfer that goes on may take this long in all."""
    return connect_timeout_s + max(timeout_s, 1) * 60 + _GRACE_S
