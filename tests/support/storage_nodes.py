"""StorageNodes: real account, container and object servers in this process, on loopback, for tests of the proxy.

    with StorageNodes(tmp_path, nodes=4) as nodes:
        proxy = nodes.proxy()
        proxy.put("/v1/AUTH_a/c/o", body=b"x")
        nodes.stop(0)

Every node has its own device and three servers; everything runs in one hub, so nothing is forked and nothing sleeps.
The proxy is called in process, without filters: answers carry what the gatekeeper would hide.
"""

from __future__ import annotations

import logging
import socket
from array import array
from contextlib import ExitStack
from dataclasses import dataclass
from unittest.mock import patch

from objstore.account.app import app_factory as account_factory
from objstore.container import account_update
from objstore.container.app import app_factory as container_factory
from objstore.http.server import Server
from objstore.http.subrequest import BytesInput, IteratorInput, call
from objstore.object.app import app_factory as object_factory
from objstore.proxy.app import app_factory as proxy_factory
from objstore.ring.fileformat import save
from objstore.ring.model import HASH_BITS, Ring, RingHeader
from objstore.runtime import green
from tests.support.pipeline import make_environ
from tests.support.rings import make_device

PART_POWER = 4
KINDS = {"account": account_factory, "container": container_factory, "object": object_factory}
SWIFT_CONF = """[swift-hash]
swift_hash_path_suffix = test
[storage-policy:0]
name = gold
default = yes
[storage-policy:2]
name = silver
"""


@dataclass
class _Service:
    listener: socket.socket
    server: Server | None = None
    task: object = None


PATIENT = {"lend_timeout": "10", "post_quorum_timeout": "10", "concurrency_timeout": "10", "conn_timeout": "10"}
"""Of a proxy whose nodes are slow because the machine is busy: nobody is taken for silent. Tests of silence say
less."""


