"""object/delivery.py: rows to container servers, one at a time or together."""

import json
import socket

import pytest

from objstore.core.timestamp import Timestamp
from objstore.http.client import ConnectFailed, ConnectTimedOut, PeerBroken, PeerTimedOut
from objstore.object.delivery import RETRY_UPDATE_S, HttpPeers, RowDelivery, Target
from objstore.object.rows import ContainerRow
from objstore.peers.silence import Silences
from objstore.runtime.green import Future, sleep, spawn
from tests.support.clock import SimClock
from tests.support.limits import Frozen

TARGET = Target("127.0.0.1", 6201, "sda", "7", "AUTH_a", "c ü")


def row(number, op="PUT"):
    moment = Timestamp.from_seconds(1_700_000_000 + number)
    if op == "DELETE":
        return ContainerRow(op, "AUTH_a", "c ü", f"o{number}", 0, moment)
    return ContainerRow(op, "AUTH_a", "c ü", f"o{number}", 0, moment, number, "text/\xc3\xbc", "e" * 32)


class ScriptedPeer:
    """A container server that answers when told. calls: (method, path, body) in the order they came."""

    def __init__(self, *statuses):
        self.calls = []
        self.gate = Future()
        self._statuses = list(statuses)

    def __call__(self, target, method, path, headers, body, timeout_s):
        self.calls.append((method, path, json.loads(body) if body else None))
        self.gate.wait(5)
        status = self._statuses.pop(0) if self._statuses else (202 if method == "UPDATE" else 201)
        if isinstance(status, Exception):
            raise status
        return status


def deliver_all(delivery, rows, peer, **options):
    """Hand in all rows while the first is still under way, then let the peer answer."""
    tasks = [spawn(delivery.deliver, TARGET, each, **options) for each in rows]
    sleep(0)
    sleep(0)
    peer.gate.set()
    return [task.join() for task in tasks]


def delivery_to(call, clock, timeout_s, answers=lambda _: True, **options):
    return RowDelivery(call, clock, timeout_s, Silences(answers), **options)


def change(delivery, number, made):
    """Announce a row, hand it in when the future `made` is set; fail with it."""
    with delivery.announced([TARGET]):
        made.wait(30)
    return delivery.deliver(TARGET, row(number))


@pytest.fixture
def clock():
    return SimClock()


def test_a_lone_row_goes_at_once_as_a_put(clock):
    peer = ScriptedPeer()
    peer.gate.set()
    assert delivery_to(peer, clock, 1.0).deliver(TARGET, row(1))
    assert peer.calls == [("PUT", "/sda/7/AUTH_a/c ü/o1", None)]


def test_rows_that_wait_go_together(clock):
    peer = ScriptedPeer()
    rows = [row(1), row(2), row(3, "DELETE"), row(4)]
    assert deliver_all(delivery_to(peer, clock, 1.0), rows, peer) == [True] * 4
    assert [call[0] for call in peer.calls] == ["PUT", "UPDATE"]
    assert peer.calls[1][1] == "/sda/7/AUTH_a/c ü"
    assert peer.calls[1][2] == [
        {"name": "o2", "created_at": "1700000002.00000", "size": 2, "content_type": "text/ü", "etag": "e" * 32,
         "deleted": 0, "storage_policy_index": 0},
        {"name": "o3", "created_at": "1700000003.00000", "size": 0, "content_type": "application/deleted",
         "etag": "noetag", "deleted": 1, "storage_policy_index": 0},
        {"name": "o4", "created_at": "1700000004.00000", "size": 4, "content_type": "text/ü", "etag": "e" * 32,
         "deleted": 0, "storage_policy_index": 0},
    ]  # fmt: skip


def test_rows_of_sharded_containers_always_go_alone(clock):
    peer = ScriptedPeer()
    assert deliver_all(delivery_to(peer, clock, 1.0), [row(1), row(2), row(3)], peer, alone=True) == [True] * 3
    assert [call[0] for call in peer.calls] == ["PUT"] * 3


def test_a_peer_that_does_not_know_update_gets_puts_and_is_asked_again_later(clock):
    peer = ScriptedPeer(201, 405)
    delivery = delivery_to(peer, clock, 1.0)
    assert deliver_all(delivery, [row(1), row(2), row(3)], peer) == [True] * 3
    assert [call[0] for call in peer.calls] == ["PUT", "UPDATE", "PUT", "PUT"]
    peer.calls.clear()
    assert deliver_all(delivery, [row(4), row(5), row(6)], ScriptedPeer()) == [True] * 3
    assert {call[0] for call in peer.calls} == {"PUT"}
    clock.advance(RETRY_UPDATE_S + 1)
    peer.calls.clear()
    peer.gate = Future()
    assert deliver_all(delivery, [row(7), row(8), row(9)], peer) == [True] * 3
    assert [call[0] for call in peer.calls] == ["PUT", "UPDATE"]


