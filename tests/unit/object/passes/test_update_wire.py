"""The updater against recorded conversations (vectors/wire/updater.jsonl): it asks what Swift's did.

A refusing container server first, then all: each of the deferred rows lies on a device of its own, because rows of one
device would travel together (UPDATE), which the recorded updater does not do.
"""

import json
from array import array
from contextlib import ExitStack
from urllib.parse import unquote

import pytest

from objstore.core.timestamp import Timestamp
from objstore.object.passes.update import ObjectUpdater
from objstore.peers.container_rows import ContainerRows
from objstore.peers.node_client import NodeClient, Timeouts
from objstore.ring.model import HASH_BITS, Ring, RingHeader
from objstore.runtime.clock import SystemClock
from objstore.runtime.devices import Devices
from objstore.runtime.fs import Fs
from objstore.storage import pending
from objstore.storage.layout import DeviceLayout
from objstore.storage.pending import DeferredUpdate
from tests.replay.wire.sink import Sink
from tests.support.backends import POLICIES, SECRETS
from tests.support.passes import make_runner
from tests.support.rings import make_device
from tests.unit.object.test_wire import VECTORS

PART_POWER = 8
PRIMARIES = {"sdb2": 0, "sdb3": 1, "sdb4": 2}
ADDED = {"host", "accept-encoding", "user-agent", "x-backend-accept-redirect", "x-backend-accept-quoted-location"}
RECORDS = [
    record
    for record in map(json.loads, (VECTORS / "updater.jsonl").read_text().splitlines())
    if record["from"] == "object-updater"
]


def lower(headers):
    return {name.lower(): value for name, value in headers}


def defer(root, record, device):
    """The pending file that made the recorded updater send this."""
    request = record["request"]
    headers = {name: value for name, value in lower(request["headers"]).items() if name not in ADDED}
    _, _, _, account, container, obj = unquote(request["path"]).split("/", 5)
    update = DeferredUpdate(request["method"], account, container, obj, headers, "unsharded")
    at = Timestamp.parse(headers.get("x-meta-timestamp", headers["x-timestamp"]))
    digest = SECRETS.hash_path(account, container, obj)
    (root / device).mkdir()
    pending.keep(Fs(), DeviceLayout(str(root / device)), 0, digest, at, update)


def make_updater(root, hosts):
    devices = []
    for name, number in PRIMARIES.items():
        host, port = hosts[number].split(":")
        devices.append(make_device(number, device=name, replication_ip=host, replication_port=int(port)))
    rows = [array("H", [number] * (1 << PART_POWER)) for number in range(3)]
    ring = Ring(RingHeader(HASH_BITS - PART_POWER), rows, devices)
    clock = SystemClock()
    peers = ContainerRows(NodeClient("object-updater", Timeouts(5.0, 20.0)), clock.monotonic)
    return ObjectUpdater(Devices(root, mount_check=False), POLICIES, SECRETS, lambda: ring, peers, clock)


@pytest.fixture
def sinks():
    with ExitStack() as stack:
        yield [stack.enter_context(Sink()) for _ in PRIMARIES]


def difference(record, heard, host):
    """What the updater said otherwise than the recorded one; None for nothing."""
    wanted, got = lower(record["request"]["headers"]), dict(heard.headers)
    assert got.pop("user-agent").startswith("object-updater ")
    assert got.pop("host") == host
    assert got.pop("content-length") == "0"
    for name in ("user-agent", "host", "accept-encoding"):
        wanted.pop(name)
    asked = heard.method, heard.path, got, heard.body
    recorded = record["request"]["method"], record["request"]["path"], wanted, b""
    return None if asked == recorded else (asked, recorded)


def test_it_asks_as_recorded_and_once_more_only_who_refused(tmp_path, sinks):
    partial = {record["request"]["path"].split("/", 3)[3]: record for record in RECORDS if "partial" in record["id"]}
    rest = {record["request"]["path"].split("/", 3)[3]: record for record in RECORDS if "rest" in record["id"]}
    assert len(partial) == len(rest) == 3
    for number, record in enumerate(partial.values()):
        defer(tmp_path, record, f"sd{number}")
    updater = make_updater(tmp_path, [sink.host for sink in sinks])

    sinks[PRIMARIES["sdb2"]].answer = lambda heard: 503
    assert not make_runner(updater).run_once().is_complete
    for device, number in PRIMARIES.items():
        heard = sinks[number].take(3, timeout_s=20)
        assert {each.path.split("/", 3)[3] for each in heard} == set(partial)
        for each in heard:
            record = partial[each.path.split("/", 3)[3]]
            record["request"]["path"] = f"/{device}/" + record["request"]["path"].split("/", 2)[2]
            assert difference(record, each, sinks[number].host) is None

    sinks[PRIMARIES["sdb2"]].answer = lambda heard: 204 if heard.method == "DELETE" else 201
    assert make_runner(updater).run_once().is_complete
    again = sinks[PRIMARIES["sdb2"]].take(3, timeout_s=20)
    for each in again:
        record = rest[each.path.split("/", 3)[3]]
        assert difference(record, each, sinks[PRIMARIES["sdb2"]].host) is None
    assert len(again) == 3
    assert [sink.heard for sink in sinks] == [[], [], []]
    assert list(tmp_path.glob("*/async_pending/*/*")) == []