class StorageNodes:
    def __init__(self, directory, nodes=4, replicas=3, row_timeout="20", **proxy_settings):
        """row_timeout: seconds that a server waits for the row it sends to a container or account. On a busy machine a
        late one would be left to an updater, which nobody runs here."""
        self.directory = directory
        self.row_timeout = row_timeout
        self.node_count = nodes
        self.replicas = min(replicas, nodes)
        self.proxy_settings = {"account_autocreate": "yes", **PATIENT, **proxy_settings}
        self._services = {}
        self._stack = ExitStack()
        self.seen = []

    def __enter__(self):
        (self.directory / "swift.conf").write_text(SWIFT_CONF)
        self._stack.enter_context(patch.object(account_update, "WAIT_MAX_S", float(self.row_timeout)))
        for node in range(self.node_count):
            (self.device_root(node) / f"sd{node}").mkdir(parents=True)
            for kind in KINDS:
                listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                self._services[node, kind] = _Service(listener)
        for kind in KINDS:
            save(self._ring(kind, self.replicas), self.directory / f"{kind}.ring.gz")
        save(self._ring("object", 2), self.directory / "object-2.ring.gz")
        for node in range(self.node_count):
            self.start(node)
        return self

    def __exit__(self, *_):
        for node in range(self.node_count):
            self.stop(node)
        self._stack.close()

    def port(self, node, kind):
        return self._services[node, kind].listener.getsockname()[1]

    def device_root(self, node):
        return self.directory / f"node{node}"

    def _ring(self, kind, replicas):
        ports = [self.port(node, kind) for node in range(self.node_count)]
        devices = [
            make_device(node, zone=node + 1, port=port, replication_port=port) for node, port in enumerate(ports)
        ]
        rows = [
            array("H", ((partition + replica) % self.node_count for partition in range(1 << PART_POWER)))
            for replica in range(min(replicas, self.node_count))
        ]
        return Ring(RingHeader(HASH_BITS - PART_POWER), rows, devices)

    def start(self, node):
        for kind, factory in KINDS.items():
            service = self._services[node, kind]
            if service.server is None:
                conf = {"devices": str(self.device_root(node)), "mount_check": "no"}
                if kind == "object":
                    conf["fallocate_reserve"] = "0"
                    conf["replication_lock_timeout"] = "0.2"
                if kind == "container":
                    conf["report_interval"] = "0.02"
                if kind != "account":
                    conf["container_update_timeout" if kind == "object" else "node_timeout"] = self.row_timeout
                app = self._recorded(kind, node, factory({"swift_dir": str(self.directory)}, **conf))
                service.server = Server(service.listener, app, logger=logging.getLogger("test"))
                service.task = green.spawn(service.server.serve)
        green.sleep(0)  # Until they serve: one that is stopped before would close the listener.

    def replace(self, node, kind, app):
        """Have another application answer in place of a server."""
        self.stop(node, (kind,))
        service = self._services[node, kind]
        service.server = Server(service.listener, app, logger=logging.getLogger("test"))
        service.task = green.spawn(service.server.serve)
        green.sleep(0)

    def stop(self, node, kinds=tuple(KINDS)):
        """Stop serving; connections that come meanwhile wait unanswered, as with a frozen process."""
        for kind in kinds:
            service = self._services[node, kind]
            if service.server is not None:
                service.server.drain(0)
                service.task.kill()
                service.server = None

    def cut(self, node, kind, *, restart=False):
        """Close the server's connections in the middle of whatever they carry, as a killed process does."""
        service = self._services[node, kind]
        server = service.server
        self.stop(node, (kind,))
        eventually(lambda: not server.connection_count, "the connections are closed")
        if restart:
            self.start(node)
        else:
            service.listener.listen(0)

    def lose_objects(self, node):
        """Have the node's objects vanish, as a quarantine does."""
        root = self.device_root(node) / f"sd{node}"
        (root / "objects").rename(root / "lost")

    def unplug(self, node):
        """Take the device away: every request for it answers 507."""
        (self.device_root(node) / f"sd{node}").rename(self.device_root(node) / "unplugged")

    def _recorded(self, kind, node, app):
        def recording(environ, start_response):
            self.seen.append((kind, node, environ["REQUEST_METHOD"], environ["PATH_INFO"], dict(environ)))
            return app(environ, start_response)

        return recording

    def asked(self, kind, method):
        return [environ for seen_kind, _, seen, _, environ in self.seen if (seen_kind, seen) == (kind, method)]

    def proxy(self, **settings):
        return ProxyClient(proxy_factory({"swift_dir": str(self.directory)}, **self.proxy_settings | settings))


def eventually(condition, what, patience_s=20.0):
    """Let others run until condition() holds; AssertionError after patience_s."""
    deadline_s = green.monotonic() + patience_s
    while not condition():
        assert green.monotonic() < deadline_s, f"not within {patience_s:g} s: {what}"
        green.sleep(0.001)


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes


class ProxyClient:
    """Calls the proxy as a WSGI application."""

    def __init__(self, app):
        self.app = app

    def request(self, method, path, headers=(), body=b"", query="", chunks=None, environ=()):
        made = make_environ(method, path, query, headers, body, **dict(environ))
        if chunks is not None:
            made.pop("CONTENT_LENGTH", None)
            made["HTTP_TRANSFER_ENCODING"] = "chunked"
            made["wsgi.input"] = IteratorInput(chunks)
        elif "CONTENT_LENGTH" not in made and method in ("PUT", "POST"):
            made["CONTENT_LENGTH"] = "0"
            made["wsgi.input"] = BytesInput(b"")
        response = call(self.app, made)
        try:
            return Answer(response.status, response.headers, b"".join(response.body))
        finally:
            response.close()

    def open(self, method, path, headers=()):
        """A response whose body is the caller's to read and close."""
        return call(self.app, make_environ(method, path, "", headers))

    def get(self, path, headers=(), **more):
        return self.request("GET", path, headers, **more)

    def head(self, path, headers=(), **more):
        return self.request("HEAD", path, headers, **more)

    def put(self, path, headers=(), **more):
        return self.request("PUT", path, headers, **more)

    def post(self, path, headers=(), **more):
        return self.request("POST", path, headers, **more)

    def delete(self, path, headers=(), **more):
        return self.request("DELETE", path, headers, **more)
