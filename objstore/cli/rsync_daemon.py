"""The rsync daemon of a cluster directory: its configuration, and the process under the supervisor."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from objstore.cluster import rsyncd
from objstore.cluster.client import is_of_several
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.peer_gate import rsync_gate
from objstore.cluster.servers import ServerFile
from objstore.runtime.fs import Fs
from objstore.runtime.listen import Address, is_free
from objstore.runtime.priority import give_way
from objstore.runtime.supervisor import CannotStart
from objstore.runtime.worker import Program, Worker

ROLE = "rsync"
PREDECESSOR_S = 35.0
_log = logging.getLogger("objstore.rsync")


def program(directory: ClusterDirectory, servers: Sequence[ServerFile]) -> Program | None:
    """Writes etc/rsyncd.conf; None where there is nothing to run. Raises CannotStart."""
    is_one_node = is_of_several(directory)
    where = rsyncd.listening(servers, is_of_several=is_one_node)
    if where is None:
        return None
    rsync = shutil.which("rsync")
    if rsync is None:
        _log.warning("rsync is not installed: replication goes in-band; install it and restart to have it used")
        return None
    path = directory.etc / rsyncd.FILE_NAME
    try:
        write(directory, servers, where, rsync_gate(directory.etc, servers).addresses() if is_one_node else ())
    except OSError as error:
        raise CannotStart([f"{path}: cannot be written ({error.strerror})"]) from None
    run = partial(_run, rsync, path, directory.log_file(ROLE, "-"), (where.ip, where.port))
    return Program(ROLE, "-", run, device=f"port {where.port}")


def write(
    directory: ClusterDirectory, servers: Sequence[ServerFile], where: rsyncd.Listening, others: Iterable[str] = ()
) -> None:
    """etc/rsyncd.conf, which a running daemon reads again at every connection. others: addresses and networks besides
    our own that may bring files. Raises OSError."""
    lock_file = str(directory.run.resolve() / "rsync.lock")
    owner = (os.geteuid(), os.getegid()) if os.geteuid() == 0 else None
    text = rsyncd.text(where, rsyncd.modules(servers), lock_file, owner, others)
    Fs().replace_file(str(directory.etc / rsyncd.FILE_NAME), text.encode())


def _run(rsync: str, configuration: Path, log_file: Path, address: Address, worker: Worker) -> None:
    """In the child: become rsync, background work as much as those who call it. It ends by SIGTERM, and with its
    parent, as any other process here."""
    arguments = ["rsync", "--daemon", "--no-detach", f"--config={configuration}", f"--log-file={log_file}"]
    give_way()
    worker.ready()
    # At a reload the rsync before this one goes once we are ready; if it does not, this one fails and is started again.
    deadline = time.monotonic() + PREDECESSOR_S
    while not is_free(address) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.execv(rsync, arguments)
