"""Faults of the deep mix: each sets up a case in which one mistake of objstore's would be seen, and which chance rarely
makes (tests/sim/mutations.py says which mistakes).

They are apart from faults.py, so that the seeds of the plain mix go on to mean what they meant.
"""

from __future__ import annotations

import eventlet

from tests.sim.clients import ACCOUNT, CONTAINERS, OBJECTS, Clients
from tests.sim.faults import Fault, Faults
from tests.sim.history import Fate
from tests.sim.host import HOST
from tests.sim.world import World

_READS = 8
_WRITES = 5
_NAMES = 12
"""Of containers to choose from."""


_WEIGHT = 3


class Losses:
    def __init__(self, world: World, clients: Clients, faults: Faults) -> None:
        self._world = world
        self._clients = clients
        self._faults = faults
        self.kinds: dict[str, Fault] = {
            "rot is read": self._rot,
            "written into the dark": self._write_and_black_out,
            "database lent and lost": self._lend_and_lose_database,
            "killed in mid-write": self._kill_in_mid_write,
        }
        self.weights = dict.fromkeys((*self.kinds, "lent and lost"), _WEIGHT)

    def _rot(self) -> None:
        """A file decays, and clients read that object before any auditor does."""
        damaged = self._faults.flip()
        if damaged is None:
            return
        for container in CONTAINERS:
            for name in OBJECTS:
                if self._world.secrets.hash_path("AUTH_a", container, name) == damaged.parent.name:
                    self._clients.get_again(f"{ACCOUNT}/{container}/{name}", _READS)

    def _write_and_black_out(self) -> None:
        """The room loses its power the moment some writes were acknowledged."""
        for _ in range(_WRITES):
            self._clients.put()
        self._faults.blackout()

    def _kill_in_mid_write(self) -> None:
        """All object servers, while they write the same object: perhaps after its name, and before its row."""
        for _ in range(_WRITES):
            writing = eventlet.spawn(self._clients.put)
            eventlet.sleep(HOST.random.uniform(0.0, 0.03))
            for node in self._world.nodes:
                node.restart_server("object")
            writing.wait()

    def _lend_and_lose_database(self) -> None:
        """A container is made on the victim and on handoffs; then the victim loses it, and only handoffs have it, that
        reach nobody: they must keep what they have."""
        world, victim = self._world, self._faults.victim
        found = self._new_container()
        if found is None:
            return
        name, hash_hex, homes = found
        away = [node for node in world.nodes if node.ip in homes and node is not victim]
        pairs = [pair for node in away for pair in self._faults.all_about(node.name)]
        world.network.blocked.update(pairs)
        if self._clients.put_container(name).fate is Fate.ACKNOWLEDGED:
            victim.lose_database(self._faults.victim_disk, "container", hash_hex)
            HOST.trace(f"{victim.name} loses {name}")
        pairs += self._faults.all_about(victim.name)
        world.network.blocked.update(pairs)
        for node in world.nodes:
            if node is not victim and node not in away:
                node.run_pass("container-replicator")
        world.network.blocked.difference_update(pairs)

    def _new_container(self) -> tuple[str, str, set[str]] | None:
        """One that nobody has made yet and whose home is the victim's disk: its name, hash, and the addresses of its
        homes."""
        world, ring = self._world, self._world.ring("container")
        for number in range(_NAMES):
            name = f"l{number}"
            primaries = ring.primaries(ring.partition(world.secrets.digest("AUTH_a", name)))
            homes = {node.device.ip for node in primaries}
            here = [node.name for node in primaries if node.device.ip == self._faults.victim.ip]
            if (
                name not in self._clients.churned
                and here == [self._faults.victim_disk]
                and len(homes) < len(world.nodes)
            ):
                self._clients.churned.append(name)
                return name, world.secrets.hash_path("AUTH_a", name), homes
        return None