def test_every_row_of_a_refused_batch_gets_its_own_verdict(clock):
    peer = ScriptedPeer(201, 404, 404, 201)
    assert deliver_all(delivery_to(peer, clock, 1.0), [row(1), row(2), row(3)], peer) == [True, False, True]


def test_a_peer_that_refuses_is_told_again_as_soon_as_it_is_back(clock):
    peer = ScriptedPeer(ConnectFailed("x"))
    peer.gate.set()
    delivery = delivery_to(peer, clock, 1.0)
    assert not delivery.deliver(TARGET, row(1))
    assert delivery.deliver(TARGET, row(2))


@pytest.mark.parametrize("error", [PeerTimedOut("x"), ConnectTimedOut("x")], ids=["no answer", "no connection"])
def test_a_peer_that_is_silent_is_left_alone_until_it_answers(clock, error):
    peer, frozen = ScriptedPeer(error), Frozen()
    peer.gate.set()
    delivery = delivery_to(peer, clock, 1.0, frozen)
    assert not delivery.deliver(TARGET, row(1))
    assert not delivery.deliver(TARGET, row(2))
    assert len(peer.calls) == 1
    frozen.thaw()
    assert delivery.deliver(TARGET, row(3))


def test_a_row_that_waited_long_does_not_blame_the_peer(clock):
    peer = ScriptedPeer(201, PeerTimedOut("x"))
    delivery = delivery_to(peer, clock, 1.0, Frozen())
    tasks = [spawn(delivery.deliver, TARGET, row(number)) for number in (1, 2)]
    sleep(0)
    sleep(0)
    clock.advance(0.9)
    peer.gate.set()
    assert [task.join() for task in tasks] == [True, False]
    assert delivery.deliver(TARGET, row(3))


def test_a_broken_connection_fails_its_rows_and_no_others(clock):
    peer = ScriptedPeer(201, PeerBroken("x"))
    delivery = delivery_to(peer, clock, 1.0)
    assert deliver_all(delivery, [row(1), row(2), row(3)], peer) == [True, False, False]
    assert delivery.deliver(TARGET, row(4))


def test_waiting_behind_a_frozen_peer_ends_in_time(clock):
    """A frozen peer still accepts connections: only deadlines find it."""
    peer = ScriptedPeer()
    delivery = delivery_to(peer, clock, 0.05)
    first = spawn(delivery.deliver, TARGET, row(1))
    sleep(0)
    assert not delivery.deliver(TARGET, row(2))
    peer.gate.set()
    assert first.join()
    assert [call[0] for call in peer.calls] == ["PUT"]


def test_a_leader_that_is_killed_hands_over(clock):
    peer = ScriptedPeer()
    delivery = delivery_to(peer, clock, 5.0)
    first = spawn(delivery.deliver, TARGET, row(1))
    sleep(0)
    second = spawn(delivery.deliver, TARGET, row(2))
    sleep(0)
    first.kill()
    peer.gate.set()
    assert second.join()
    assert [call[0] for call in peer.calls] == ["PUT", "PUT"]


def test_containers_do_not_wait_for_each_other(clock):
    peer = ScriptedPeer()
    delivery = delivery_to(peer, clock, 1.0)
    other = Target(TARGET.host, TARGET.port, TARGET.device, "8", "AUTH_a", "d")
    tasks = [spawn(delivery.deliver, target, row(1)) for target in (TARGET, other)]
    sleep(0)
    assert len(peer.calls) == 2
    peer.gate.set()
    assert all(task.join() for task in tasks)


def test_over_a_real_connection():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(True)
    received = []

    def serve():
        with listener, listener.accept()[0] as connection:
            received.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    import threading

    thread = threading.Thread(target=serve)
    thread.start()
    host, port = listener.getsockname()
    target = Target(host, port, "sda", "7", "AUTH_a", "c ü")
    assert delivery_to(HttpPeers(1.0), SimClock(), 5.0).deliver(target, row(1))
    thread.join(5)
    lines = received[0].decode("latin-1").split("\r\n")
    assert lines[0] == "PUT /sda/7/AUTH_a/c%20%C3%BC/o1 HTTP/1.1"
    assert {f"Host: {host}:{port}", "X-Size: 1", "X-Timestamp: 1700000001.00000", "Content-Length: 0"} <= set(lines)
    assert any(line.startswith("User-Agent: object-server ") for line in lines)


