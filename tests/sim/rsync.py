"""rsync between simulated nodes: what the real one does to disks, over the simulated network, a piece at a time.

It runs in a process of its own on either side: the sender's outlives the daemon that began it (kill -9 of a replicator
does not reach its child), the receiver's is the rsync daemon of its node. A file is written under a hidden name,
`.NAME.XXXXXX`, in pieces; then its attributes are set, then it is renamed. Nothing is synced. Who dies between leaves
the hidden file behind; who loses the connection removes it. A name that is there already is not touched
(--ignore-existing), and hidden files of that form do not travel.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import eventlet

from objstore.object.passes import replicate_boot
from objstore.object.passes.deliver import Small
from objstore.replication import db_factory
from objstore.replication.db_rsync import Rsync
from objstore.replication.rsync_push import TEMPORARY_PATTERN, Pushed, RsyncPush
from tests.sim.disk import SimFs
from tests.sim.host import HOST, Ended, Process, current_process
from tests.support.durability import Content

if TYPE_CHECKING:
    from tests.sim.nodes import Node
    from tests.sim.world import World

SETTINGS = {
    "object-replicator": {"sync_method": "rsync", "rsync_module": "{replication_ip}::object"},
    "account-replicator": {"rsync_module": "{replication_ip}::account"},
    "container-replicator": {"rsync_module": "{replication_ip}::container"},
}
_PIECE_BYTES = 4096
_PIECE_S = 0.002
_SILENCE_S = 30.0
_TARGET = re.compile(r"([^:]+)::[a-z]+/([^/]+)/(.+)\Z")


class _Broken(Exception):
    """code: of rsync's exit."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def install(world: World) -> None:
    """From now on every replicator of this run finds rsync."""
    transfers = _Transfers(world)
    for node in world.nodes:
        for name, settings in SETTINGS.items():
            node.daemon_settings[name] = {**node.daemon_settings.get(name, {}), **settings}
        # Nothing goes in-band for being small.
        node.travels_in_band = Small(0, 0)
    replicate_boot.is_installed = db_factory.is_installed = lambda: True
    RsyncPush.run = lambda self, command, path: transfers.objects(command, path)  # type: ignore[method-assign]
    Rsync.push = lambda self, command: transfers.database(command)  # type: ignore[method-assign]


class _Transfers:
    def __init__(self, world: World) -> None:
        self._world = world

    def objects(self, command: list[str], path: str) -> Pushed:
        *suffixes, target = command[command.index("--") + 1 :]
        sent: list[str] = []

        def work(receiver: _Receiver) -> None:
            for suffix in suffixes:
                for name in _files(path, suffix):
                    if receiver.take(f"{path}/{name}", name):
                        sent.append(name)

        problem = self._run(target, work)
        HOST.trace(f"rsync {path} {' '.join(suffixes)} to {target}: {len(sent)} files {problem or ''}")
        if problem is None:
            return Pushed(len(sent))
        return Pushed(len(sent), f"rsync ended with {problem.code}: {problem}", problem.code == 10)

    def database(self, command: list[str]) -> str:
        source, target = command[command.index("--") + 1 :]
        directory, _, name = target.rpartition("/")
        problem = self._run(directory, lambda receiver: receiver.take(source, name))
        HOST.trace(f"rsync {source} to {target}: {problem or 'done'}")
        return "" if problem is None else f"exit code {problem.code}: {problem}"

    def _run(self, target: str, work: Callable[[_Receiver], object]) -> _Broken | None:
        """What went wrong; None: all arrived."""
        matched, caller = _TARGET.match(target), current_process()
        assert matched is not None, target
        assert caller is not None and caller.node is not None, "nobody runs rsync"
        there = next(node for node in self._world.nodes if node.ip == matched[1])
        sender = caller.node.processes.get("rsync")
        if sender is None:
            return _Broken(14, "no process")
        receiver = _Receiver(self._world, caller.node, there, f"{there.root}/{matched[2]}/{matched[3]}")
        try:
            sender.run(receiver.serve, work)
        except _Broken as broken:
            return broken
        except Ended:
            return _Broken(20, "killed")
        except OSError as error:
            return _Broken(23, str(error))
        return None


class _Receiver:
    """The other side of one conversation. here: the sender's node."""

    def __init__(self, world: World, here: Node, there: Node, directory: str) -> None:
        self._network = world.network
        self._here = here
        self._there = there
        self._directory = directory
        self._process: Process | None = None

    def serve(self, work: Callable[[_Receiver], object]) -> None:
        """Raises _Broken, OSError of a disk."""
        self._process = self._there.processes.get("rsyncd")
        self._talk(10)
        if not os.path.isdir(os.path.dirname(os.path.dirname(self._directory))):
            raise _Broken(5, "no such device")
        work(self)

    def take(self, source: str, name: str) -> bool:
        """One file; whether it was sent."""
        path = f"{self._directory}/{name}"
        if os.path.exists(path):
            return False
        try:
            content = Content.of(source)
        except FileNotFoundError:
            return False
        directory, _, last = path.rpartition("/")
        hidden = f"{directory}/.{last}.{HOST.random.randrange(10**6):06d}"
        self._act(lambda: _write(directory, hidden, b"", 0))
        try:
            for start in range(0, len(content.data), _PIECE_BYTES):
                self._talk(30)
                self._act(partial(_write, directory, hidden, content.data[start : start + _PIECE_BYTES], start))
            self._talk(30)
        except _Broken:
            # The daemon that lives sees the end of the connection; one that was killed sees nothing any more.
            self._act(lambda: SimFs().unlink(hidden))
            raise
        self._act(lambda: _finish(hidden, path, content))
        return True

    def _talk(self, code: int) -> None:
        """A piece is on its way. Raises _Broken when nobody hears it for too long."""
        eventlet.sleep(_PIECE_S)
        waited = 0.0
        while not self._hears():
            if self._process is None or not self._process.is_alive or waited >= _SILENCE_S:
                raise _Broken(code, "nobody answers")
            eventlet.sleep(0.5)
            waited += 0.5

    def _hears(self) -> bool:
        here, there = self._here.name, self._there.name
        is_alive = self._process is not None and self._process.is_alive
        return is_alive and self._network.passes(here, there) and self._network.passes(there, here)

    def _act(self, effect: Callable[[], object]) -> None:
        if self._process is None or not self._process.is_alive:
            raise _Broken(12, "the other side has ended")
        try:
            self._process.run(effect)
        except Ended:
            raise _Broken(12, "the other side has ended") from None


def _files(path: str, suffix: str) -> Iterator[str]:
    """In the order in which rsync sends them: by name, hidden ones first."""
    for directory, names, files in os.walk(f"{path}/{suffix}"):
        names.sort()
        for name in sorted(files):
            if not fnmatch.fnmatch(name, TEMPORARY_PATTERN):
                yield os.path.relpath(f"{directory}/{name}", path)


def _write(directory: str, hidden: str, data: bytes, start: int) -> None:
    os.makedirs(directory, exist_ok=True)
    fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.lseek(fd, start, os.SEEK_SET)
        SimFs().write(fd, data)
    finally:
        os.close(fd)


def _finish(hidden: str, path: str, content: Content) -> None:
    fs = SimFs()
    fs.set_attributes(hidden, {name.removeprefix("user."): value for name, value in content.attributes.items()})
    fs.rename(hidden, path)
