"""A cluster that a scenario hurts and that heals by rounds of passes: what was acknowledged, and the way to the end.

with started(directory) as scene:                   a cluster of its own, without daemons
    scene.ledger.put("c", "o", b"x")
    ...                                             a disk emptied, a node away
    scene.heal()                                    rounds of passes, then the final check: all counts zero
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from objstore.cluster.servers import ServerFile, read_servers
from tests.support.cluster import PATIENCE_S, Cluster
from tests.support.final_check import Answer, FinalCheck, Problem
from tests.support.ledger import Ledger
from tests.support.lying_there import Copies, Disks, Place
from tests.support.rounds import Part, Reports, Rounds

ROUNDS_MAX = 12
"""One is enough for most harm; whatever is not mended after so many is not going to be."""
HEAL_S = 90.0
"""Rounds go on for so long at least: an account is told of a container again after twice the time since its last change
(container/passes/update.py), and a fast machine is through with twelve rounds before that."""

SETTINGS = (
    ("proxy", "app:proxy-server", "error_suppression_interval", 1),
    # What a server does not take at once waits for the updater: no need to be patient with one that stands still.
    ("object", "app:object-server", "container_update_timeout", 0.5),
    ("object", "object-auditor", "files_per_second", 0),
    # A peer that stands still costs a pass no more than this.
    ("object", "object-replicator", "http_timeout", 5),
    ("container", "container-replicator", "node_timeout", 5),
    ("account", "account-replicator", "node_timeout", 5),
    # Counts that lost a race are told again in the next rounds.
    ("container", "container-updater", "tell_again_after", 1),
)


class Site(Protocol):
    """What a Scene needs of a cluster, whatever it runs in."""

    def request(
        self, method: str, path: str, body: Any = None, headers: Any = None, *, query: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        """Authorized, below the administrator's account; path unquoted, query as it is sent."""

    def ask_proxy(self, method: str, target: str) -> Answer:
        """Authorized; target: percent-encoded, below the account, with query."""

    def ask_place(self, place: Place, method: str, path: str) -> Answer: ...

    def disks(self) -> Disks:
        """As the rings are now."""

    def rounds(self, nodes: Iterable[str] = ()) -> Rounds:
        """The daemons of these nodes, or of all."""

    def logs(self) -> str: ...


class OneDirectory:
    """A Cluster, whose nodes share a directory and loopback."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.request = cluster.request
        self.logs = cluster.logs

    def ask_proxy(self, method: str, target: str) -> Answer:
        headers = {"X-Auth-Token": self.cluster.token()}
        return self.cluster.raw_request(method, f"/v1/AUTH_admin{target}", headers=headers)

    def ask_place(self, place: Place, method: str, path: str) -> Answer:
        return asked(place.address, method, path)

    def servers(self) -> list[ServerFile]:
        return read_servers(self.cluster.directory)

    def disks(self) -> Disks:
        return Disks(self.cluster.directory.etc, self.servers())

    def rounds(self, nodes: Iterable[str] = ()) -> Rounds:
        return Rounds([Part(self.cluster.directory.root, tuple(nodes))])


def prepared(directory: Path, **options: Any) -> Cluster:
    """A Cluster that is laid out and not yet started, with the patience of tests. options: as Cluster's."""
    made = Cluster(directory, part_power=4, **options).init()
    for kind, section, key, value in SETTINGS:
        made.configure(section, key, value, kind=kind)
    return made


@contextmanager
def started(directory: Path, *settings: tuple[str, str, str, object], **options: Any) -> Iterator[Scene]:
    """A Scene on a cluster of its own, without daemons. settings: as SETTINGS, beside those; options: as Cluster's."""
    cluster = prepared(directory, **options)
    for kind, section, key, value in settings:
        cluster.configure(section, key, value, kind=kind)
    cluster.start("--no-daemons")
    try:
        yield Scene(OneDirectory(cluster))
    finally:
        cluster.close()


def asked(address: tuple[str, int], method: str, path: str) -> Answer:
    """One request to a storage server, which trusts whoever reaches it."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


class Scene:
    """One cluster through one or several scenarios, each in containers of its own."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.ledger = Ledger(site.request)

    def round(self, nodes: Iterable[str] = (), daemons: Iterable[str] = ()) -> Reports:
        """One pass of each daemon, all nodes at once; nodes that are away must be left out by naming the others."""
        with self.site.rounds(nodes) as rounds:
            return rounds.run(tuple(daemons))

    def problems(self) -> list[Problem]:
        site, ledger = self.site, self.ledger
        check = FinalCheck(site.disks(), site.ask_proxy, site.ask_place, joined=ledger.joined)
        return check.problems(ledger.expected)

    def heal(self, rounds: int = ROUNDS_MAX) -> int:
        """Rounds until the final check finds nothing; how many it took."""
        give_up_s = time.monotonic() + HEAL_S
        number = 0
        with self.site.rounds() as running:
            while number < rounds or time.monotonic() < give_up_s:
                number += 1
                reports = running.run()
                problems = self.problems()
                if not problems:
                    return number
        text = "\n".join(map(str, problems[:30]))
        raise AssertionError(f"not whole after {number} rounds:\n{text}\n{reports}\n{self.site.logs()[-6000:]}")

    def copies(self, container: str, name: str) -> Copies:
        """Where an object lies."""
        disks = self.site.disks()
        digest = disks.cluster.secrets.digest("AUTH_admin", container, name).hex()
        found = [copies for copies in disks.objects(reads_bodies=False) if copies.hash == digest]
        assert len(found) == 1, f"{container}/{name}: {found}"
        return found[0]

    def homes(self, container: str, name: str = "") -> list[str]:
        """The names of the nodes that are primaries of an object, or of a container's database."""
        disks = self.site.disks()
        names = ("AUTH_admin", container, name) if name else ("AUTH_admin", container)
        ring = disks.object_rings[0] if name else disks.rings["container"]
        return [place.node for place in disks.homes(ring, ring.partition(disks.cluster.secrets.digest(*names)))]
