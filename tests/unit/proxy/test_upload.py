import hashlib
import json
import logging
import re

import pytest

from objstore.core.errors import BodyTooLarge, ClientDisconnected
from objstore.http.subrequest import BytesInput
from objstore.peers.exchange import BackendRequest, Caller
from objstore.proxy.fault import FaultLog
from objstore.proxy.nodes import Writing
from objstore.proxy.upload import Upload
from objstore.proxy.write import WriteTimes
from objstore.runtime import green
from objstore.runtime.checksum import crc32c, crc_text
from tests.support.limits import Frozen, limiter
from tests.support.peers import REFUSES, SILENT, Breaks, Says
from tests.support.rings import make_ring

RING = make_ring(devices=5, replicas=3)
PRIMARIES = RING.primaries(0)
HANDOFFS = list(RING.handoffs(0))
TIMES = WriteTimes(answer_s=0.4, lend_s=0.05, post_quorum_s=0.04)
OURS = {"x-obj-metadata-footer": "yes", "x-objstore-crc": "yes", "x-objstore-targets": "yes"}
OLDER = {"x-obj-metadata-footer": "yes", "x-objstore-crc": "yes"}
THEIRS = {"x-obj-metadata-footer": "yes"}
BODY = bytes(range(256)) * 3000
PART_BYTES = len(BODY) // 3


def takes(status=201, offered=OURS, **more):
    return Says(status, interim=(offered,), **more)


@pytest.fixture
def errors():
    return limiter()


def targets(slot):
    return [
        ("X-Container-Partition", "7"),
        ("X-Container-Host", f"10.0.0.{slot}:6201"),
        ("X-Container-Device", f"c{slot}"),
    ]


def upload_to(peers, errors, slots=PRIMARIES, handoffs=HANDOFFS, doubtful=()):
    def plan(servers):
        return [BackendRequest("PUT", f"/0/a/c/o{slot}", targets(slot)) for slot in range(len(servers))]

    faults = FaultLog(errors, logging.getLogger("test"))
    upload = Upload(Caller(peers, 0.1, 0.1), faults, TIMES, plan, 3, "boundary")
    return upload, upload.open(Writing(list(slots), iter(handoffs), doubtful))


def uploaded(peers, errors, body=BODY, limit=1 << 40, length=None, **options):
    """The final status; 0 when the quorum was lost on the way."""
    upload, is_open = upload_to(peers, errors, **options)
    assert is_open
    if not upload.relay(BytesInput(body), limit, length):
        upload.abandon()
        return 0
    return upload.finish({})


def unchunked(data):
    found, data = b"", bytes(data)
    while data:
        size, _, rest = data.partition(b"\r\n")
        count = int(size, 16)
        found += rest[:count]
        data = rest[count + 2 :]
    return found


def documents(asked):
    """(object bytes, footers) of a framed body."""
    matched = re.fullmatch(
        rb"--boundary\r\nX-Document: object body\r\n\r\n(.*)\r\n--boundary\r\nX-Document: object metadata\r\n"
        rb"Content-MD5: ([0-9a-f]{32})\r\n\r\n(.*)\r\n--boundary--",
        unchunked(asked.body),
        re.DOTALL,
    )
    assert hashlib.md5(matched[3]).hexdigest() == matched[2].decode()
    return matched[1], json.loads(matched[3])


def test_every_replica_gets_the_body_and_footers(peers, errors):
    peers.otherwise(takes())
    assert uploaded(peers, errors) == 201
    for asked in peers.requests:
        data, footers = documents(asked)
        assert data == BODY
        assert footers == {
            "Etag": hashlib.md5(BODY).hexdigest(),
            "X-Objstore-Body-Crc32c": crc_text(crc32c(BODY)),
        }


def test_a_server_without_the_offer_gets_no_crc(peers, errors):
    peers.otherwise(takes(offered=THEIRS))
    uploaded(peers, errors)
    assert documents(peers.requests[0])[1] == {"Etag": hashlib.md5(BODY).hexdigest()}


def test_a_server_without_footers_gets_the_bare_chunked_body(peers, errors):
    peers.otherwise(takes()).on(PRIMARIES[1], takes(offered={}))
    assert uploaded(peers, errors) == 201
    assert unchunked(peers.asked(PRIMARIES[1])[0].body) == BODY


