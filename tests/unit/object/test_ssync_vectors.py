"""Recorded in-band replication, replayed in both roles: tests/vectors/wire/ssync.jsonl and replicate-object.jsonl.

As receiver our server gets what was typed by hand and must answer to the byte. As sender our replicator finds the
disks as they were when Swift's was recorded, and must ask and send the same; what it asks beyond (a confirmation
before a handoff goes) is said where it is compared.
"""

from __future__ import annotations

import json
import re
import subprocess
from array import array
from base64 import b64decode
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from objstore.core import pickles
from objstore.core.timestamp import Timestamp
from objstore.daemon.pass_ import Scope
from objstore.object.passes.deliver import Small
from objstore.replication.rsync_push import Pushed, RsyncPush
from objstore.ring.fileformat import save
from objstore.ring.model import HASH_BITS, Ring, RingHeader
from tests.support.clock import SimClock
from tests.support.object_server import SECRETS, LineBody, ObjectNode
from tests.support.replication import LoneServer, run_pass
from tests.support.rings import make_device

VECTORS = Path(__file__).parents[2] / "vectors" / "wire"
NOW = 1_795_238_500.0
CRC = re.compile(r"X-Object-Sysmeta-Objstore-Crc32c: [0-9a-f]{8}\r\n")
DEVICES = ("sdb1", "sdb2", "sdb3", "sdb4")


