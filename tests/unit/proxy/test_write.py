import logging

import pytest

from objstore.peers.exchange import BackendRequest, Caller
from objstore.proxy.fault import FaultLog
from objstore.proxy.nodes import Writing
from objstore.proxy.write import Write, WriteTimes
from objstore.runtime import green
from tests.support.limits import Frozen, limiter
from tests.support.peers import REFUSES, SILENT, Breaks, Says
from tests.support.rings import make_ring

RING = make_ring(devices=5, replicas=3)
PRIMARIES = RING.primaries(0)
HANDOFFS = list(RING.handoffs(0))
TIMES = WriteTimes(answer_s=0.3, lend_s=0.05, post_quorum_s=0.04)


@pytest.fixture
def errors():
    return limiter()


def written(peers, errors, *, slots=PRIMARIES, handoffs=HANDOFFS, doubtful=(), method="PUT", times=TIMES, **options):
    def plan(servers):
        ports = ",".join(str(node and node.address[1]) for node in servers)
        return [
            BackendRequest(method, f"/0/a/c/o{slot}", [("X-Slot", str(slot)), ("X-Servers", ports)])
            for slot in range(len(servers))
        ]

    faults = FaultLog(errors, logging.getLogger("test"))
    write = Write(Caller(peers, 0.1, 0.1), faults, times, plan, 3, **options)
    write.run(Writing(list(slots), iter(handoffs), doubtful))
    return write


def told(peers):
    return {asked.address[1] for asked in peers.requests}


def ports(*nodes):
    return {node.address[1] for node in nodes}


def test_every_primary_is_told_and_no_handoff(peers, errors):
    peers.otherwise(Says(201))
    assert written(peers, errors).status == 201
    assert told(peers) == ports(*PRIMARIES)


def test_each_replica_gets_the_request_of_its_slot(peers, errors):
    peers.otherwise(Says(201))
    written(peers, errors)
    assert [asked.header("x-slot") for asked in peers.requests] == ["0", "1", "2"]


@pytest.mark.parametrize("trouble", [REFUSES, Says(507), Says(500), Breaks()], ids=["refused", "507", "500", "broken"])
def test_a_handoff_takes_the_slot_of_a_node_that_refuses(peers, errors, trouble):
    peers.otherwise(Says(201)).on(PRIMARIES[1], trouble)
    assert written(peers, errors).status == 201
    assert told(peers) >= ports(HANDOFFS[0])
    assert peers.asked(HANDOFFS[0])[0].header("x-slot") == "1"


def test_put_returns_503_when_two_of_three_nodes_are_full(peers, errors):
    peers.on(PRIMARIES[0], Says(201)).on(PRIMARIES[1], Says(507)).on(PRIMARIES[2], Says(507))
    assert written(peers, errors, handoffs=()).status == 503


def test_two_refusals_are_carried_by_two_handoffs(peers, errors):
    peers.otherwise(Says(201)).on(PRIMARIES[0], Says(507)).on(PRIMARIES[1], REFUSES)
    write = written(peers, errors)
    assert write.status == 201
    assert write.quorum.success_count == 3


def test_a_frozen_node_does_not_hold_up_a_write_that_has_its_quorum(peers, errors):
    peers.otherwise(Says(201)).on(PRIMARIES[2], SILENT)
    before = green.monotonic()
    assert written(peers, errors, handoffs=()).status == 201
    assert green.monotonic() - before < TIMES.answer_s
    assert told(peers) == ports(*PRIMARIES)


def test_a_handoff_takes_what_a_frozen_node_did_not_though_the_quorum_is_there(peers, errors):
    """Its slot names update targets: those of a node that is not there are told by nobody else."""
    peers.otherwise(Says(201)).on(PRIMARIES[2], SILENT)
    write = written(peers, errors)
    assert write.quorum.success_count == 3
    assert peers.asked(HANDOFFS[0])[0].header("x-slot") == "2"


def test_requests_are_made_knowing_who_serves_them(peers, errors):
    peers.otherwise(Says(201)).on(PRIMARIES[0], REFUSES).on(HANDOFFS[0], REFUSES).on(PRIMARIES[1], REFUSES)
    written(peers, errors)
    servers = {asked.header("x-servers") for asked in peers.requests}
    assert servers == {f"{HANDOFFS[1].address[1]},None,{PRIMARIES[2].address[1]}"}


