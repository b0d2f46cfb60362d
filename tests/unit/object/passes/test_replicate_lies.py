"""Peers of the replicator that lie, break off, or are not what they seem: nothing of ours may suffer from them."""

import os
import pickle

import pytest

from objstore.core import pickles
from objstore.daemon.pass_ import EVERYTHING
from objstore.peers.failure import NodeFailure
from tests.support.clock import SimClock
from tests.support.replication import Copies, make_replicator, run_pass
from tests.support.storage_nodes import StorageNodes

NAME = "/AUTH_r/c/o"


@pytest.fixture
def nodes(tmp_path):
    with StorageNodes(tmp_path, nodes=4) as nodes:
        yield nodes


@pytest.fixture
def copies(nodes):
    return Copies(nodes)


class Code:
    def __reduce__(self):
        return os.mkdir, ("/tmp/objstore-must-not-exist",)


def answering(replicate=None, ssync=None):
    """An application: bytes for REPLICATE, lines for SSYNC (after all that can be read up to the end of the offers)."""

    def app(environ, start_response):
        if environ["REQUEST_METHOD"] == "REPLICATE":
            body = pickles.dumps({}) if replicate is None else replicate
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
        start_response("200 OK", [])
        return conversation(environ["wsgi.input"])

    def conversation(body):
        yield b"\r\n"
        line = body.readline()
        offered = []
        while line and line != b":MISSING_CHECK: END\r\n":
            offered.append(line)
            line = body.readline()
        yield ssync(offered) if callable(ssync) else ssync

    return app


HASHES = {
    "code": pickle.dumps(Code(), 2),
    "no pickle": b"<html>hello</html>",
    "a list": pickles.dumps(["abc"]),
    "none": pickles.dumps(None),
    "cut short": pickles.dumps({"abc": "0" * 32})[:-5],
    "a path as suffix": pickles.dumps({"../": "0" * 32}),
    "a number as suffix": pickles.dumps({1: "0" * 32}),
    "a short digest": pickles.dumps({"abc": "0"}),
    "a mapping as digest": pickles.dumps({"abc": {0: "0" * 32}}),
    "oversized": pickles.dumps({"abc": "0" * 32, "pad": "x" * (2 << 20)}),
}


@pytest.mark.parametrize("answer", HASHES.values(), ids=HASHES)
def test_suffix_hashes_that_are_none_are_refused_and_others_still_mended(nodes, copies, answer):
    first, liar, honest = copies.primaries(NAME)
    copies.put(first, NAME)
    nodes.replace(liar, "object", answering(replicate=answer))
    counts = run_pass(make_replicator(nodes, first))
    assert counts["failures"] == 1
    assert copies.read(first, NAME) is not None and copies.read(honest, NAME) is not None
    assert not os.path.exists("/tmp/objstore-must-not-exist")


def wants(*lines):
    return b"".join(line + b"\r\n" for line in (b":MISSING_CHECK: START", *lines, b":MISSING_CHECK: END"))


def wants_twice(offered):
    line = offered[-1].split()[0] + b" dm"
    return wants(line, line)


CONVERSATIONS = {
    "wants what was not offered": wants(b"0" * 32 + b" dm"),
    "wants it twice": wants_twice,
    "wants a path": wants(b"../../../etc/passwd dm"),
    "two empty lines": wants(b"", b""),
    "another beginning": b"hello\r\n",
    "a line without end": b"x" * 200_000,
    "an error": b":ERROR: 500 'no'\n",
    "goes away": b"",
    "goes away in the middle": b":MISSING_CHECK: START\r\n",
    "says that nothing is wanted, then goes away": wants(b""),
}


@pytest.mark.parametrize("answer", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_a_conversation_that_is_none_fails_and_a_handoff_keeps_its_copy(nodes, copies, answer):
    handoff = copies.handoff(NAME)
    liar, *honest = copies.primaries(NAME)
    copies.put(handoff, NAME)
    nodes.replace(liar, "object", answering(ssync=answer))
    counts = run_pass(make_replicator(nodes, handoff))
    if "nothing is wanted" not in str(answer):
        assert counts["failures"] >= 1
    assert all(copies.read(node, NAME) is not None for node in honest)
    assert copies.read(handoff, NAME) is not None or answer == wants(b"")


def out_of_order(environ, start_response):
    start_response("503 Service Unavailable", [("Content-Length", "0")])
    return [b""]


@pytest.mark.parametrize("mode", ["primary", "handoff"])
def test_a_node_that_is_away_costs_nobody_a_copy(nodes, copies, mode):
    gone, *others = copies.primaries(NAME)
    start = others[0] if mode == "primary" else copies.handoff(NAME)
    copies.put(start, NAME)
    nodes.replace(gone, "object", out_of_order)
    counts = run_pass(make_replicator(nodes, start))
    assert counts["failures"] >= 1
    assert copies.read(start, NAME) is not None
    assert all(copies.read(node, NAME) is not None for node in others)
    nodes.stop(gone, ("object",))
    nodes.start(gone)
    counts = run_pass(make_replicator(nodes, start))
    assert not counts.get("failures"), counts
    assert copies.read(gone, NAME) is not None
    assert (copies.read(start, NAME) is None) == (mode == "handoff")


def test_a_copy_never_confirms_itself(nodes, copies):
    """A node that does not know its own address takes its primary copy for a handoff. It asks itself, and must not hear
    that the object is there: with one replica that would be the end of it."""
    here, *others = copies.primaries(NAME)
    copies.put(here, NAME)
    stranger = make_replicator(nodes, here, port=nodes.port(copies.handoff(NAME), "object"))
    counts = run_pass(stranger)
    assert counts["handoffs"] == 1 and counts["failures"] == 1
    assert copies.read(here, NAME) is not None


def test_a_node_that_no_ring_names_replicates_nothing(nodes, copies):
    here = copies.primaries(NAME)[0]
    copies.put(here, NAME)
    assert list(make_replicator(nodes, here, port=1).jobs(EVERYTHING)) == []


def test_a_frozen_node_is_waited_for_once_and_asked_again_later(nodes, copies):
    first, frozen, _ = copies.primaries(NAME)
    for number in range(40):
        copies.put(first, f"/AUTH_r/c/{number}")
    replicator = make_replicator(nodes, first, timeout_s=60.0)
    asked = []
    real = replicator.calls.suffix_hashes

    class Calls:
        def suffix_hashes(self, node, policy_index, partition):
            if node.id != frozen:
                return real(node, policy_index, partition)
            asked.append(partition)
            return NodeFailure("frozen", is_silence=True)

    replicator.calls = Calls()
    replicator.absences.clock = clock = SimClock(1000.0)
    run_pass(replicator)
    assert len(asked) == 1
    clock.advance(31.0)
    run_pass(replicator)
    assert len(asked) == 2
