import json

import pytest

from objstore.cluster.ring_manifest import RingSet, digest_of
from objstore.cluster.ring_pack import BYTES_MAX, BadRings, packed, unpacked
from objstore.ring.fileformat import written
from tests.support.rings import make_ring

RING = written(make_ring(), "object.ring.gz")
RINGS = RingSet(7, {name: (digest_of(RING), RING) for name in ("account.ring.gz", "object.ring.gz")})


def test_rings_arrive_as_they_were_sent():
    assert unpacked(packed(RINGS, 3)) == (3, RINGS)


def listed(files, data=RING, **head):
    text = json.dumps({"term": 1, "version": 7, "files": files} | head)
    return text.encode() + b"\n" + data


def file(**fields):
    return {"name": "object.ring.gz", "size": len(RING), "sha256": digest_of(RING)} | fields


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


HALF = RING[: len(RING) // 2]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "expected a line of JSON", id="nothing"),
        pytest.param(b"x" * 100_000, "expected a line of JSON", id="no line"),
        pytest.param(b"{\n", "expected JSON", id="no JSON"),
        pytest.param(listed([], b""), "expected at least one", id="no file"),
        pytest.param(listed([file()], version=0), "version: expected", id="no version"),
        pytest.param(listed([file()])[:-1], f"expected {len(RING)} bytes of files", id="cut"),
        pytest.param(listed([file()]) + b"x", "bytes of files, got", id="longer"),
        pytest.param(listed([file()], flipped(RING, 60)), "have not the digest", id="flipped"),
        pytest.param(listed([file(size=BYTES_MAX + 1)]), "size: expected a whole number", id="huge"),
        pytest.param(listed([file(size=-5), file(size=5 + len(RING))]), "size: expected", id="negative"),
        pytest.param(listed([file()] * 2, RING * 2), "comes twice", id="twice"),
        pytest.param(listed([file()] * 500), "files: expected a list of at most", id="too many"),
        pytest.param(listed([file(size=5, sha256=digest_of(b"hello"))], b"hello"), "bad ring file", id="no ring"),
        pytest.param(listed([file(size=len(HALF), sha256=digest_of(HALF))], HALF), "bad ring file", id="half a ring"),
    ],
)
def test_rings_of_a_peer_that_are_cut_flipped_or_huge_are_refused(data, reason):
    with pytest.raises(BadRings, match=reason):
        unpacked(data)


@pytest.mark.parametrize(
    "name",
    [
        "../object.ring.gz",
        "/etc/passwd",
        "object.ring.gz/../x",
        "swift.conf",
        "object-0.ring.gz",
        ".ring.gz",
        "",
        "a\n",
    ],
)
def test_rpc_path_join_traversal_names_other_than_rings_are_refused(name):
    with pytest.raises(BadRings):
        unpacked(listed([file(name=name)]))
