"""Faults of the soak: chosen by the seed, done one after the other, and undone.

What destroys something (a disk, a database, a byte) is done only where enough good copies are elsewhere: more than that
no cluster of three copies promises. Every fault stands in the log with its time.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Protocol

from tests.soak.clients import Gate
from tests.support.lying_there import Disks

CALM_S = 120.0
"""How long a fault that destroys waits for a whole cluster; then it is left out, and said."""
_STORAGE_ROLES = ("object-server", "container-server", "account-server")


class Target(Protocol):
    """What faults need of a cluster."""

    nodes: list[str]

    def kill_node(self, node: str) -> None: ...

    def start_node(self, node: str) -> None: ...

    def pids(self, node: str | None = None, role: str | None = None) -> list[int]: ...

    def freeze(self, node: str, role: str | None = None) -> list[int]: ...

    def thaw(self, pids: Sequence[int]) -> None: ...

    def device_path(self, node: str, device: str = "d1") -> Path: ...

    def disks(self) -> Disks: ...


class Splitting(Protocol):
    """A cluster whose nodes have links that can be cut."""

    nodes: list[str]

    def split(self, *sides: Sequence[str]) -> AbstractContextManager[None]:
        """Nobody of one side hears anybody of another inside the block."""

    def deaf(self, node: str, to: Sequence[str]) -> AbstractContextManager[None]:
        """What these nodes send to it never arrives; what it sends does."""


class Faults:
    """is_whole: whether the cluster is whole now; what destroys waits for that with the gate closed."""

    def __init__(
        self,
        target: Target,
        seed: int,
        gate: Gate,
        is_whole: Callable[[], bool],
        splitting: Splitting | None = None,
        say: Callable[[str], None] = lambda text: None,
        destroys_every_s: float = 12.0,
    ) -> None:
        self._target = target
        self._random = random.Random(f"{seed}/faults")
        self._gate = gate
        self._is_whole = is_whole
        self._splitting = splitting
        self._destroys_every_s = destroys_every_s
        self._tell = say
        self._began_s = time.monotonic()
        self.log: list[str] = []
        self.calm_s = 0.0
        """Spent waiting with the gate closed."""

    def run(self, is_over: threading.Event) -> None:
        """Fault after fault; everything is as it should be at the end, but for what was destroyed."""
        mild: list[Callable[[threading.Event], None]] = [
            self._node_killed,
            self._node_killed,
            self._two_nodes_killed,
            self._node_frozen,
            self._role_frozen,
            self._server_killed,
            self._daemons_killed,
            self._proxy_killed,
            self._byte_flipped,
            self._byte_flipped,
        ]
        if self._splitting is not None:
            mild += [self._halves, self._halves, self._node_deaf]
        destructive = [self._disk_emptied, self._database_lost]
        next_s = time.monotonic() + self._destroys_every_s / 2
        while not is_over.is_set():
            if time.monotonic() >= next_s:
                self._random.choice(destructive)()
                next_s = time.monotonic() + self._destroys_every_s
            else:
                self._random.choice(mild)(is_over)
            is_over.wait(self._random.uniform(0.1, 1.0))

    def _say(self, text: str) -> None:
        self.log.append(f"{time.monotonic():.3f} (+{time.monotonic() - self._began_s:.1f} s) {text}")
        self._tell(self.log[-1])

    def _node(self) -> str:
        return self._random.choice(self._target.nodes)

    def _while(self, is_over: threading.Event, longest_s: float) -> None:
        is_over.wait(self._random.uniform(0.2, longest_s))

    # What passes

    def _node_killed(self, is_over: threading.Event) -> None:
        self._killed([self._node()], is_over)

    def _two_nodes_killed(self, is_over: threading.Event) -> None:
        self._killed(self._random.sample(self._target.nodes, 2), is_over)

    def _killed(self, nodes: list[str], is_over: threading.Event) -> None:
        self._say(f"kill -9 of {' and '.join(nodes)}")
        for node in nodes:
            self._target.kill_node(node)
        self._while(is_over, 4.0)
        for node in nodes:
            self._target.start_node(node)
        self._say(f"{' and '.join(nodes)} serve again")

    def _node_frozen(self, is_over: threading.Event) -> None:
        self._frozen(self._node(), None, is_over)

    def _role_frozen(self, is_over: threading.Event) -> None:
        self._frozen(self._node(), self._random.choice(_STORAGE_ROLES), is_over)

    def _frozen(self, node: str, role: str | None, is_over: threading.Event) -> None:
        self._say(f"SIGSTOP of {node} {role or 'all of it'}")
        pids = self._target.freeze(node, role)
        self._while(is_over, 3.0)
        self._target.thaw(pids)
        self._say(f"SIGCONT of {node}")

    def _server_killed(self, is_over: threading.Event) -> None:
        self._kill_one(self._node(), self._random.choice(_STORAGE_ROLES))

    def _daemons_killed(self, is_over: threading.Event) -> None:
        self._kill_one(self._node(), "daemons")

    def _proxy_killed(self, is_over: threading.Event) -> None:
        self._kill_one(None, "proxy-server")

    def _kill_one(self, node: str | None, role: str) -> None:
        pids = self._target.pids(node, role)
        if pids:
            pid = self._random.choice(pids)
            self._say(f"kill -9 of {role} {node or ''} pid {pid}")
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _halves(self, is_over: threading.Event) -> None:
        assert self._splitting is not None
        nodes = self._random.sample(self._splitting.nodes, len(self._splitting.nodes))
        size = self._random.randint(1, len(nodes) // 2)
        self._say(f"split {nodes[:size]} | {nodes[size:]}")
        with self._splitting.split(nodes[:size], nodes[size:]):
            self._while(is_over, 5.0)
        self._say("split healed")

    def _node_deaf(self, is_over: threading.Event) -> None:
        assert self._splitting is not None
        node = self._node()
        self._say(f"nothing arrives at {node}")
        with self._splitting.deaf(node, [other for other in self._splitting.nodes if other != node]):
            self._while(is_over, 3.0)
        self._say(f"{node} hears again")

    # What destroys

    def _byte_flipped(self, is_over: threading.Event) -> None:
        """In one copy of an object of which three good ones are there."""
        found = [
            copies
            for copies in self._target.disks().objects()
            if copies.is_at_home
            and len(copies.bodies) == len(copies.homes)
            and all(body.size and not body.problem for body in copies.bodies.values())
        ]
        if not found:
            return
        copies = self._random.choice(sorted(found, key=lambda each: each.hash))
        place = self._random.choice(sorted(copies.homes))
        (name,) = [name for name in copies.names[place] if name.endswith(".data")]
        policy = "objects" if not copies.policy_index else f"objects-{copies.policy_index}"
        path = Path(place.path, policy, str(copies.partition), copies.hash[-3:], copies.hash, name)
        body = copies.bodies[place]
        with suppress(FileNotFoundError):  # Overwritten or deleted meanwhile.
            flip(path, self._random.randrange(body.size))
            self._say(f"a byte of {body.name} on {place} flipped ({name})")

    def _disk_emptied(self) -> None:
        node = self._node()
        self._destroy(f"disk of {node} emptied", lambda: empty(self._target.device_path(node)))

    def _database_lost(self) -> None:
        databases = [each for kind in ("container", "account") for each in self._target.disks().databases(kind)]
        if not databases:
            return
        database = self._random.choice(sorted(databases, key=lambda each: each.hash))
        place = self._random.choice(sorted(database.homes))
        path = Path(place.path, f"{database.kind}s", str(database.partition), database.hash[-3:], database.hash)
        self._destroy(f"database of {database} on {place} lost", lambda: away(path))

    def _destroy(self, what: str, act: Callable[[], None]) -> None:
        """With nobody writing and every copy in its place, for the copies that are left must be enough."""
        began_s = time.monotonic()
        with self._gate.closed():
            while not self._is_whole():
                if time.monotonic() - began_s > CALM_S:
                    self._say(f"left out, for the cluster was not whole in {CALM_S:.0f} s: {what}")
                    break
                time.sleep(0.2)
            else:
                act()
                self._say(f"{what} (after {time.monotonic() - began_s:.1f} s of calm)")
        self.calm_s += time.monotonic() - began_s


def flip(path: Path, position: int) -> None:
    """Change one byte of a file in place, as a bad disk would."""
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)
        if byte:
            file.seek(position)
            file.write(bytes([byte[0] ^ 0x40]))


def empty(device: Path) -> None:
    """In one step per directory: others may be writing there at this very moment."""
    for name in sorted(os.listdir(device)):
        if not name.startswith("lost-"):
            away(device / name)


def away(path: Path) -> None:
    """Out of the sight of every server, on the same file system."""
    device = next(parent for parent in (path, *path.parents) if parent.parent.parent.name == "nodes")
    graveyard = device.parent.parent.parent / "lost"
    graveyard.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):
        path.rename(graveyard / f"{time.monotonic_ns()}-{path.name}")
