"""Two sides of container sync over real storage servers in this process; the way between them can be made to lie.

    with StorageNodes(tmp_path) as nodes:
        world = SyncWorld(nodes)
        world.here.put(f"{world.near}/o", body=b"x")
        world.passes()
        world.there.get(f"{world.far}/o")
        world.close()

Both containers lie on the same servers; the far side is asked through the filters of a proxy of its own, behind an auth
filter that lets nobody in. write_realms() comes before the servers start. Several worlds may follow one another.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from urllib.parse import unquote_to_bytes, urlsplit

from objstore.config.cluster import load_cluster
from objstore.config.sync_realms import FILE_NAME, load_realms
from objstore.container.passes.sync import ContainerSync, share_in
from objstore.container.passes.sync_peer import Peer
from objstore.container.passes.sync_settings import ContainerSyncSettings
from objstore.core.headers import environ_key
from objstore.daemon.pass_ import EVERYTHING
from objstore.db.container import KIND, ContainerBroker
from objstore.db.database import Databases
from objstore.http import environ as keys
from objstore.http.internal import InternalClient
from objstore.http.response import page
from objstore.http.subrequest import BytesInput, IteratorInput, call
from objstore.middleware import gatekeeper
from objstore.middleware.container_sync import ContainerSync as FarFilter
from objstore.middleware.container_sync import ContainerSyncSettings as FarSettings
from objstore.middleware.slo.filter import Slo
from objstore.middleware.slo.settings import SloSettings
from objstore.middleware.symlink import Symlink, SymlinkSettings
from objstore.ring.fileformat import load
from objstore.runtime.clock import SystemClock
from objstore.runtime.devices import Devices
from tests.support.object_filters import FilteredClient
from tests.support.pipeline import make_environ

REALMS = """[realm]
key = first
key2 = second
cluster_one = http://one.example/v1/
cluster_two = http://two.example/v1/
"""
_numbers = itertools.count()


def write_realms(directory, text=REALMS):
    (directory / FILE_NAME).write_text(text)


class _Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self._response = response

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._response.close()

    def read_all(self, limit_bytes):
        return self._response.read(limit_bytes)


class Way:
    """What stands in for http.outgoing.Outgoing. lie(method, path): an exception to raise, a status to answer with, or
    None. seen: (method, path)."""

    def __init__(self, app):
        self._app = app
        self.lie = lambda method, path: None
        self.seen = []
        self.environs = []

    def open(self, method, url, headers=(), body=b"", length=None):
        parts = urlsplit(url)
        path = unquote_to_bytes(parts.path).decode("latin-1")
        self.seen.append((method, path))
        lie = self.lie(method, path)
        if isinstance(lie, Exception):
            raise lie
        environ = make_environ(method, path, parts.query, REMOTE_ADDR="192.0.2.7")
        for name, value in headers:
            environ[environ_key(name)] = value
        content_type = environ.pop("HTTP_CONTENT_TYPE", None)
        if content_type is not None:
            environ["CONTENT_TYPE"] = content_type
        if method == "PUT":
            environ["CONTENT_LENGTH"] = str(len(body) if length is None else length)
            environ["wsgi.input"] = BytesInput(body) if length is None else IteratorInput(iter(body), length)
        self.environs.append(environ)
        return _Answer(call(page(lie) if lie else self._app, environ))

    def asked(self):
        """How often each method was used since the last time."""
        found = Counter(method for method, _ in self.seen)
        self.seen = []
        return dict(found)


def _denying(app):
    def auth(environ, start_response):
        environ[keys.AUTHORIZE] = lambda request: page(401)
        return app(environ, start_response)

    return auth


class SyncWorld:
    """target: where the container here is synced to; far: that one's name. name: of the container here."""

    def __init__(self, nodes, root="//realm/two", key="secret", **filter_options):
        number = next(_numbers)
        self.name = f"c{number}"
        self.near, self.far = f"/v1/AUTH_a/{self.name}", f"/v1/AUTH_b/d{number}"
        target = f"{root}/AUTH_b/d{number}"
        self.nodes = nodes
        self.here = FilteredClient(nodes.proxy())
        self.there = FilteredClient(nodes.proxy())
        self.cluster = load_cluster(nodes.directory)
        self.ring = load(nodes.directory / "container.ring.gz")
        self._realms = load_realms(nodes.directory / FILE_NAME)
        self.way = Way(self._far_side(nodes.proxy().app, filter_options))
        self.near_faults = []
        assert self.here.put(self.near, {"X-Container-Sync-To": target, "X-Container-Sync-Key": key}).status == 201
        assert self.there.put(self.far, {"X-Container-Sync-Key": "secret"}).status == 201
        self.daemons = [self.daemon(node) for node in range(nodes.node_count)]

    def _far_side(self, proxy, options):
        settings, problems = FarSettings.from_pairs(options)
        assert not problems
        realms = self._realms
        app = _denying(Slo(Symlink(proxy, SymlinkSettings()), SloSettings()))
        app = gatekeeper.filter_factory({})(FarFilter(app, settings, lambda: realms))
        return proxy.at_the_edge(app)

    def know(self, text):
        """Have the daemons (not the other side, nor the servers) know these realms alone."""
        file = self.nodes.directory / "known.conf"
        file.write_text(text)
        self._realms = load_realms(file)

    def _near_side(self):
        proxy = self.nodes.proxy().app

        def faulty(environ, start_response):
            for fault in self.near_faults:
                answer = fault(environ)
                if answer is not None:
                    return answer(environ, start_response)
            return proxy(environ, start_response)

        return proxy.at_the_edge(Slo(Symlink(faulty, SymlinkSettings()), SloSettings()))

    def daemon(self, node, **settings):
        found, problems = ContainerSyncSettings.from_pairs({"allowed_sync_hosts": "127.0.0.1", **settings})
        assert not problems
        port = self.nodes.port(node, "container")
        return ContainerSync(
            found,
            Devices(str(self.nodes.device_root(node)), False),
            Databases(KIND, logging.getLogger("test")),
            self.cluster.secrets,
            lambda: self._realms,
            lambda device, partition: share_in(self.ring, {"127.0.0.1"}, port, device, partition),
            Peer([self.way]),
            InternalClient(self._near_side(), "sync under test"),
            SystemClock(),
        )

    def restart(self):
        """New processes: they know nothing but what is on disk."""
        self.daemons = [self.daemon(node) for node in range(self.nodes.node_count)]

    def passes(self, count=1, nodes=None):
        """What all daemons counted together, in so many passes of each."""
        total = Counter()
        for _ in range(count):
            for daemon in self.daemons if nodes is None else [self.daemons[node] for node in nodes]:
                daemon._away_until.clear()
                for job in daemon.jobs(EVERYTHING):
                    total.update(daemon.run(job))
        return dict(total)

    def primaries(self):
        """The nodes that have the container."""
        return [node for node, daemon in enumerate(self.daemons) if any(daemon.jobs(EVERYTHING))]

    def points(self):
        """(tried, done, last row) of every primary's database."""
        found = []
        for daemon in self.daemons:
            for job in daemon.jobs(EVERYTHING):
                broker = ContainerBroker(
                    daemon.databases.at(job.location.device_path, job.location.partition, job.location.hash)
                )
                info = broker.info()
                last = broker.database.read(
                    lambda connection: connection.execute("SELECT max(ROWID) FROM object").fetchone()[0]
                )
                found.append((info.x_container_sync_point1, info.x_container_sync_point2, last))
        return found

    def close(self):
        """Sync these containers no longer."""
        for path in (self.near, self.far):
            answer = self.here.post(path, {"X-Remove-Container-Sync-To": "x", "X-Remove-Container-Sync-Key": "x"})
            assert answer.status == 204
