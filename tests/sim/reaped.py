"""Accounts that clients delete with all that is in them: in the end nothing of them may be left to be read.

Only what was acknowledged is judged: the objects of an account whose deletion was acknowledged are gone, from clients
and from every disk, and so are its containers.
"""

from __future__ import annotations

from collections.abc import Iterator

from objstore.storage.resolve import resolve
from tests.sim.clients import Clients
from tests.sim.host import HOST
from tests.sim.world import World

_CONTAINERS = ("g0", "g1")
_OBJECTS = ("o0", "o1", "o2")


class Reaped:
    """deleted: accounts whose deletion was acknowledged."""

    def __init__(self, world: World, clients: Clients) -> None:
        self._world = world
        self._clients = clients
        self._count = 0
        self.deleted: list[str] = []

    def make_and_delete(self) -> None:
        """An account with two containers and some objects, and its end. Nothing is deleted where not all of it could be
        made."""
        account = f"AUTH_gone{self._count}"
        self._count += 1
        paths = [f"/v1/{account}/{container}" for container in _CONTAINERS]
        paths += [f"{path}/{name}" for path in paths for name in _OBJECTS]
        if all(self._done("PUT", path) for path in paths) and self._done("DELETE", f"/v1/{account}"):
            HOST.trace(f"{account} is deleted")
            self.deleted.append(account)

    def _done(self, method: str, path: str) -> bool:
        proxy = self._clients.any_proxy()
        headers = {"x-timestamp": self._clients.time_for(proxy).internal, "content-length": "0"}
        found = self._clients.ask(proxy, method, path, headers)
        return found is not None and found.status in (201, 202, 204)

    def problems(self) -> Iterator[str]:
        for account in self.deleted:
            for container in _CONTAINERS:
                for name in _OBJECTS:
                    yield from self._left(account, container, name)
            found = self._clients.ask(self._clients.any_proxy(), "HEAD", f"/v1/{account}", {})
            if found is None or found.status not in (404, 410):
                yield f"{account}: {found and found.status}; it was deleted"

    def _left(self, account: str, container: str, name: str) -> Iterator[str]:
        hash_hex = self._world.secrets.hash_path(account, container, name)
        for node in self._world.nodes:
            for disk in node.disks:
                for directory in (node.root / disk / "objects").glob(f"*/*/{hash_hex}"):
                    if resolve([path.name for path in directory.iterdir()]).data is not None:
                        yield f"{account}/{container}/{name}: still on {node.name}/{disk}; the account was deleted"