def recorded(name):
    with open(VECTORS / f"{name}.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


SSYNC = recorded("ssync")
HAND = [line for line in SSYNC if line["from"] == "harness"]


# As receiver


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What our server answers to each line typed by hand, in their order."""
    node = ObjectNode(tmp_path_factory.mktemp("receiver"), clock=SimClock(NOW))
    at = "1795238439.84059"
    node.put("/sdb1/220/AUTH_wire/rep/lost", b"data of lost", at, x_object_meta_k="lost")
    found = {}
    for line in HAND:
        request = line["request"]
        headers = {name.lower(): value for name, value in request["headers"] if name != "Host"}
        said = "".join(data for way, kind, data in line.get("dialogue", ()) if (way, kind) == (">", "data"))
        found[line["id"]] = node.call(request["method"], request["path"], headers, LineBody([said.encode()]))
    return found


@pytest.mark.parametrize("line", HAND, ids=lambda line: line["id"])
def test_our_server_answers_as_recorded(line, answers):
    answer = answers[line["id"]]
    assert answer.status == line["response"]["status"]
    if "dialogue" not in line or answer.status != 200:
        expected = line["response"]["body"]
        assert isinstance(expected, dict) or answer.body == expected.encode()
        return
    wanted = "".join(data for way, kind, data in line["dialogue"] if (way, kind) == ("<", "data"))
    assert re.sub(r":ERROR: (\d+) ['\"].*['\"]\n", r":ERROR: \1 '<text>'\n", answer.body.decode()) == wanted
    assert answer.headers["x-backend-accept-no-commit"] == "True"


def test_what_was_sent_by_hand_can_be_read(answers):
    found = answers["ssync.hand-put-check#1"]
    (posted,) = [value for name, value in found.headers.items() if name.startswith("x-object-meta-")]
    assert posted.encode("latin-1").decode() == "ö"


# As sender

PRIMARIES = {220: (4, 1, 2), 205: (1, 3, 2), 105: (1, 3, 2), 36: (1, 2, 3), 197: (2, 4, 3)}


def write_ring(folder, port):
    """Part power 8, with the recorded primaries of the partitions that were recorded; device N-1 is sdbN."""
    devices = [make_device(n, zone=n + 1, port=port, replication_port=port, device=DEVICES[n]) for n in range(4)]
    rows = [array("H", ((p + r) % 4 for p in range(256))) for r in range(3)]
    for partition, nodes in PRIMARIES.items():
        for row, node in zip(rows, nodes, strict=True):
            row[partition] = node - 1
    save(Ring(RingHeader(HASH_BITS - 8), rows, devices), folder / "object.ring.gz")


def put(server, device, partition, name, at, k):
    address = server.address(device, partition, f"/AUTH_wire/rep/{name}")
    body = f"data of {name}".encode()
    server.put(address, body, Timestamp.parse(at), {"x-object-meta-k": k})


def post(server, device, partition, name, at, content_type=None, **headers):
    named = {f"x-object-meta-{key}": value for key, value in headers.items()}
    moment = Timestamp.parse(at)
    if content_type:
        named["content-type"] = content_type
    address = server.address(device, partition, f"/AUTH_wire/rep/{name}")
    server.engine.post(address, moment, named, moment if content_type else None)


def lost(server, devices):
    for device in devices:
        put(server, device, 220, "lost", "1795238439.84059", "lost")


def lost_on_4_and_2(server):
    lost(server, ("sdb4", "sdb2"))


def meta(server, posted, content_type=None, **headers):
    for device in ("sdb1", "sdb3"):
        put(server, device, 205, "meta", "1795238439.87306", "meta")
        post(server, device, 205, "meta", posted, content_type, **headers)


def missing_meta(server):
    meta(server, "1795238469.71874", k="posted", more="ünï".encode().decode("latin-1"))
    put(server, "sdb2", 205, "meta", "1795238439.87306", "meta")


def missing_data_and_meta(server):
    meta(server, "1795238470.99095", "text/new", k="posted2")


def missing_tombstone(server):
    for device in ("sdb1", "sdb3"):
        server.engine.delete(server.address(device, 105, "/AUTH_wire/rep/gone"), Timestamp.parse("1795238472.25929"))
    put(server, "sdb2", 105, "gone", "1795238439.90128", "gone")


def receiver_newer(server):
    for device, at in (("sdb1", "1795238473.61268"), ("sdb2", "1795238474.00000"), ("sdb3", "1795238474.00000")):
        put(server, device, 36, "newer", at, "newer")


# Operation: (device of the replicator, the state before, partition)
DAEMON = {
    "daemon-missing-object": ("sdb4", lost_on_4_and_2, 220),
    "daemon-missing-meta": ("sdb1", missing_meta, 205),
    "daemon-missing-data-and-meta": ("sdb1", missing_data_and_meta, 205),
    "daemon-missing-tombstone": ("sdb1", missing_tombstone, 105),
    "daemon-handoff": ("sdb3", lambda server: lost(server, ("sdb3", "sdb4", "sdb1")), 220),
}


def expected_exchanges(operation):
    """(method, path, what passed) of every recorded request, those that were the same for other nodes included."""
    found = []
    for line in SSYNC:
        if line["id"].split("#")[0] != f"ssync.{operation}":
            continue
        passed = [[way, data] for way, kind, data in line.get("dialogue", ()) if kind == "data"]
        paths = [line["request"]["path"]]
        for same in line.get("same_to", ()):
            paths.append(f"/sdb{same.removesuffix('-repl')[-1]}/" + paths[0].split("/", 2)[2])
        body = line["response"]["body"]
        hashes = pickles.loads(b64decode(body["base64"]), encoding="latin-1") if "base64" in body else None
        found += [(line["request"]["method"], path, passed or hashes) for path in paths]
    return found


def normal(passed):
    """A dialogue without what is ours: the checksum of bodies, and how the very first empty line is cut."""
    if not isinstance(passed, list):
        return passed
    texts = [[way, CRC.sub("", data)] for way, data in passed]
    if texts and texts[0] == ["<", "\r\n"]:
        texts = texts[1:]
    elif len(texts) > 1 and texts[1][1].startswith("\r\n:"):
        texts[1][1] = texts[1][1][2:]
    return texts


def exchanged(server):
    found = []
    for exchange in server.exchanges:
        if exchange.method == "REPLICATE":
            found.append((exchange.method, exchange.path, pickles.loads(exchange.passed[-1][1], encoding="latin-1")))
        else:
            passed = [[way, data.decode()] for way, data in exchange.passed]
            found.append((exchange.method, exchange.path, passed))
    return found


@contextmanager
def lone_server(tmp_path):
    with LoneServer(tmp_path, DEVICES, SECRETS, SimClock(NOW)) as server:
        write_ring(tmp_path, server.port)
        yield server


@pytest.mark.parametrize("operation", DAEMON)
def test_our_replicator_speaks_as_recorded(operation, tmp_path):
    device, prepare, partition = DAEMON[operation]
    with lone_server(tmp_path) as server:
        prepare(server)
        scope = Scope(devices=frozenset({device}), partitions=frozenset({partition}))
        counts = run_pass(server.replicator(), scope)
        assert not counts.get("failures"), counts
        spoken = [(method, path, normal(passed)) for method, path, passed in exchanged(server)]
        wanted = [(method, path, normal(passed)) for method, path, passed in expected_exchanges(operation)]
        for exchange in wanted:
            assert exchange in spoken
            spoken.remove(exchange)
        if operation == "daemon-handoff":
            # The node that got something is asked once more before the handoff's copy goes.
            (_, path, passed) = spoken.pop()
            assert path == "/sdb2/220"
            assert passed[1] == ["<", ":MISSING_CHECK: START\r\n\r\n:MISSING_CHECK: END\r\n"]
            address = server.address("sdb3", 220, "/AUTH_wire/rep/lost")
            assert not server.directory(address).exists()
        assert spoken == []


def test_a_receiver_that_is_newer_is_left_alone(tmp_path):
    with lone_server(tmp_path) as server:
        receiver_newer(server)
        scope = Scope(devices=frozenset({"sdb1"}), partitions=frozenset({36}))
        counts = run_pass(server.replicator(), scope)
        assert not counts.get("failures") and not counts.get("objects")
        answered = [exchange.passed[-2:] for exchange in server.exchanges if exchange.method == "SSYNC"]
        assert len(answered) == 2


# As sender, by rsync


@dataclass(frozen=True)
class CopyingPush(RsyncPush):
    """rsync's work done by hand, so that what is said around it can be compared."""

    devices: Path = Path()

    def run(self, command, partition_path):
        *suffixes, target = command[command.index("--") + 1 :]
        place = self.devices / target.split("::object/")[1]
        for suffix in suffixes:
            # What it does to attributes is rsync's own business; here they must come along.
            subprocess.run(["cp", "-a", "--", f"{partition_path}/{suffix}", str(place)], check=True)
        return Pushed(len(suffixes))


def replicate_lines(operation):
    found = []
    for line in recorded("replicate-object"):
        if line["id"].split("#")[0] == f"replicate-object.{operation}":
            path = line["request"]["path"]
            others = [
                f"/sdb{name.removesuffix('-repl')[-1]}/" + path.split("/", 2)[2] for name in line.get("same_to", ())
            ]
            hashes = pickles.loads(b64decode(line["response"]["body"]["base64"]), encoding="latin-1")
            found += [("REPLICATE", each, hashes) for each in (path, *others)]
    return found


RSYNC = {
    "push": ("sdb4", ("sdb4", "sdb2")),
    "in-sync": ("sdb4", ("sdb4", "sdb1", "sdb2")),
    "handoff": ("sdb3", ("sdb3",)),
}


@pytest.mark.parametrize("operation", RSYNC)
def test_what_our_replicator_says_around_rsync_is_as_recorded(operation, tmp_path):
    device, holders = RSYNC[operation]
    with lone_server(tmp_path) as server:
        lost(server, holders)
        push = CopyingPush("{replication_ip}::object", devices=tmp_path / "devices")
        if operation == "handoff":
            for target in ("sdb1", "sdb2", "sdb4"):
                (tmp_path / "devices" / target / "objects" / "220").mkdir(parents=True)
        scope = Scope(devices=frozenset({device}), partitions=frozenset({220}))
        replicator = server.replicator(rsync=push)
        replicator.deliverer.small = Small(-1)  # As Swift, which takes rsync whatever the size.
        counts = run_pass(replicator, scope)
        assert not counts.get("failures"), counts
        spoken = [each for each in exchanged(server) if each[0] == "REPLICATE"]
        assert sorted(spoken, key=str) == sorted(replicate_lines(operation), key=str)
        if operation == "handoff":
            assert not server.directory(server.address("sdb3", 220, "/AUTH_wire/rep/lost")).exists()
            # Removed because each primary confirmed it, not because rsync ended well.
            assert sum(each[0] == "SSYNC" for each in exchanged(server)) == 6
