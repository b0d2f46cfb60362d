"""A scripted database server on loopback: says what a test tells it to, keeps what it was asked."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass

from objstore.http.client import ConnectionPool
from objstore.peers.db_replicas import DatabasePeers, Place
from objstore.ring.model import Node
from tests.support.http import running_server
from tests.support.rings import make_device


@dataclass
class Asked:
    method: str
    path: str
    headers: dict
    body: bytes
    query: str = ""

    @property
    def target(self):
        return self.path + (f"?{self.query}" if self.query else "")

    @property
    def header_lines(self):
        return [(name, value) for name, value in self.headers.items() if value is not None]

    @property
    def call(self):
        return json.loads(self.body)


class ReplicaServer:
    """answers: (status, body) in order, the last again and again. A body that is no bytes goes out as JSON."""

    def __init__(self, answers):
        self._answers = list(answers)
        self.asked = []

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read()
        headers = {
            key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")
        }
        headers["content-type"] = environ.get("CONTENT_TYPE")
        self.asked.append(
            Asked(environ["REQUEST_METHOD"], environ["PATH_INFO"], headers, body, environ["QUERY_STRING"])
        )
        status, answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        start_response(f"{status} x", [("Content-Length", str(len(data)))])
        return [data]

    @property
    def operations(self):
        return [asked.call[0] for asked in self.asked]


@contextmanager
def replica_server(*answers, device="sdb3", partition=7, hash_hex="0" * 32):
    """(the server, a Place on it, DatabasePeers to call it with)."""
    server = ReplicaServer(answers)
    with running_server(server) as running:
        node = Node(make_device(1, port=running.port, replication_port=running.port, device=device), index=0)
        pool = ConnectionPool()
        yield server, Place(node, partition, hash_hex), DatabasePeers(pool, conn_timeout_s=5, node_timeout_s=20)
        pool.close()