def test_nobody_listens():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    target = Target("127.0.0.1", port, "sda", "7", "AUTH_a", "c")
    assert not delivery_to(HttpPeers(1.0), SimClock(), 5.0).deliver(target, row(1))


def test_who_is_killed_in_line_is_passed_over(clock):
    peer = ScriptedPeer()
    delivery = delivery_to(peer, clock, 5.0)
    first, second, third = (spawn(delivery.deliver, TARGET, row(number)) for number in (1, 2, 3))
    sleep(0)
    second.kill()
    peer.gate.set()
    assert first.join() and third.join()
    assert [call[1][-2:] for call in peer.calls] == ["o1", "o3"]


def test_who_is_killed_when_it_should_lead_hands_over(clock):
    peer = ScriptedPeer()
    delivery = delivery_to(peer, clock, 5.0)
    first = spawn(delivery.deliver, TARGET, row(1))
    sleep(0)
    second, third = (spawn(delivery.deliver, TARGET, row(number)) for number in (2, 3))
    sleep(0)
    peer.gate.set()
    first.join()
    second.kill()
    assert third.join()
    assert delivery.deliver(TARGET, row(4))


class TestAnnouncedRows:
    @pytest.fixture
    def peer(self):
        peer = ScriptedPeer()
        peer.gate.set()
        return peer

    def test_they_go_with_the_first_that_is_handed_in(self, clock, peer):
        delivery, made = delivery_to(peer, clock, 60.0, gather_s=30.0), [Future() for _ in range(3)]
        tasks = [spawn(change, delivery, number, each) for number, each in enumerate(made)]
        for each in made:
            sleep(0)
            assert not peer.calls
            each.set()
        assert [task.join() for task in tasks] == [True] * 3
        assert [(call[0], len(call[2])) for call in peer.calls] == [("UPDATE", 3)]

    def test_those_of_other_targets_are_not_waited_for(self, clock, peer):
        delivery, made = delivery_to(peer, clock, 60.0, gather_s=30.0), Future()
        slow = spawn(change, delivery, 1, made)
        sleep(0)
        other = Target(TARGET.host, TARGET.port, TARGET.device, "8", "AUTH_a", "d")
        assert delivery.deliver(other, row(2))
        made.set()
        assert slow.join()
        assert [call[0] for call in peer.calls] == ["PUT", "PUT"]

    def test_one_that_does_not_come_in_time_travels_later(self, clock, peer):
        delivery, made = delivery_to(peer, clock, 60.0, gather_s=0.01), Future()
        slow = spawn(change, delivery, 1, made)
        sleep(0)
        assert delivery.deliver(TARGET, row(2))
        made.set()
        assert slow.join()
        assert [call[1][-2:] for call in peer.calls] == ["o2", "o1"]

    def test_a_change_that_fails_keeps_nobody_waiting(self, clock, peer):
        delivery, made = delivery_to(peer, clock, 60.0, gather_s=30.0), Future()
        doomed = spawn(change, delivery, 1, made)
        sleep(0)
        first = spawn(delivery.deliver, TARGET, row(2))
        sleep(0)
        made.fail(OSError("the disk is full"))
        assert first.join()
        with pytest.raises(OSError, match="full"):
            doomed.join()
        assert [call[1][-2:] for call in peer.calls] == ["o2"]

    def test_who_is_killed_while_it_waits_for_them_hands_over(self, clock, peer):
        delivery, made = delivery_to(peer, clock, 60.0, gather_s=30.0), Future()
        announced = spawn(change, delivery, 1, made)
        sleep(0)
        first, second = (spawn(delivery.deliver, TARGET, row(number)) for number in (2, 3))
        sleep(0)
        first.kill()
        made.set()
        assert second.join() and announced.join()
        assert [[item["name"] for item in call[2]] for call in peer.calls] == [["o3", "o1"]]

    def test_who_is_announced_in_the_turn_that_brings_the_last_is_waited_for_too(self, clock, peer):
        delivery, made, made_later = delivery_to(peer, clock, 60.0, gather_s=30.0), Future(), Future()
        announced = spawn(change, delivery, 1, made)
        sleep(0)
        first = spawn(delivery.deliver, TARGET, row(2))
        sleep(0)
        made.set()
        announced_later = spawn(change, delivery, 3, made_later)
        for _ in range(3):
            sleep(0)
        assert peer.calls == []
        made_later.set()
        assert all(task.join() for task in (first, announced, announced_later))
        assert [[item["name"] for item in call[2]] for call in peer.calls] == [["o2", "o1", "o3"]]
