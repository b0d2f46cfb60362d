"""What goes wrong in a run, and when: all of it by seed.

What destroys copies for good (a disk emptied, bits flipped, a file cut short) strikes one disk only, the victim: an
acknowledged write is on two devices at least. Everything else may strike anybody, at any time, at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import eventlet

from tests.sim.disk import SimFs
from tests.sim.history import Fate, Write
from tests.sim.host import HOST
from tests.sim.network import Weather
from tests.sim.nodes import DAEMONS, Node
from tests.sim.world import World
from tests.support.durability import Content

Fault = Callable[[], object]
_WEIGHTS = {"daemon pass": 6, "power cut": 2}
"""How often something happens, where that is not 1."""


class Faults:
    """write: has a client write something, now."""

    def __init__(self, world: World, write: Callable[[], Write]) -> None:
        self._world = world
        self._write = write
        self._chance = HOST.random
        self.victim = self._chance.choice(world.nodes)
        self.victim_disk = self._chance.choice(self.victim.disks)
        self.weights = dict(_WEIGHTS)
        self.kinds: dict[str, Fault] = {
            "power cut": lambda: self._crash(has_power_cut=True),
            "all killed": lambda: self._crash(has_power_cut=False),
            "server killed": self._kill_server,
            "daemons killed": self._kill_daemons,
            "proxy killed": self._kill_proxy,
            "blackout": self.blackout,
            "one way blocked": self._one_way,
            "node cut off": self._cut_off,
            "two cut off": self._two_cut_off,
            "halves": self._halves,
            "frozen": self._freeze,
            "swizzle": self._swizzle,
            "bad weather": self._weather,
            "disk errors": self._disk_errors,
            "disk emptied": self._empty,
            "lent and lost": self._lend_and_lose,
            "bit flipped": self.flip,
            "ring changed": self._change_ring,
            "daemon pass": self._daemon_pass,
        }

    def run(self, count: int, pause_s: float) -> None:
        """So many faults, begun one after the other; they may last longer. Returns when all are over."""
        names = list(self.kinds)
        weights = [self.weights.get(name, 1) for name in names]
        begun = []
        for _ in range(count):
            eventlet.sleep(self._chance.uniform(0, 2 * pause_s))
            name = self._chance.choices(names, weights)[0]
            HOST.trace(f"fault: {name}")
            begun.append(eventlet.spawn(self.kinds[name]))
        for each in begun:
            each.wait()

    def _node(self) -> Node:
        return self._chance.choice(self._world.nodes)

    def _while(self) -> None:
        eventlet.sleep(self._chance.choice((0.3, 2.0, 8.0, 25.0)))

    # Processes

    def _crash(self, *, has_power_cut: bool) -> None:
        node = self._node()
        HOST.trace(f"{node.name} goes down")
        node.crash(has_power_cut=has_power_cut)
        self._while()
        HOST.trace(f"{node.name} comes back")
        node.start()

    def blackout(self) -> None:
        """The power of the whole room."""
        for node in self._world.nodes:
            node.crash(has_power_cut=True)
        self._while()
        for node in self._world.nodes:
            node.start()

    def _kill_server(self) -> None:
        self._node().restart_server(self._chance.choice(("object", "container", "account")))

    def _kill_daemons(self) -> None:
        node = self._node()
        eventlet.spawn(node.run_pass, self._chance.choice(DAEMONS))
        eventlet.sleep(self._chance.uniform(0, 0.2))
        node.restart_daemons()

    def bring_home_and_black_out(self) -> None:
        """Only handoffs have some objects; they bring them home, and the room loses its power."""
        self._lend_and_lose()
        for node in self._world.nodes:
            node.run_pass("object-replicator")
        self.blackout()

    def kill_rsync(self) -> None:
        """In mid-transfer, if a pass of the replicators has one under way: on the sender's side, or the receiver's."""
        node = self._node()
        begun = [
            eventlet.spawn(node.run_pass, self._chance.choice(("object-replicator", "container-replicator")))
            for node in self._world.nodes
        ]
        eventlet.sleep(self._chance.uniform(0, 0.3))
        node.end_transfers()
        for each in begun:
            each.wait()

    def _kill_proxy(self) -> None:
        proxy = self._chance.choice(self._world.proxies)
        proxy.process.kill()
        self._world.network.cut(proxy.process)
        eventlet.sleep(1.0)
        proxy.start()

    def _freeze(self) -> None:
        node = self._node()
        names = [process.name for process in node.processes.values()]
        self._world.network.frozen.update(names)
        self._while()
        self._world.network.frozen.difference_update(names)

    # The network

    def _places(self) -> list[str]:
        return [*self._world.directories]

    def _block(self, pairs: list[tuple[str, str]]) -> None:
        network = self._world.network
        network.blocked.update(pairs)
        self._while()
        network.blocked.difference_update(pairs)

    def _one_way(self) -> None:
        source, target = self._chance.sample(self._places(), 2)
        self._block([(source, target)])

    def _cut_off(self) -> None:
        self._block(self.all_about(self._chance.choice(self._places())))

    def _two_cut_off(self) -> None:
        """What is written meanwhile is on one primary of most partitions, and lent to others."""
        nodes = self._chance.sample(self._world.nodes, 2)
        self._block([pair for node in nodes for pair in self.all_about(node.name)])

    def all_about(self, name: str) -> list[tuple[str, str]]:
        return [pair for other in self._places() for pair in ((name, other), (other, name)) if other != name]

    def _halves(self) -> None:
        places = self._places()
        self._chance.shuffle(places)
        cut = self._chance.randrange(1, len(places))
        self._block([pair for a in places[:cut] for b in places[cut:] for pair in ((a, b), (b, a))])

    def _swizzle(self) -> None:
        """Cut the nodes off one by one, and give them back in another order."""
        names = [node.name for node in self._world.nodes]
        groups = {name: self.all_about(name) for name in names}
        self._chance.shuffle(names)
        for name in names:
            self._world.network.blocked.update(groups[name])
            eventlet.sleep(self._chance.uniform(0.2, 2.0))
        self._chance.shuffle(names)
        for name in names:
            self._world.network.blocked.difference_update(groups[name])
            eventlet.sleep(self._chance.uniform(0.2, 2.0))

    def _weather(self) -> None:
        chance = self._chance
        self._world.network.weather = Weather(
            chance.choice((0, 0.05, 0.3)),
            chance.choice((0, 0.05, 0.2)),
            chance.choice((0, 0.05, 0.2)),
            chance.choice((0, 0.1, 0.5)),
        )

    # Disks

    def _disk_errors(self) -> None:
        node = self._node()
        node.error_rate = self._chance.choice((0.02, 0.2, 1.0))
        self._while()
        node.error_rate = 0.0

    def _empty(self) -> None:
        """Not while rows may be known to nobody else: see _lend_and_lose()."""
        for name in ("object-updater", "container-replicator", "account-replicator"):
            counts = self.victim.run_pass(name)
            if counts.get("failures") or not self.victim.is_up:
                return
        if not self.victim.has_waiting_rows(self.victim_disk):
            HOST.trace(f"{self.victim.name}/{self.victim_disk} is emptied")
            self.victim.empty(self.victim_disk)

    def _lend_and_lose(self) -> None:
        """Writes go to the victim and to handoffs; then the victim loses its objects, and only handoffs have them.

        Its databases and waiting rows stay: where the only two who knew of a row were this disk's object server and its
        container, a listing cannot be whole again (doc/architecture.md, How it is tested)."""
        nodes = [node for node in self._world.nodes if node is not self.victim]
        away = self._chance.sample(nodes, 2)
        pairs = [pair for node in away for pair in self.all_about(node.name)]
        self._world.network.blocked.update(pairs)
        # Only what was acknowledged: the row of a write that nobody was promised would outlive its only copy.
        known = [write for write in [self._write() for _ in range(6)] if write.fate is Fate.ACKNOWLEDGED]
        for write in known:
            self.victim.lose_object(self.victim_disk, write.timestamp)
        # Handoffs that reach nobody must keep what they have.
        pairs += self.all_about(self.victim.name)
        self._world.network.blocked.update(pairs)
        for node in nodes:
            if node not in away:
                node.run_pass("object-replicator")
        self._world.network.blocked.difference_update(pairs)

    def flip(self) -> Path | None:
        """A byte of a file's content changes, or its end is lost; nobody is told. The file."""
        files = list(self.victim.data_files(self.victim_disk))
        if not files:
            return None
        path = self._chance.choice(files)
        _damage(path)
        HOST.trace(f"damaged {self.victim.name} {path.parent.name[-6:]} {path.name}")
        return path

    # Rings and daemons

    def _change_ring(self) -> None:
        """Another weight for one disk; some hear of it at once, others not before the end."""
        world = self._world
        number = self._chance.randrange(len(world.builders["object"].devices))
        weight = self._chance.choice((0.0, 50.0, 300.0))
        for builder in world.builders.values():
            builder.change_device(number, weight=weight)
        world.rebalance()
        for name in world.directories:
            if self._chance.random() < 0.6:
                world.push_rings(name)

    def _daemon_pass(self) -> None:
        replicators = [name for name in DAEMONS if name.endswith("replicator")]
        self._node().run_pass(self._chance.choice((*DAEMONS, *replicators, *replicators)))


def _damage(path: Path) -> None:
    content = Content.of(str(path))
    if content.data and HOST.random.random() < 0.7:
        at = HOST.random.randrange(len(content.data))
        content.data = content.data[:at] + bytes([content.data[at] ^ 0x40]) + content.data[at + 1 :]
    else:
        content.data = content.data[: len(content.data) // 2] or b"?"
    with open(path, "r+b") as file:
        file.write(content.data)
        file.truncate()
    SimFs.shadow.files[os.stat(path).st_ino] = content
