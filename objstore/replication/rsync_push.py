"""Pushing suffix directories of a partition with rsync, through the module that the other node's rsync daemon serves.

Files are never overwritten (--ignore-existing: a name says its content) and never deleted; extended attributes travel;
the side files of large metadata sort first, so that they are there before their owners (doc/decisions/0004). rsync
syncs nothing: nobody may remove a copy because rsync ended well (object/passes/replicate.py asks the node
afterwards). Source: formats 6.8. rsync runs as a child process that a native thread waits for; no shell, no ssh.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from objstore.core.policy import policy_directory
from objstore.replication.rsync_module import PROGRAM, module_of
from objstore.ring.model import Node
from objstore.runtime.devices import is_safe_name
from objstore.storage.hashes import is_suffix
from objstore.storage.partitions import is_partition

TEMPORARY_PATTERN = ".*." + "[0-9a-zA-Z]" * 6
"""Names of rsync's own temporary files: those that an interrupted push left here must not travel."""
_OUTPUT_BYTES_MAX = 1 << 20
_NO_DAEMON = frozenset({5, 10, 35})
"""Exit codes of rsync: no conversation could be begun (no such module), no connection, no connection in time."""
_VANISHED = 24
"""Files went away while rsync looked: they were superseded, and what superseded them is sent by the next pass."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """file_count: files that were sent. failure: "" when everything arrived. has_no_daemon: the other node serves no
    such module, so that trying it for other partitions is of no use now."""

    file_count: int = 0
    failure: str = ""
    has_no_daemon: bool = False


@dataclass(frozen=True, slots=True)
class RsyncPush:
    """module: a template (rsync_module.py). timeout_s: of a whole push; io_timeout_s: of silence. bandwidth_kb_s: 0 is
    unlimited. is_compressed: between regions."""

    module: str
    timeout_s: float = 900.0
    io_timeout_s: int = 30
    bandwidth_kb_s: int = 0
    is_compressed: bool = False

    def command(
        self, node: Node, policy_index: int, partition: str, suffixes: Sequence[str], *, is_far: bool = False
    ) -> list[str]:
        """What to run in the partition's directory. is_far: the node is in another region. Raises ValueError."""
        if not is_safe_name(node.name) or not is_partition(partition) or not all(map(is_suffix, suffixes)):
            raise ValueError(f"{node.name!r}/{partition!r}: not a device, a partition and suffixes")
        options = ["--recursive", "--whole-file", "--human-readable", "--xattrs", "--itemize-changes"]
        options += ["--ignore-existing", f"--timeout={self.io_timeout_s}", f"--contimeout={self.io_timeout_s}"]
        options += [f"--bwlimit={self.bandwidth_kb_s}", f"--exclude={TEMPORARY_PATTERN}"]
        if self.is_compressed and is_far:
            options.append("--compress")
        directory = policy_directory("objects", policy_index)
        target = f"{module_of(self.module, node)}/{node.name}/{directory}/{partition}"
        return [PROGRAM, *options, "--", *sorted(suffixes), target]

    def run(self, command: list[str], partition_path: str) -> Pushed:
        """Run a command and wait; blocks: for a native thread. Raises nothing that rsync or the peer does."""
        with tempfile.TemporaryFile() as output:
            try:
                # No pipes: reading them would need select(), which is green in this process, and this thread is not.
                child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=partition_path
                )
            except OSError as error:
                return Pushed(failure=f"{PROGRAM} cannot be run: {error}", has_no_daemon=True)
            try:
                code = child.wait(self.timeout_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                return Pushed(failure=f"rsync was not done within {self.timeout_s:g} s (rsync_timeout)")
            output.seek(0)
            lines = output.read(_OUTPUT_BYTES_MAX).decode("utf-8", "replace").splitlines()
        sent = sum(line.startswith("<f") for line in lines)
        if code in (0, _VANISHED):
            return Pushed(sent)
        said = "; ".join(line for line in lines if line and not line.startswith(("<f", "cd", ".d")))
        return Pushed(sent, f"rsync ended with {code}: {said[:300]}", code in _NO_DAEMON)
