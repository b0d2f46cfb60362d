"""A whole cluster while storage nodes die, freeze and come back, and while bytes rot: what a client sees.

Named in threats.md or in the promises of the proxy: reads and writes go on with one node of three gone, nothing
acknowledged is lost, a broken copy is never handed out as a whole one.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from objstore.config.cluster import load_cluster
from objstore.ring import fileformat
from tests.replay.client import Answer, Outgoing, exchange
from tests.support.cluster import Cluster, until

pytestmark = pytest.mark.cluster

TRIPWIRE_S = 10.0  # five times the 2 s that a request may take while one node is gone
SUPPRESSION_S = 2
MANY = 40  # connections at once: enough that every one of four workers accepts some
OTHER = ("test2:tester2", "testing2")


class Site:
    """A cluster and its administrator, with the requests that these tests make."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.login = cluster.login()

    def do(self, method, path, body=b"", token=None, **headers) -> Answer:
        """A request below the account; token '' sends none. Every answer within the tripwire."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token != "":
            sent["X-Auth-Token"] = token or self.login.token
        started = time.monotonic()
        answer = self.cluster.ask(method, self.login.path + path, sent, body, timeout_s=60)
        elapsed = time.monotonic() - started
        assert elapsed < TRIPWIRE_S, f"{method} {path} took {elapsed:.1f} s"
        return answer

    def must(self, status, method, path, body=b"", **rest) -> Answer:
        answer = self.do(method, path, body, **rest)
        allowed = status if isinstance(status, tuple) else (status,)
        assert answer.status in allowed, f"{method} {path}: {answer.status} {answer.body[:300]!r}"
        return answer

    def upload(self, container, count, prefix="o"):
        """Write objects; the bodies of those that were acknowledged, by name."""
        written = {}
        for number in range(count):
            name, body = f"{prefix}{number}", f"{prefix} {number} ".encode() * 50
            self.must(201, "PUT", f"/{container}/{name}", body)
            written[name] = body
        return written

    def check(self, container, written):
        for name, body in written.items():
            assert self.must(200, "GET", f"/{container}/{name}").body == body, name

    def settle(self, container, names, away=()):
        """Wait until the listing of every replica is right, but for those of nodes that are away: a row that a replica
        missed is brought by the updater or by replication."""
        until(
            lambda: all(found == set(names) for found in self.listings(container, away).values()), f"{names} are listed"
        )
        assert set(self.must((200, 204), "GET", f"/{container}").body.decode().split()) == set(names)

    def listings(self, container, away=()):
        """What each replica's own server lists, by node."""
        etc = self.cluster.directory.etc
        account = self.login.path.removeprefix("/v1/")
        ring = fileformat.load(etc / "container.ring.gz")
        partition = ring.partition(load_cluster(etc).secrets.digest(account, container))
        return {
            f"n{node.zone}": self._listing(node.address, f"/{node.name}/{partition}/{account}/{container}")
            for node in ring.primaries(partition)
            if f"n{node.zone}" not in away
        }

    def _listing(self, address, path):
        head = f"GET {path}?limit=10000 HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode()
        answer = exchange(address, Outgoing(head), timeout_s=60)
        return set(answer.body.decode().split()) if answer.status in (200, 204) else None

    def files(self, body):
        """Where the replicas of an object with this body lie."""
        return [
            path
            for path in self.cluster.directory.root.rglob("*.data")
            if "quarantined" not in path.parts and path.stat().st_size == len(body) and path.read_bytes() == body
        ]

    def quarantined(self):
        return list(self.cluster.directory.root.glob("**/quarantined/objects*/*"))


@pytest.fixture(scope="module")
def clusters(tmp_path_factory):
    """Running clusters by number of nodes and of proxy workers, started when first asked for."""
    with ExitStack() as stack:
        running: dict[tuple[int, int], Site] = {}

        def get(nodes, proxy_workers=1):
            if (nodes, proxy_workers) not in running:
                folder = tmp_path_factory.mktemp("cluster")
                cluster = Cluster(folder / "d", nodes=nodes, proxy_workers=proxy_workers)
                # A node that failed is avoided for a minute by default; tests do not wait that long.
                cluster.configure("app:proxy-server", "error_suppression_interval", SUPPRESSION_S)
                cluster.configure("filter:tempauth", "user_test2_tester2", "testing2 .admin")
                cluster.configure("object-updater", "interval", 1, kind="object")
                cluster.configure("container-replicator", "interval", 2, kind="container")
                running[nodes, proxy_workers] = Site(stack.enter_context(cluster))
            return running[nodes, proxy_workers]

        yield get