@pytest.mark.parametrize("length", [None, 0], ids=["chunked", "of length 0"])
def test_an_empty_body_is_stored(peers, errors, length):
    peers.otherwise(takes()).on(PRIMARIES[1], takes(offered={}))
    assert uploaded(peers, errors, body=b"", length=length) == 201
    assert documents(peers.asked(PRIMARIES[0])[0])[0] == b""
    assert peers.asked(PRIMARIES[1])[0].body == b"0\r\n\r\n"


@pytest.mark.parametrize("offered", [OURS, {}], ids=["framed", "bare"])
def test_a_body_of_known_length_travels_as_one_chunk(peers, errors, offered):
    body = BODY * 4
    peers.otherwise(takes(offered=offered))
    assert uploaded(peers, errors, body=body, length=len(body)) == 201
    for asked in peers.requests:
        assert b"%x\r\n%b\r\n" % (len(body), body) in bytes(asked.body)
        assert body in unchunked(asked.body)


@pytest.mark.parametrize(
    ("length", "error"), [(len(BODY) + 1, ClientDisconnected), (len(BODY) - 1, BodyTooLarge)], ids=["short", "long"]
)
def test_a_body_of_another_length_than_announced_is_stored_nowhere(peers, errors, length, error):
    """Its bytes must not be taken for framing, nor framing for its bytes."""
    peers.otherwise(takes())
    with pytest.raises(error):
        uploaded(peers, errors, length=length)
    assert peers.open_count == 0
    assert not any(b"--boundary--" in asked.body for asked in peers.requests)


@pytest.mark.parametrize("trouble", [REFUSES, Says(507), SILENT], ids=["refused", "full", "frozen"])
def test_a_handoff_is_lent_before_the_body_goes_out(peers, errors, trouble):
    peers.otherwise(takes()).on(PRIMARIES[1], trouble)
    assert uploaded(peers, errors) == 201
    assert documents(peers.asked(HANDOFFS[0])[0])[0] == BODY


def test_a_frozen_node_is_not_waited_for_once_its_handoff_is_ready(peers, errors):
    peers.otherwise(takes()).on(PRIMARIES[1], SILENT)
    before = green.monotonic()
    assert upload_to(peers, errors)[1]
    assert green.monotonic() - before < 1.8 * TIMES.lend_s


@pytest.mark.parametrize("trouble", [SILENT, takes(stuck=True), takes(0)], ids=["opening", "body", "final answer"])
def test_a_node_that_says_nothing_is_left_alone_by_the_next_upload(peers, trouble):
    errors = limiter(answers=Frozen())
    peers.otherwise(takes()).on(PRIMARIES[1], trouble)
    assert uploaded(peers, errors) == 201
    assert [errors.is_limited(node) for node in PRIMARIES] == [False, True, False]


def test_two_full_nodes_of_three_refuse_the_upload_with_503(peers, errors):
    peers.otherwise(Says(507)).on(PRIMARIES[0], takes())
    upload, is_open = upload_to(peers, errors, handoffs=())
    assert not is_open
    assert upload.quorum.final() == 503
    assert peers.open_count == 0


@pytest.mark.parametrize("status", [409, 412])
def test_one_refusal_by_precondition_stops_the_upload(peers, errors, status):
    peers.otherwise(takes()).on(PRIMARIES[2], Says(status))
    upload, is_open = upload_to(peers, errors)
    assert not is_open
    assert [reply.status for reply in upload.replies] == [status]
    assert peers.open_count == 0


def test_servers_that_had_no_time_to_answer_before_a_refusal_are_not_blamed(peers):
    errors = limiter(0, answers=Frozen())
    peers.otherwise(takes(after_s=1)).on(PRIMARIES[2], Says(412)).on(PRIMARIES[0], SILENT)
    upload_to(peers, errors)
    assert not any(map(errors.is_limited, PRIMARIES))


def test_a_sink_that_stops_draining_is_dropped_while_the_quorum_stands(peers, errors):
    peers.otherwise(takes()).on(PRIMARIES[2], takes(stuck=True))
    before = green.monotonic()
    assert uploaded(peers, errors) == 201
    assert green.monotonic() - before < TIMES.answer_s
    assert documents(peers.asked(PRIMARIES[0])[0])[0] == BODY