def test_a_node_under_error_limiting_is_asked_when_the_quorum_cannot_be_had_without_it(peers, errors):
    peers.otherwise(Says(201)).on(PRIMARIES[1], REFUSES)
    write = written(peers, errors, slots=[None, *PRIMARIES[1:]], handoffs=(), doubtful=PRIMARIES[:1])
    assert write.status == 201
    assert told(peers) == ports(PRIMARIES[0], PRIMARIES[2])


def test_a_node_under_error_limiting_stands_in_for_a_frozen_one(peers, errors):
    peers.otherwise(Says(201)).on(PRIMARIES[1], SILENT)
    before = green.monotonic()
    write = written(peers, errors, slots=[None, *PRIMARIES[1:]], handoffs=(), doubtful=PRIMARIES[:1])
    assert write.status == 201
    assert green.monotonic() - before < TIMES.answer_s


def test_nodes_under_error_limiting_stand_in_for_frozen_ones_when_handoffs_are_not_enough(peers, errors):
    peers.otherwise(Says(201)).on(PRIMARIES[1], SILENT).on(PRIMARIES[2], SILENT)
    before = green.monotonic()
    assert written(peers, errors, handoffs=(), doubtful=HANDOFFS[:1]).status == 201
    assert green.monotonic() - before < TIMES.answer_s


def test_handoffs_are_not_forgotten_when_nodes_under_error_limiting_may_help(peers, errors):
    """Both stand-ins of frozen nodes refuse: the next ones are asked."""
    peers.otherwise(Says(201)).on(PRIMARIES[1], SILENT).on(PRIMARIES[2], SILENT).on(HANDOFFS[0], Says(507, after_s=0.1))
    write = written(peers, errors, slots=PRIMARIES, handoffs=HANDOFFS[:1], doubtful=HANDOFFS[1:])
    assert write.status == 201
    assert peers.asked(HANDOFFS[1])


def test_a_node_under_error_limiting_is_left_alone_while_the_others_are_enough(peers, errors):
    peers.otherwise(Says(201))
    written(peers, errors, slots=[None, *PRIMARIES[1:]], handoffs=(), doubtful=PRIMARIES[:1])
    assert told(peers) == ports(*PRIMARIES[1:])


def test_handoffs_stand_in_for_frozen_nodes_while_the_quorum_is_missing(peers, errors):
    peers.otherwise(Says(201)).on(PRIMARIES[1], SILENT).on(PRIMARIES[2], SILENT)
    before = green.monotonic()
    assert written(peers, errors).status == 201
    assert green.monotonic() - before < TIMES.answer_s
    assert told(peers) == ports(*PRIMARIES, *HANDOFFS)


def test_two_frozen_nodes_without_handoffs_give_503(peers, errors):
    peers.otherwise(Says(201)).on(PRIMARIES[1], SILENT).on(PRIMARIES[2], SILENT)
    assert written(peers, errors, handoffs=()).status == 503


def test_a_slow_primary_still_counts_after_its_handoff_was_asked(peers, errors):
    peers.on(PRIMARIES[0], Says(201)).on(PRIMARIES[1], Says(201, after_s=0.12)).otherwise(REFUSES)
    assert written(peers, errors).status == 201


def test_the_third_answer_is_waited_for_a_moment(peers, errors):
    peers.otherwise(Says(201)).on(PRIMARIES[2], Says(201, after_s=0.02))
    assert written(peers, errors).quorum.success_count == 3


def test_a_lost_answer_counts_against_the_node(peers):
    errors = limiter(0)
    peers.otherwise(Says(201)).on(PRIMARIES[2], SILENT)
    written(peers, errors)
    assert errors.is_limited(PRIMARIES[2])
    assert not errors.is_limited(PRIMARIES[0])


@pytest.mark.parametrize("handoffs", [HANDOFFS, ()], ids=["with handoffs", "without"])
def test_a_node_that_says_nothing_while_the_others_answer_is_left_alone_from_then_on(peers, handoffs):
    errors = limiter(answers=Frozen())
    peers.otherwise(Says(201)).on(PRIMARIES[2], SILENT)
    written(peers, errors, handoffs=handoffs)
    assert [errors.is_limited(node) for node in PRIMARIES] == [False, False, True]


