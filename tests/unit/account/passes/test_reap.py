"""The reaper against real servers, four nodes in this process."""

import contextlib
import json
import logging

import pytest

from objstore.account.passes import reap
from objstore.account.passes.reap import AccountReaper
from objstore.account.passes.reap_plan import SHARED_FOR_S
from objstore.core.names import wsgi_of
from objstore.core.timestamp import Timestamp
from objstore.daemon.pass_ import EVERYTHING, FAILURES, Scope
from objstore.db.merge import ContainerRow
from objstore.http.client import request
from objstore.peers.deletions import DirectClient
from objstore.ring.fileformat import load
from objstore.runtime.clock import SystemClock
from objstore.runtime.devices import Devices
from tests.support.database_replicas import Replicas
from tests.support.storage_nodes import StorageNodes

ACCOUNT = "AUTH_v"


class LateClock(SystemClock):
    """Wall time that runs some seconds ahead."""

    def __init__(self, ahead_s):
        self.ahead_s = ahead_s

    def now(self):
        return Timestamp.from_seconds(super().now().seconds + self.ahead_s)


class World:
    def __init__(self, nodes):
        self.nodes = nodes
        self.accounts = Replicas(nodes, "account")
        self.containers = Replicas(nodes, "container")
        self.proxy = nodes.proxy()
        self.clients = []

    def close(self):
        for each in (self.accounts, self.containers, *self.clients):
            each.close()

    def fill(self, container, objects, policy="gold"):
        assert self.proxy.put(f"/v1/{ACCOUNT}/{container}", {"X-Storage-Policy": policy}).status == 201
        for name in objects:
            assert self.proxy.put(wsgi_of(f"/v1/{ACCOUNT}/{container}/{name}"), body=b"x").status == 201

    def delete_account(self, positions=range(3)):
        for position in positions:
            broker = self.accounts.broker(position)
            broker.database.flush()
            broker.delete(Timestamp(SystemClock().now().ticks))

    def reaper(self, position, delay_s=0.0, ahead_s=0.0, warn_after_s=1e9, timeout_s=20.0):
        clock = LateClock(ahead_s)
        node = self.accounts.order()[0][position].id
        directory = self.nodes.directory
        self.clients.append(DirectClient(conn_timeout_s=2, node_timeout_s=timeout_s, monotonic=clock.monotonic))
        return AccountReaper(
            Devices(self.nodes.device_root(node), False),
            lambda name: load(directory / f"{name}.ring.gz"),
            frozenset({"127.0.0.1"}),
            self.nodes.port(node, "account"),
            self.accounts.cluster.secrets,
            self.accounts.cluster.policies,
            self.clients[-1],
            clock,
            delay_s,
            warn_after_s,
        )

    def reap(self, positions=range(3), **options):
        counts = []
        for position in positions:
            reaper = self.reaper(position, **options)
            counts += [reaper.run(job) for job in reaper.jobs(EVERYTHING)]
        return {name: sum(each.get(name, 0) for each in counts) for name in set().union(*counts)} if counts else {}

    def listings(self, container):
        """What each replica lists, asked directly."""
        order, partition = self.containers.order(container)
        found = []
        for node in order[:3]:
            target = f"/{node.name}/{partition}/{ACCOUNT}/{container}?format=json"
            head, body = request(
                self.containers.pool, *node.address, "GET", target,
                [("Host", "x")], connect_timeout_s=2, timeout_s=5, max_body_bytes=1 << 20,
            )  # fmt: skip
            found.append([item["name"] for item in json.loads(body)] if head.status == 200 else head.status)
        return found

    def data_files(self):
        return [path for path in self.nodes.directory.rglob("*.data")]


@pytest.fixture
def world(tmp_path):
    """row_timeout: on a busy machine, too, rows and counts are there when an answer is."""
    with StorageNodes(tmp_path) as nodes, contextlib.closing(World(nodes)) as world:
        yield world


@pytest.fixture
def failing_world(tmp_path):
    """For tests in which servers do not answer: nobody waits long for them."""
    with StorageNodes(tmp_path) as nodes, contextlib.closing(World(nodes)) as world:
        yield world


