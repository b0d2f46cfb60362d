"""Machines that become one cluster by themselves: real processes, each on a loopback address of its own."""

from __future__ import annotations

import json
import os
import signal

import pytest

from objstore.cluster.members import read
from objstore.ring.fileformat import load
from objstore.ring.reload import CHECK_INTERVAL_S
from tests.support.cluster import objstore, until
from tests.support.machines import Machines

pytestmark = pytest.mark.cluster


@pytest.fixture
def machines(tmp_path):
    with Machines(tmp_path) as machines:
        yield machines


def reasons(machine):
    code, output, _ = objstore("status", machine.directory.root, "--json")
    return [reason["text"] for reason in json.loads(output)["reasons"]]


def test_three_machines_become_one_cluster(machines):
    first = machines.add()
    second, third = machines.add(), machines.add()
    machines.wait_for_rings()
    # Not at once: a further step may follow meanwhile, by itself.
    until(lambda: first.ring_digests() == second.ring_digests() == third.ring_digests(), "all have the same rings")
    ring = load(third.directory.etc / "object.ring.gz")
    assert all(len({row[part] for row in ring.rows}) == 3 for part in range(ring.partition_count))
    # Servers that were there before have the new ring in force some seconds later; nothing waits for that.
    for machine in machines.all:
        put, name = machine.request, f"/c/{machine.name}"
        until(lambda put=put: put("PUT", "/c")[0] in (201, 202), "a container is made")
        until(lambda put=put, name=name: put("PUT", name, b"x" + name.encode())[0] == 201, "an object is stored")
    for machine in machines.all:
        for other in machines.all:
            assert machine.request("GET", f"/c/{other.name}")[2] == f"x/c/{other.name}".encode()
    # No secret of any of them is in a log, and none was printed but the token.
    secrets = [first.key(), (first.directory.etc / "cluster.key").read_text().strip(), first.token_printed]
    for machine in machines.all:
        text = machine.logs() + machine.output()
        assert not [secret for secret in secrets if secret in text]


@pytest.mark.long
def test_a_node_that_is_down_while_the_rings_change_catches_up_and_objects_find_their_places(machines):
    first, second, third = machines.add(), machines.add(), machines.add()
    machines.wait_for_rings()
    assert first.request("PUT", "/c")[0] in (201, 202)
    for number in range(30):
        assert first.request("PUT", f"/c/{number}", b"%d" % number)[0] == 201
    third.stop()
    second.device_path("n2", "d2").mkdir(exist_ok=True)
    code, output, error = objstore("drive", "add", second.directory.root, "n2", "d2", "--yes")
    assert code == 0, output + error
    until(lambda: second.ring_digests() == first.ring_digests(), "the change reaches n2")
    assert third.ring_digests() != first.ring_digests()
    until(lambda: any("n3" in reason for reason in reasons(first)), "the node that is down is named")
    third.start()
    machines.wait_for_rings()
    assert third.ring_digests() == first.ring_digests()
    until(
        lambda: all(third.request("GET", f"/c/{number}")[2] == b"%d" % number for number in range(30)),
        "everything can be read through the node that was away",
        patience_s=60 + CHECK_INTERVAL_S,
    )
    names = sorted(str(number).encode() for number in range(30))
    until(lambda: third.request("GET", "/c")[2].split() == names, "everything is listed there", patience_s=120)


@pytest.mark.long
def test_a_lost_holder_is_replaced_and_steps_down_when_it_is_back(machines):
    first, second, third = machines.add(), machines.add(), machines.add()
    machines.wait_for_rings()
    first.stop()
    code, _, error = objstore("drive", "add", second.directory.root, "n2", "d2", "--yes")
    assert code == 1 and "Connection refused" in error
    code, _, error = objstore("node", "holder", second.directory.root)
    assert code == 1 and "objstore node holder DIR --lost" in error
    code, output, error = objstore("node", "holder", second.directory.root, "--lost")
    assert code == 0, error
    until(lambda: read(third.directory.etc).holding.name == "n2", "n3 knows the new holder")
    second.device_path("n2", "d2").mkdir(exist_ok=True)
    code, output, error = objstore("drive", "add", second.directory.root, "n2", "d2", "--yes")
    assert code == 0, output + error
    first.start()
    until(lambda: read(first.directory.etc).holding.name == "n2", "n1 steps down")
    until(lambda: first.ring_digests() == second.ring_digests() == third.ring_digests(), "all have the same rings")


@pytest.mark.long
def test_a_ring_that_differs_is_a_reason_on_every_node_until_it_is_pushed(machines):
    first, second = machines.add(), machines.add()
    machines.wait_for_rings()
    path = second.directory.etc / "object.ring.gz"
    path.write_bytes((second.directory.etc / "account.ring.gz").read_bytes())
    for machine in (first, second):
        until(lambda machine=machine: any("object.ring.gz" in text for text in reasons(machine)), "it is named")
    code, output, error = objstore("ring", "push", first.directory.root, "--yes")
    assert code == 0, output + error
    assert second.ring_digests() == first.ring_digests()


@pytest.mark.long
def test_an_agent_that_is_killed_is_started_again_and_goes_on(machines):
    first = machines.add()
    (pid,) = first.pids(role="agent")
    os.kill(pid, signal.SIGKILL)
    until(lambda: first.pids(role="agent") not in ([], [pid]), "another agent runs")
    first.wait_ready()
    assert first.join_token().startswith("objstore-join-")


@pytest.mark.long
def test_the_steps_of_a_drain_follow_by_themselves_as_the_replicators_get_on(machines):
    first, _, third = machines.add(), machines.add(), machines.add()
    for machine in machines.all:
        for kind in ("account", "container", "object"):
            machine.configure(f"{kind}-replicator", "interval", 1, kind=kind)
    for machine in machines.all:
        machine.stop()
        machine.start()
    machines.wait_for_rings()
    assert first.request("PUT", "/c")[0] in (201, 202)
    for number in range(30):
        assert first.request("PUT", f"/c/{number}", b"%d" % number)[0] == 201
    for words in (("add", "n2", "d2"), ("drain", "n2", "d1")):
        code, output, error = objstore("drive", words[0], third.directory.root, *words[1:], "--yes")
        assert code == 0, output + error

    def removed():
        return objstore("drive", "remove", third.directory.root, "n2", "d1", "--yes")[0] == 0

    until(removed, "the drained drive of n2 is empty, and n3 may take it out", patience_s=400)
    for number in range(30):
        assert third.request("GET", f"/c/{number}")[2] == b"%d" % number
    facts = first.client.facts()
    assert facts.steps in ("", "the next step follows now") or "not yet" in facts.steps