def with_targets(slot):
    return [
        ("X-Container-Partition", "7"),
        ("X-Container-Host", f"10.0.0.{slot}:6201"),
        ("X-Container-Device", f"c{slot}"),
    ]


@pytest.mark.parametrize(("method", "etag"), [("PUT", "e" * 32), ("DELETE", None)])
@pytest.mark.parametrize("trouble", [Breaks(), Says(503)], ids=["dies", "refuses"])
def test_what_a_lost_server_was_to_tell_is_told_by_one_that_did_the_write(peers, errors, method, etag, trouble):
    headers = [("Etag", etag), ("Content-Length", "5")] if etag else [("Content-Length", "0")]

    def plan(servers):
        return [BackendRequest(method, "/0/a/c/o", [*headers, *with_targets(slot)]) for slot in range(len(servers))]

    peers.on(PRIMARIES[1], trouble)
    for slot in (0, 2):
        peers.on(PRIMARIES[slot], Says(201), Says(409))
    write = Write(Caller(peers, 0.1, 0.1), FaultLog(errors, logging.getLogger("test")), TIMES, plan, 3)
    assert write.run(Writing(list(PRIMARIES), iter(()), ())) == 201
    again = peers.requests[-1]
    assert len(peers.requests) == 4
    assert (again.method, again.header("etag"), bytes(again.body)) == (method, etag, b"")
    assert [again.header(name.lower()) for name, _ in with_targets(1)] == [value for _, value in with_targets(1)]


def test_what_lost_servers_were_to_tell_is_told_by_the_only_one_that_did_the_write_though_the_client_hears_503(
    peers, errors
):
    """The object may survive, and win: then it must be listed."""

    def plan(servers):
        headers = [("Etag", "e" * 32), ("Content-Length", "5")]
        return [BackendRequest("PUT", "/0/a/c/o", [*headers, *with_targets(slot)]) for slot in range(len(servers))]

    peers.otherwise(REFUSES).on(PRIMARIES[1], Says(201), Says(409))
    write = Write(Caller(peers, 0.1, 0.1), FaultLog(errors, logging.getLogger("test")), TIMES, plan, 3)
    assert write.run(Writing(list(PRIMARIES), iter(()), ())) == 503
    again = peers.requests[-1]
    assert (len(peers.requests), again.header("x-container-host")) == (2, "10.0.0.0:6201,10.0.0.2:6201")


def test_a_write_that_nobody_did_is_told_to_nobody(peers, errors):
    peers.otherwise(Says(503))
    assert written(peers, errors, handoffs=()).status == 503
    assert len(peers.requests) == 3


def test_507_limits_the_node(peers, errors):
    peers.otherwise(Says(201)).on(PRIMARIES[0], Says(507))
    written(peers, errors)
    assert errors.is_limited(PRIMARIES[0])


def test_refusals_of_a_quorum_are_the_answer_with_their_text(peers, errors):
    peers.otherwise(Says(409, body=b"older")).on(PRIMARIES[0], Says(201))
    write = written(peers, errors)
    assert write.status == 409
    assert write.reply_for(409).body == b"older"


def test_absence_on_two_does_not_wait_for_a_frozen_third(peers, errors):
    peers.otherwise(Says(404)).on(PRIMARIES[0], SILENT)
    before = green.monotonic()
    assert written(peers, errors, method="DELETE", is_forgiving=True).status == 404
    assert green.monotonic() - before < TIMES.answer_s


def test_a_delete_that_one_replica_had_does_not_wait_long_for_a_frozen_one(peers, errors):
    peers.on(PRIMARIES[0], Says(204)).on(PRIMARIES[1], Says(404)).on(PRIMARIES[2], SILENT)
    before = green.monotonic()
    assert written(peers, errors, handoffs=(), method="DELETE", is_forgiving=True).status == 204
    assert green.monotonic() - before < TIMES.answer_s


