"""A container that both halves of a split cluster make, each with a policy of its own, and write to: one policy wins,
and the container-reconciler takes to it what was written with the other.

Nothing of it expires: that is known, and not mended. An object that expires in the policy that wins gets a tombstone as
of then, and so hides what was written before that, and after it, with the other policy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import eventlet

from tests.sim.clients import ACCOUNT, OBJECTS, Clients
from tests.sim.host import HOST
from tests.sim.world import POLICIES, World

_WRITES = 4
_QUEUE = "/v1/.misplaced_objects"


class Minds:
    def __init__(self, world: World, clients: Clients) -> None:
        self._world = world
        self._clients = clients
        self._count = 0

    def disagree(self) -> None:
        name = f"m{self._count}"
        self._count += 1
        names = [node.name for node in self._world.nodes]
        HOST.random.shuffle(names)
        half = len(names) // 2
        sides = [*names[:half], "p0"], [*names[half:], "p1"]
        pairs = [pair for a in sides[0] for b in sides[1] for pair in ((a, b), (b, a))]
        self._world.network.blocked.update(pairs)
        self._clients.containers.append(name)
        writers = [eventlet.spawn(self._write, number, name) for number in range(2)]
        for each in writers:
            each.wait()
        self._world.network.blocked.difference_update(pairs)

    def _write(self, number: int, name: str) -> None:
        proxy = self._world.proxies[number]
        self._clients.put_container(name, proxy, {"x-storage-policy": POLICIES[number]})
        for _ in range(_WRITES):
            path = f"{ACCOUNT}/{name}/{HOST.random.choice(OBJECTS)}"
            if HOST.random.random() < 0.2:
                self._clients.delete(proxy, path)
            else:
                self._clients.put(proxy, path, may_expire=False)

    def problems(self) -> Iterator[str]:
        """Nothing waits in the queue of misplaced objects any more."""
        for queue in self._listed(_QUEUE):
            for name in self._listed(f"{_QUEUE}/{queue}"):
                yield f"{name} waits still to be taken where it belongs"

    def _listed(self, path: str) -> list[str]:
        found = self._clients.ask(self._clients.any_proxy(), "GET", f"{path}?", {})
        if found is None or found.status not in (200, 204, 404):
            return [f"no listing of {path}: {found and found.status}"]
        return [row["name"] for row in json.loads(found.body or b"[]")] if found.status == 200 else []