def test_an_upload_without_a_quorum_of_draining_sinks_fails(peers, errors):
    peers.otherwise(takes(stuck=True)).on(PRIMARIES[0], takes())
    assert uploaded(peers, errors) == 0
    assert peers.open_count == 0


def test_a_server_that_dies_in_mid_body_is_left_behind(peers, errors):
    peers.otherwise(takes()).on(PRIMARIES[1], takes(breaks_after=PART_BYTES))
    assert uploaded(peers, errors) == 201


MISSED = {
    "X-Objstore-Container-Partition": "7",
    "X-Objstore-Container-Host": "10.0.0.1:6201",
    "X-Objstore-Container-Device": "c1",
}


def told_of(peers, node):
    _, footers = documents(peers.asked(node)[0])
    return {name: value for name, value in footers.items() if "Container" in name}


@pytest.mark.parametrize(
    "loss", [takes(breaks_after=PART_BYTES), takes(stuck=True)], ids=["dies in mid-body", "freezes in mid-body"]
)
def test_the_container_server_of_a_lost_object_server_is_told_by_another(peers, errors, loss):
    peers.otherwise(takes()).on(PRIMARIES[1], loss)
    assert uploaded(peers, errors) == 201
    assert [told_of(peers, PRIMARIES[slot]) for slot in (0, 2)] == [MISSED, {}]


@pytest.mark.parametrize("early", [Breaks(), Says(507)], ids=["closes", "refuses"])
def test_a_server_that_ends_the_exchange_before_the_footers_is_found_in_time_for_them(peers, errors, early):
    """Its socket still takes the last blocks: that alone says nothing."""
    peers.otherwise(takes()).on(PRIMARIES[1], takes(ends_early=early))
    assert uploaded(peers, errors) == 201
    assert [told_of(peers, PRIMARIES[slot]) for slot in (0, 2)] == [MISSED, {}]


def test_the_container_server_of_a_node_that_nobody_stood_in_for_is_told_by_another(peers, errors):
    peers.otherwise(takes()).on(PRIMARIES[1], SILENT)
    assert uploaded(peers, errors, handoffs=()) == 201
    assert [told_of(peers, PRIMARIES[slot]) for slot in (0, 2)] == [MISSED, {}]


def test_while_everybody_lives_nobody_is_told_of_more_targets(peers, errors):
    peers.otherwise(takes())
    uploaded(peers, errors)
    assert [told_of(peers, node) for node in PRIMARIES] == [{}, {}, {}]


@pytest.mark.parametrize("offered", [THEIRS, OLDER], ids=["foreign", "older"])
def test_a_server_without_the_offer_is_told_of_no_targets(peers, errors, offered):
    peers.otherwise(takes(offered=offered)).on(PRIMARIES[1], takes(breaks_after=PART_BYTES))
    peers.on(PRIMARIES[2], takes())
    assert uploaded(peers, errors) == 201
    assert [told_of(peers, PRIMARIES[slot]) for slot in (0, 2)] == [{}, MISSED]


@pytest.mark.parametrize(
    "loss", [takes(0), takes(500), takes(ends_at_last=True)], ids=["says nothing", "fails", "dies"]
)
def test_the_container_server_of_a_server_lost_after_the_footers_is_told_by_one_that_has_the_object(
    peers, errors, loss
):
    peers.otherwise(takes()).on(PRIMARIES[1], loss)
    for slot in (0, 2):
        peers.on(PRIMARIES[slot], takes(), Says(409))
    assert uploaded(peers, errors) == 201
    (again,) = [asked for asked in peers.requests if asked.header("content-length") == "0"]
    assert again.address in (PRIMARIES[0].address, PRIMARIES[2].address)
    assert (again.method, again.header("etag"), bytes(again.body)) == ("PUT", hashlib.md5(BODY).hexdigest(), b"")
    assert [again.header(name.lower()) for name, _ in targets(1)] == [value for _, value in targets(1)]


