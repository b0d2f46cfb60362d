"""What must hold before a cluster directory is started; each thing that does not is one line for a human.

Besides the settings: rings can be read and are of this cluster, and the hash secrets are those the data was written
with (formats 10, pitfall 17: with others every path is wrong, and the cluster looks empty).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from objstore.cluster.servers import ServerFile
from objstore.config.cluster import Cluster
from objstore.db.check import path_matches
from objstore.ring.fileformat import RingFileError, load
from objstore.runtime.listen import shown

# Databases of a device that are opened to check the secrets: one tells, a few make sure that it is not a stray.
_DATABASES_CHECKED = 3


def ring_problems(cluster: Cluster, servers: list[ServerFile]) -> Iterator[str]:
    """Rings that are missing, damaged, of a future version, or of other machines."""
    for name, role in _rings(cluster):
        path = cluster.swift_dir / f"{name}.ring.gz"
        try:
            ring = load(path)
        except RingFileError as error:
            yield f"{error}; write it with: objstore-ring-builder {path.with_name(name + '.builder')} write_ring"
            continue
        known = {(device.ip, device.port) for device in ring.devices if device is not None}
        mine = {server.address for server in servers if server.role == role}
        if mine and not mine & known:
            yield (
                f"{path}: this is the ring of another cluster: none of its devices has the address of an {role} here "
                f"({_some(mine)}); it has {_some(known)}"
            )


def secret_problems(cluster: Cluster, servers: list[ServerFile]) -> Iterator[str]:
    """A database whose directory is not where these hash secrets put its account or container."""
    for server in servers:
        for base in {"account-server": ("accounts",), "container-server": ("containers",)}.get(server.role, ()):
            for path in islice(server.devices.glob(f"*/{base}/*/*/*/*.db"), _DATABASES_CHECKED):
                if not path_matches(path, cluster.secrets):
                    yield (
                        f"{cluster.swift_dir / 'swift.conf'}: [swift-hash]: these secrets do not match the data in "
                        f"{server.devices}: {path.name} was written with others; put the old swift.conf back"
                    )
                    return


def _rings(cluster: Cluster) -> Iterator[tuple[str, str]]:
    yield "account", "account-server"
    yield "container", "container-server"
    for policy in cluster.policies:
        yield policy.ring_name, "object-server"


def _some(addresses: set[tuple[str, int]]) -> str:
    texts = [shown(address) for address in sorted(addresses)]
    return ", ".join(texts[:3]) + (", …" if len(texts) > 3 else "")