@pytest.fixture
def whole(clusters):
    """Gives clusters by node count, and brings back every node that a test took away."""
    used = []

    def get(count):
        site = clusters(count)
        used.append(site.cluster)
        return site

    yield get
    back = 0.0
    for cluster in used:
        for node in cluster.nodes:
            if not cluster.pids(node):
                cluster.start_node(node)
                back = time.monotonic()
    # The proxy avoids a node for a while after it failed: a node more that fails then would be the second one.
    until(lambda: time.monotonic() - back > SUPPRESSION_S * 1.5, "all nodes are trusted again")


def test_reads_and_writes_go_on_with_one_node_of_three_killed(whole):
    site = whole(3)
    site.must((201, 202), "PUT", "/killed")
    before = site.upload("killed", 10, "before")
    site.cluster.kill_node(site.cluster.nodes[0])
    during = site.upload("killed", 10, "during")
    site.must(201, "PUT", "/made-while-down")
    site.must(204, "POST", "/killed", X_Container_Meta_A="b")
    site.must(204, "DELETE", "/killed/before0")
    del before["before0"]
    site.check("killed", before | during)
    names = (before | during).keys()
    gone = site.cluster.nodes[0]
    site.settle("killed", names, away=[gone])
    site.cluster.start_node(gone)
    site.settle("killed", names)


def test_reads_and_writes_go_on_with_one_node_of_three_frozen(whole):
    site = whole(3)
    site.must((201, 202), "PUT", "/frozen")
    before = site.upload("frozen", 5, "before")
    with site.cluster.frozen(site.cluster.nodes[1]):
        during = site.upload("frozen", 5, "during")
        site.check("frozen", before | during)
        site.settle("frozen", (before | during).keys(), away=[site.cluster.nodes[1]])
        site.must(204, "DELETE", "/frozen/before0")
        site.must(404, "GET", "/frozen/before0")
    del before["before0"]
    site.check("frozen", before | during)
    site.settle("frozen", (before | during).keys())


def test_with_two_of_three_nodes_gone_writes_are_refused_and_nothing_acknowledged_is_lost(whole):
    site = whole(3)
    site.must((201, 202), "PUT", "/gone")
    written = site.upload("gone", 10)
    gone = site.cluster.nodes[:2]
    for node in gone:
        site.cluster.kill_node(node)
    for number in range(5):
        site.must(503, "PUT", f"/gone/refused{number}", b"no quorum")
    site.must(503, "DELETE", "/gone/o0")
    # A refused DELETE may have reached the node that is left: o0 is not asked for again.
    del written["o0"]
    site.check("gone", written)
    (left,) = site.listings("gone", away=gone).values()
    assert written.keys() <= left
    for node in gone:
        site.cluster.start_node(node)
    until(lambda: site.do("PUT", "/gone/after", b"back").status == 201, "writes are taken again")
    site.check("gone", written)


def test_with_two_of_four_nodes_gone_writes_succeed_on_handoffs(whole):
    site = whole(4)
    site.must((201, 202), "PUT", "/handoffs")
    before = site.upload("handoffs", 10, "before")
    gone = site.cluster.nodes[1:3]
    for node in gone:
        site.cluster.kill_node(node)
    during = site.upload("handoffs", 20, "during")
    site.check("handoffs", before | during)
    for node in gone:
        site.cluster.start_node(node)
    site.check("handoffs", before | during)
    site.settle("handoffs", (before | during).keys())


def test_a_get_whose_server_dies_in_mid_body_resumes_with_the_same_bytes(whole):
    site = whole(3)
    site.must((201, 202), "PUT", "/resume")
    body = os.urandom(1 << 20) * 48
    site.must(201, "PUT", "/resume/large", body)
    nodes = site.cluster.nodes
    digest, received = hashlib.md5(), 0
    with socket.create_connection(site.cluster.address, timeout=60) as sock:
        # A small receive buffer, so that most of the body waits at the servers while we hold still.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        head = f"GET {site.login.path}/resume/large HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {site.login.token}\r\n\r\n"
        sock.sendall(head.encode())
        stream = sock.makefile("rb")
        assert b" 200 " in stream.readline()
        while stream.readline() != b"\r\n":
            pass
        # One of the three is sending: kill each in turn while a third of the body passes.
        for node in nodes:
            site.cluster.kill_node(node)
            received += _take(stream, digest, len(body) // 3)
            site.cluster.start_node(node)
        received += _take(stream, digest, len(body) - received)
    assert (received, digest.hexdigest()) == (len(body), hashlib.md5(body).hexdigest())


def _take(stream, digest, count):
    taken = 0
    while taken < count:
        data = stream.read(min(1 << 18, count - taken))
        assert data, f"cut after {taken} bytes of {count}"
        digest.update(data)
        taken += len(data)
    return taken


@pytest.fixture(scope="module")
def four_workers(clusters):
    """A cluster whose proxy has four workers and no memcached."""
    site = clusters(3, proxy_workers=4)
    assert len(site.cluster.pids(role="proxy-server")) == 4
    return site


def at_once(count, function):
    """The results of `count` calls on as many connections at the same time."""
    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(function) for _ in range(count)]]