def test_a_delete_that_one_replica_had_leaves_a_node_under_error_limiting_alone(peers, errors):
    peers.on(PRIMARIES[0], Says(204)).on(PRIMARIES[1], Says(404)).on(PRIMARIES[2], SILENT)
    slots = [*PRIMARIES[:2], None]
    options = {"handoffs": (), "doubtful": PRIMARIES[2:], "method": "DELETE", "is_forgiving": True}
    assert written(peers, errors, slots=slots, **options).status == 204
    assert not peers.asked(PRIMARIES[2])


def test_a_delete_that_one_replica_had_is_done_when_another_knows_nothing(peers, errors):
    peers.on(PRIMARIES[0], Says(204)).on(PRIMARIES[1], Says(404)).on(PRIMARIES[2], Says(503))
    assert written(peers, errors, handoffs=(), method="DELETE", is_forgiving=True).status == 204


def test_a_delete_of_an_object_on_two_slow_primaries_is_not_answered_404(peers, errors):
    """What handoffs do not have says nothing of it."""
    peers.otherwise(Says(404)).on(PRIMARIES[0], Says(204))
    for node in PRIMARIES[1:]:
        peers.on(node, SILENT)
    assert written(peers, errors, method="DELETE", is_forgiving=True).status == 204


def test_a_slow_primary_decides_where_handoffs_know_nothing(peers, errors):
    peers.otherwise(Says(404)).on(PRIMARIES[1], Says(202, after_s=0.15)).on(PRIMARIES[2], Says(202, after_s=0.15))
    assert written(peers, errors, method="POST").status == 202


@pytest.mark.parametrize("handoffs", [HANDOFFS, ()], ids=["with handoffs", "without"])
def test_where_replicas_disagree_a_frozen_one_is_not_waited_for_long(peers, handoffs):
    times = WriteTimes(answer_s=60, lend_s=0.05, post_quorum_s=0.04)
    peers.otherwise(Says(404)).on(PRIMARIES[0], Says(202)).on(PRIMARIES[1], Says(404)).on(PRIMARIES[2], SILENT)
    before = green.monotonic()
    errors = limiter(answers=Frozen())
    assert written(peers, errors, handoffs=handoffs, method="POST", times=times).status == 503
    assert green.monotonic() - before < 30


def test_where_replicas_disagree_a_slow_one_that_says_it_is_there_has_its_time(peers, errors):
    times = WriteTimes(answer_s=60, lend_s=0.02, post_quorum_s=0.2)
    peers.on(PRIMARIES[0], Says(202)).on(PRIMARIES[1], Says(404)).on(PRIMARIES[2], Says(202, after_s=0.7))
    assert written(peers, errors, handoffs=(), method="POST", times=times).status == 202


@pytest.mark.parametrize(
    ("primaries", "handoffs", "status"),
    [
        ((404, 404, 404), (202, 202), 202),
        ((404, 404, 404), (202, 404), 503),
        ((404, 404, 404), (404, 404), 404),
        ((404, 404, 404), (), 404),
        ((404, 404, 202), (202, 404), 202),
        ((404, 404, 202), (404, 404), 503),
        ((404, 404, 202), (), 503),
        ((404, 404, 503), (202, 202), 202),
        ((404, 404, 503), (404, 404), 404),
        ((409, 409, 404), (202, 202), 409),
    ],
)
def test_a_post_finds_an_object_that_lies_on_handoffs(peers, errors, primaries, handoffs, status):
    for node, answer in zip([*PRIMARIES, *HANDOFFS], [*primaries, *handoffs], strict=False):
        peers.on(node, Says(answer))
    found = written(peers, errors, handoffs=HANDOFFS[: len(handoffs)], method="POST", doubts_absence=True)
    assert found.status == status


def test_handoffs_are_not_asked_about_an_object_that_primaries_have(peers, errors):
    peers.on(PRIMARIES[0], Says(404)).otherwise(Says(202))
    assert written(peers, errors, method="POST", doubts_absence=True).status == 202
    assert told(peers) == ports(*PRIMARIES)


def test_connections_go_back_after_an_answer_and_are_closed_without_one(peers, errors):
    peers.otherwise(Says(201, body=b"fine")).on(PRIMARIES[2], SILENT)
    written(peers, errors, handoffs=())
    assert peers.released == 2
    assert peers.closed == 1
