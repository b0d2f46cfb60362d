"""cluster/peer_gate.py: who may connect to a storage server."""

import errno
import ipaddress
import logging

import pytest

from objstore.cluster import members
from objstore.cluster.changes import AddDrives, NewDrive
from objstore.cluster.holder import Holder
from objstore.cluster.members import Member, Members
from objstore.cluster.peer_gate import CHECK_INTERVAL_S, LOG_INTERVAL_S, LOGGED_MAX, PeerGate, ring_hosts
from objstore.config.server import ServerSettings
from objstore.ring.fileformat import save
from objstore.runtime.fs import Fs
from tests.support.clock import SimClock
from tests.support.ring_holder import make_etc, node
from tests.support.rings import make_device, make_ring


@pytest.fixture
def etc(tmp_path):
    return make_etc(tmp_path / "etc")


def networks(*texts):
    return [ipaddress.ip_network(text) for text in texts]


@pytest.mark.parametrize(
    ("peer", "is_admitted"),
    [
        ("10.0.0.1", True),
        ("10.0.0.4", True),
        ("::ffff:10.0.0.4", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("10.0.0.5", False),
        ("::ffff:10.0.0.5", False),
        ("192.0.2.7", True),
        ("198.51.100.200", True),
        ("198.51.101.1", False),
        ("fe80::1%eth0", True),
        ("fe81::1", False),
        ("", False),
        ("10.0.0.1 ", False),
        ("010.0.0.1", False),
    ],
)
def test_rings_listed_hosts_and_this_machine_are_admitted_and_nobody_else(etc, peer, is_admitted):
    gate = PeerGate(etc, networks("192.0.2.7", "198.51.100.0/24", "fe80::/16"), SimClock())
    assert gate.admits(peer) is is_admitted


def test_this_machines_own_addresses_are_admitted(etc):
    assert PeerGate(etc, (), SimClock(), lambda: frozenset({"203.0.113.9"})).admits("203.0.113.9")


def test_both_networks_of_a_ring_are_admitted():
    ring = make_ring(devices=3)
    devices = (*ring.devices[:2], make_device(2, ip="10.1.0.1", replication_ip="fd00:0::2"))
    assert ring_hosts(type(ring)(ring.header, ring.rows, devices)) == {"127.0.0.1", "10.1.0.1", "fd00:0::2"}


def test_a_new_node_is_admitted_within_a_second_and_one_that_left_is_not_for_long(etc):
    clock = SimClock()
    gate, holder = PeerGate(etc, (), clock), Holder(etc, None, clock)
    assert not gate.admits("10.0.0.5")
    holder.apply(AddDrives(node(5), 5, (NewDrive("d1", 100.0),)), holder.version())
    assert not gate.admits("10.0.0.5")
    clock.advance(1)
    assert gate.admits("10.0.0.5")
    for path in etc.glob("*"):
        if path.is_file():
            path.unlink()
    make_etc(etc)
    clock.advance(CHECK_INTERVAL_S)
    assert not gate.admits("10.0.0.5")


def test_a_member_without_drives_is_admitted(etc):
    clock = SimClock()
    gate = PeerGate(etc, (), clock)
    assert not gate.admits("10.0.7.1")
    ports = {"object": 6200, "container": 6201, "account": 6202}
    member = Member("0" * 16, "n7", "z7", 7, "10.0.7.1", 6199, "a" * 64, ports)
    members.write(etc, Members("0" * 32, 1, 1, member.id, 6203, (member,)), Fs())
    clock.advance(1)
    assert gate.admits("10.0.7.1")


def test_a_ring_that_is_damaged_or_gone_keeps_its_nodes(etc):
    clock = SimClock()
    gate = PeerGate(etc, (), clock).open()
    for index, path in enumerate(etc.glob("*.ring.gz")):
        if index:
            path.write_bytes(b"rubbish")
        else:
            path.unlink()
    clock.advance(CHECK_INTERVAL_S)
    assert gate.admits("10.0.0.4")


def test_a_host_name_is_looked_up_and_one_that_is_none_is_said(tmp_path, caplog):
    devices = [make_device(0, ip="localhost", replication_ip="10.5.0.1"), make_device(1, ip="x" * 64)]
    ring = make_ring(devices=2, replicas=1)
    save(type(ring)(ring.header, ring.rows, devices), tmp_path / "object.ring.gz")
    gate = PeerGate(tmp_path, (), SimClock(), frozenset).open()
    assert "10.5.0.1" in gate.addresses()
    assert {"127.0.0.1", "::1"} & set(gate.addresses())
    assert f"{'x' * 64!r} cannot be looked up" in caplog.text


def test_what_cannot_be_found_out_changes_nothing(etc, caplog):
    clock, answers = SimClock(), [frozenset({"203.0.113.9"})]

    def own():
        if answers:
            return answers.pop()
        raise OSError(errno.EMFILE, "Too many open files")

    gate = PeerGate(etc, (), clock, own).open()
    clock.advance(CHECK_INTERVAL_S)
    assert gate.admits("203.0.113.9")
    clock.advance(CHECK_INTERVAL_S)
    assert gate.admits("10.0.0.4")
    assert "Too many open files" in caplog.text


def test_files_are_read_elsewhere_while_connections_are_answered_as_before(etc):
    clock, looks = SimClock(), []
    gate, holder = PeerGate(etc, (), clock, frozenset, looks.append).open(), Holder(etc, None, clock)
    holder.apply(AddDrives(node(5), 5, (NewDrive("d1", 100.0),)), holder.version())
    clock.advance(1)
    assert (gate.admits("10.0.0.5"), gate.admits("10.0.0.4"), len(looks)) == (False, True, 1)
    clock.advance(1)
    assert (gate.admits("10.0.0.5"), len(looks)) == (False, 1)
    looks[0]()
    assert gate.admits("10.0.0.5")


def test_a_refusal_is_logged_once_a_minute_for_each_address(etc, caplog):
    clock = SimClock()
    gate = PeerGate(etc, (), clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            gate.admits("10.9.9.9")
        gate.admits("10.9.9.8")
        clock.advance(LOG_INTERVAL_S)
        gate.admits("10.9.9.9")
    lines = [record.getMessage() for record in caplog.records]
    assert ["10.9.9.9" in line for line in lines] == [True, False, True]
    assert lines[2].endswith("more_since_last=4")
    assert "admit_hosts" in lines[0]


def test_a_scan_of_a_network_takes_no_more_memory(etc):
    gate = PeerGate(etc, (), SimClock())
    for number in range(LOGGED_MAX + 100):
        gate.admits(f"10.7.{number >> 8}.{number & 255}")
    assert len(gate._logged) == LOGGED_MAX


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("10.0.0.5", ("10.0.0.5/32",)),
        ("10.0.0.5, 10.1.0.0/16 fd00::/8", ("10.0.0.5/32", "10.1.0.0/16", "fd00::/8")),
    ],
)
def test_hosts_are_listed_as_addresses_and_networks(text, found):
    settings, problems = ServerSettings.from_pairs({"admit_hosts": text})
    assert (tuple(map(str, settings.admit_hosts)), problems) == (found, [])


@pytest.mark.parametrize("text", ["proxy.example.org", "10.0.0.5/8", "10.0.0.256", "*"])
def test_a_host_that_is_no_address_is_a_problem(text):
    _, problems = ServerSettings.from_pairs({"admit_hosts": text})
    assert [problem.key for problem in problems] == ["admit_hosts"]


def test_nobody_is_locked_out_of_a_file_that_does_not_say_so():
    assert ServerSettings.from_pairs({})[0].admit == "all"
