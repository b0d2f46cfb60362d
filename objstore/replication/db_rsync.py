"""Copying a database file into a peer's tmp/ with rsync, through the module its node serves. Source: formats 6.8.

rsync runs as a child process that a native thread waits for; it is never asked to use a shell or ssh.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass

from objstore.replication.rsync_module import PROGRAM, module_of
from objstore.ring.model import Node

_ERROR_BYTES_MAX = 500
_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Rsync:
    """module: a template (rsync_module.py). Seconds are whole, as rsync takes them. is_compressed: between regions."""

    module: str
    timeout_s: int = 60
    connect_timeout_s: int = 3
    is_compressed: bool = False

    def command(self, source: str, node: Node, name: str, *, is_far: bool = False) -> list[str]:
        """is_far: in another region. Raises ValueError for a node whose module could not be one."""
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


def _wait_s(timeout_s: int, connect_timeout_s: int) -> float:
    """rsync's own timeout is one of silence; a transfer that goes on may take this long in all."""
    return connect_timeout_s + max(timeout_s, 1) * 60 + _GRACE_S
