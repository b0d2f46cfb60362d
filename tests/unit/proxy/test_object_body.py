import pytest

from objstore.http.client import PeerBroken
from objstore.peers.exchange import BackendRequest, Caller
from objstore.proxy.object_body import BodyLost, Extent, ObjectBody
from tests.support.peers import Says
from tests.support.rings import make_ring

NODES = make_ring().primaries(0)
DATA = bytes(range(200)) * 500


class Gathering:
    """A client's socket."""

    def __init__(self):
        self.data = b""

    def send(self, data):
        self.data += bytes(data)


@pytest.fixture
def opened(peers):
    """An exchange whose answer has the given pieces."""

    def open_exchange(node, *pieces):
        peers.on(node, Says(200, {"content-length": str(len(DATA))}, pieces=pieces))
        exchange = Caller(peers, 1, 1).start(node, BackendRequest("GET", "/0/a/c/o", []))
        assert exchange.poll()
        return exchange

    return open_exchange


def sent(body, how):
    """What the client got, by transfer or by iteration."""
    client = Gathering()
    try:
        if how == "transfer":
            body.transfer(client)
        else:
            for piece in body:
                client.send(piece)
        return client.data, None
    except BodyLost as error:
        return client.data, error
    finally:
        body.close()


both = pytest.mark.parametrize("how", ["transfer", "iteration"])
BROKEN = PeerBroken("closed")


@both
def test_a_whole_body_goes_out(opened, peers, how):
    body = ObjectBody(opened(NODES[0], DATA), len(DATA), Extent(0, len(DATA)), None, 1, "o")
    assert sent(body, how) == (DATA, None)
    assert peers.released == 1


@both
def test_a_broken_body_goes_on_from_the_byte_that_was_reached(opened, how):
    asked = []

    def resume(broken, first, last):
        asked.append((broken.node, first, last))
        return opened(NODES[len(asked)], DATA[first : first + 1000], *([BROKEN] if len(asked) < 2 else [DATA[2234:]]))

    body = ObjectBody(opened(NODES[0], DATA[:234], BROKEN), len(DATA), Extent(0, len(DATA)), resume, 1, "o")
    data, error = sent(body, how)
    assert (data, error) == (DATA, None)
    assert asked == [(NODES[0], 234, len(DATA) - 1), (NODES[1], 1234, len(DATA) - 1)]


@both
def test_a_range_resumes_inside_the_range(opened, how):
    asked = []

    def resume(broken, first, last):
        asked.append((first, last))
        return opened(NODES[1], DATA[first : last + 1])

    body = ObjectBody(opened(NODES[0], DATA[100:150], BROKEN), 900, Extent(100, 1000), resume, 1, "o")
    assert sent(body, how) == (DATA[100:1000], None)
    assert asked == [(150, 999)]


@both
def test_a_body_that_cannot_go_on_is_cut_and_never_completed(opened, how):
    body = ObjectBody(opened(NODES[0], DATA[:500], BROKEN), len(DATA), Extent(0, len(DATA)), lambda *_: None, 1, "o")
    data, error = sent(body, how)
    assert data == DATA[:500]
    assert error is not None


@both
def test_a_multipart_body_is_not_resumed(opened, how):
    def resume(*_):
        raise AssertionError("asked")

    body = ObjectBody(opened(NODES[0], DATA[:500], BROKEN), len(DATA), None, resume, 1, "o")
    assert sent(body, how)[1] is not None


def test_endless_breaking_ends(opened):
    def resume(broken, first, last):
        return opened(NODES[1], BROKEN)

    body = ObjectBody(opened(NODES[0], BROKEN), len(DATA), Extent(0, len(DATA)), resume, 1, "o")
    assert sent(body, "iteration")[1] is not None


@pytest.mark.parametrize(
    ("status", "header", "extent"),
    [
        (200, "", Extent(0, 10)),
        (206, "bytes 5-14/100", Extent(5, 15)),
        (206, "", None),
        (206, "bytes junk", None),
    ],
)
def test_what_part_of_the_object_a_response_is(status, header, extent):
    assert Extent.of(status, {"content-range": header}, 10) == extent