def statuses(site, *request, **rest):
    return {answer.status for answer in at_once(MANY, lambda: site.do(*request, **rest))}


def test_a_container_made_through_one_worker_is_seen_by_all(four_workers):
    site = four_workers
    assert statuses(site, "PUT", "/made/o", b"x") == {404}
    site.must(201, "PUT", "/made")
    # Uploads of one name at the same moment: the older ones are told 202.
    assert statuses(site, "PUT", "/made/o", b"x") <= {201, 202}
    site.must(204, "DELETE", "/made/o")
    site.must(204, "DELETE", "/made")
    assert statuses(site, "PUT", "/made/o", b"x") == {404}


def test_a_read_acl_revoked_through_one_worker_binds_all(four_workers):
    site = four_workers
    site.must((201, 202), "PUT", "/public", X_Container_Read=".r:*")
    site.must(201, "PUT", "/public/o", b"seen")
    assert statuses(site, "GET", "/public/o", token="") == {200}
    for _ in range(3):
        site.must(204, "POST", "/public", X_Container_Read="test:nobody")
        assert statuses(site, "GET", "/public/o", token="") == {401}
        site.must(204, "POST", "/public", X_Container_Read=".r:*")
        assert statuses(site, "GET", "/public/o", token="") == {200}


def test_account_metadata_set_through_one_worker_binds_all(four_workers):
    site = four_workers
    answer = site.cluster.ask("GET", "/auth/v1.0", {"X-Auth-User": OTHER[0], "X-Auth-Key": OTHER[1]})
    token = answer.header("x-auth-token")
    site.must((201, 202), "PUT", "/shared")
    assert statuses(site, "GET", "/shared", token=token) == {403}
    for _ in range(3):
        site.must(204, "POST", "", X_Account_Access_Control='{"read-only":["test2:tester2"]}')
        assert statuses(site, "GET", "/shared", token=token) == {204}
        site.must(204, "POST", "", X_Account_Access_Control="{}")
        assert statuses(site, "GET", "/shared", token=token) == {403}


def flip(path, position):
    """Change one byte of a file in place, as a bad disk would: nothing else of it changes."""
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 0x40]))


def test_a_small_object_that_rotted_is_quarantined_and_read_from_another_replica(whole):
    site = whole(3)
    site.must((201, 202), "PUT", "/rot")
    body = os.urandom(5000)
    site.must(201, "PUT", "/rot/small", body)
    bad = site.files(body)[0]
    before = len(site.quarantined())
    flip(bad, 2500)

    def was_found():
        assert site.must(200, "GET", "/rot/small").body == body
        return len(site.quarantined()) > before

    until(was_found, "a GET meets the bad replica and sets it aside", poll_s=0)
    assert len(site.quarantined()) == before + 1


@pytest.mark.parametrize("position", [0, 3 << 20, (6 << 20) - 1], ids=["first byte", "middle", "last byte"])
def test_a_large_object_that_rotted_is_cut_or_right_and_never_wrong(whole, position):
    site = whole(3)
    site.must((201, 202), "PUT", "/rot")
    body = os.urandom(6 << 20)
    name = f"/rot/large{position}"
    site.must(201, "PUT", name, body)
    bad = site.files(body)[0]
    before = len(site.quarantined())
    flip(bad, position)

    def was_found():
        answer = site.must(200, "GET", name)
        assert answer.is_truncated or answer.body == body
        return len(site.quarantined()) > before

    until(was_found, "a GET meets the bad replica and sets it aside", poll_s=0)
    answer = site.must(200, "GET", name)
    assert (answer.is_truncated, answer.body == body) == (False, True)


def test_a_file_cut_short_on_disk_is_never_answered(whole):
    site = whole(3)
    site.must((201, 202), "PUT", "/rot")
    body = os.urandom(100_000)
    site.must(201, "PUT", "/rot/cut", body)
    bad = site.files(body)[0]
    before = len(site.quarantined())
    os.truncate(bad, 60_000)

    def was_found():
        assert site.must(200, "GET", "/rot/cut").body == body
        return len(site.quarantined()) > before

    until(was_found, "a GET meets the bad replica and sets it aside", poll_s=0)