def test_the_only_server_that_has_the_object_tells_for_those_lost_though_the_client_hears_503(peers, errors):
    peers.otherwise(takes(ends_at_last=True)).on(PRIMARIES[1], takes(), Says(409))
    assert uploaded(peers, errors, handoffs=()) == 503
    (again,) = [asked for asked in peers.requests if asked.header("content-length") == "0"]
    assert (again.address, again.header("x-container-host")) == (PRIMARIES[1].address, "10.0.0.0:6201,10.0.0.2:6201")


@pytest.mark.parametrize("loss", [takes(0), takes(409)], ids=["lost", "has a newer one"])
@pytest.mark.parametrize("offered", [THEIRS, OLDER], ids=["foreign", "older"])
def test_a_server_without_the_offer_gets_one_request(peers, errors, offered, loss):
    peers.otherwise(takes(offered=offered)).on(PRIMARIES[1], loss)
    assert uploaded(peers, errors) == 201
    assert len(peers.requests) == 3


def test_two_servers_that_die_in_mid_body_fail_the_upload(peers, errors):
    peers.otherwise(takes(breaks_after=PART_BYTES)).on(PRIMARIES[0], takes())
    assert uploaded(peers, errors) == 0


def test_no_success_without_a_quorum_of_final_answers(peers, errors):
    peers.otherwise(takes(503)).on(PRIMARIES[0], takes())
    assert uploaded(peers, errors) == 503


def test_a_frozen_server_does_not_hold_up_the_final_answer(peers, errors):
    peers.otherwise(takes()).on(PRIMARIES[1], takes(0))
    before = green.monotonic()
    assert uploaded(peers, errors) == 201
    assert green.monotonic() - before < 1


def test_a_chunked_body_over_the_limit_is_cut_and_stored_nowhere(peers, errors):
    peers.otherwise(takes())
    with pytest.raises(BodyTooLarge):
        uploaded(peers, errors, limit=len(BODY) - 1)
    assert peers.open_count == 0
    assert not any(b"--boundary--" in asked.body for asked in peers.requests)


class Vanishing(BytesInput):
    """A client that goes away after its first block."""

    def readinto(self, buffer):
        if self._position:
            raise ClientDisconnected
        return super().readinto(buffer[:1000])


def test_a_client_that_vanishes_leaves_nothing_stored(peers, errors):
    peers.otherwise(takes())
    upload, _ = upload_to(peers, errors)
    with pytest.raises(ClientDisconnected):
        upload.relay(Vanishing(BODY), 1 << 40)
    assert peers.open_count == 0
    assert not any(b"--boundary--" in asked.body for asked in peers.requests)


def test_a_node_under_error_limiting_is_asked_when_the_quorum_cannot_be_had_without_it(peers, errors):
    peers.otherwise(takes()).on(PRIMARIES[1], REFUSES)
    assert uploaded(peers, errors, slots=[None, *PRIMARIES[1:]], handoffs=(), doubtful=PRIMARIES[:1]) == 201
    assert peers.asked(PRIMARIES[0])


def test_a_node_under_error_limiting_is_left_alone_while_the_others_are_enough(peers, errors):
    peers.otherwise(takes())
    assert uploaded(peers, errors, slots=[None, *PRIMARIES[1:]], handoffs=(), doubtful=PRIMARIES[:1]) == 201
    assert not peers.asked(PRIMARIES[0])


def test_nodes_of_the_last_resort_stand_in_for_frozen_ones_when_handoffs_are_not_enough(peers, errors):
    peers.otherwise(takes()).on(PRIMARIES[1], SILENT).on(PRIMARIES[2], SILENT)
    before = green.monotonic()
    assert uploaded(peers, errors, handoffs=(), doubtful=HANDOFFS[:1]) == 201
    assert green.monotonic() - before < TIMES.answer_s


def test_a_node_of_the_last_resort_that_completes_the_quorum_ends_the_wait_for_a_frozen_one(peers, errors):
    peers.otherwise(takes()).on(PRIMARIES[1], SILENT)
    before = green.monotonic()
    assert uploaded(peers, errors, slots=[None, *PRIMARIES[1:]], handoffs=(), doubtful=PRIMARIES[:1]) == 201
    assert green.monotonic() - before < TIMES.answer_s