def test_objects_and_containers_of_a_deleted_account_go_everywhere(world):
    world.fill("c1", ["a", "dir/b ü", "c"])
    world.fill("c2", [])
    world.fill("silver", ["s"], "silver")
    world.delete_account()
    counts = world.reap()
    assert (counts["objects_deleted"], counts["containers_deleted"], counts.get(FAILURES, 0)) == (4, 3, 0)
    assert world.data_files() == []
    assert world.listings("c1") == world.listings("silver") == [404, 404, 404]
    for position in range(3):
        world.accounts.replicate(position)
    for position in range(3):
        info = world.accounts.broker(position).info()
        assert (info.container_count, info.object_count, info.bytes_used) == (0, 0, 0)
    assert world.reap() == {}


def test_an_account_that_lives_is_left_alone(world):
    world.fill("c1", ["a"])
    assert world.reap() == {}
    assert world.proxy.get(f"/v1/{ACCOUNT}/c1/a").status == 200


def test_an_account_waits_for_its_delay(world):
    world.fill("c1", ["a"])
    world.delete_account()
    assert world.reap(delay_s=3600) == {}
    assert world.reap(delay_s=3600, ahead_s=3700)["objects_deleted"] == 1


def test_a_container_that_a_node_away_still_has_goes_in_a_later_pass(failing_world):
    world = failing_world
    world.fill("c1", ["a"])
    world.delete_account()
    away = world.containers.order("c1")[0][2].id
    world.nodes.cut(away, "container")
    counts = world.reap(timeout_s=5.0)
    assert counts.get("containers_deleted", 0) == 0 and counts[FAILURES] == 1
    assert world.data_files() == []
    world.nodes.start(away)
    for position in (0, 2):
        world.containers.replicate(position, "c1")
    assert world.reap().get(FAILURES, 0) == 0
    assert world.listings("c1") == [404, 404, 404]


def test_objects_in_another_policy_than_their_containers_go_too(world):
    world.fill("c1", ["home", "stray"])
    for position in range(3):
        broker = world.containers.broker(position, "c1")
        broker.database.flush()
        broker.database.write(
            lambda connection: connection.execute("UPDATE container_info SET storage_policy_index = 2")
        )
    world.delete_account()
    assert world.reap()["objects_deleted"] == 2
    assert world.data_files() == []
    assert world.listings("c1") == [404, 404, 404]


def test_each_node_does_its_share_and_later_anybodys(world):
    names = [f"c{number}" for number in range(6)]
    for name in names:
        world.fill(name, [])
    world.delete_account()
    shares = [[job.container for job in world.reaper(position).jobs(EVERYTHING)] for position in range(3)]
    assert sorted(name for share in shares for name in share) == names
    late = [job.container for job in world.reaper(0, ahead_s=SHARED_FOR_S + 60).jobs(EVERYTHING)]
    assert sorted(late) == names


def test_several_jobs_share_one_large_container(world, monkeypatch):
    monkeypatch.setattr(reap, "OBJECTS_PER_JOB", 2)
    world.fill("c1", [f"o{number}" for number in range(7)])
    for position in range(3):
        broker = world.accounts.broker(position)
        broker.report(ContainerRow("c1", None, None, 7, 7, 0, 0))
        broker.database.flush()
    world.delete_account()
    jobs = [job for position in range(3) for job in world.reaper(position).jobs(EVERYTHING)]
    assert len(jobs) == 4
    assert world.reap()["containers_deleted"] == 1
    assert world.data_files() == []


def test_an_overdue_account_is_warned_about(failing_world, caplog):
    world = failing_world
    world.fill("c1", ["a"])
    world.delete_account()
    for position in range(3):
        world.nodes.cut(world.containers.order("c1")[0][position].id, "container")
    with caplog.at_level(logging.WARNING):
        assert world.reap(warn_after_s=0, timeout_s=2.0)["containers_remaining"] == 1
    assert "still not empty" in caplog.text


def test_a_broken_account_database_is_a_failure_and_the_others_are_reaped(world):
    world.fill("c1", [])
    world.delete_account()
    broker = world.accounts.broker(0)
    with open(broker.database.location.current(), "r+b") as file:
        file.write(b"garbage" * 100)
    reaper = world.reaper(0)
    assert [reaper.run(job) for job in reaper.jobs(EVERYTHING)] == [{FAILURES: 1}]


def test_scope_narrows_the_jobs(world):
    world.fill("c1", [])
    world.delete_account()
    partition = world.accounts.order()[1]
    found = [
        job
        for position in range(3)
        for job in world.reaper(position).jobs(Scope(partitions=frozenset({partition + 1})))
    ]
    assert found == []
