"""The container updater against a recorded conversation (vectors/wire/updater.jsonl): it asks what Swift's did."""

import json
from array import array
from contextlib import ExitStack

from objstore.container.passes.update import ContainerUpdater
from objstore.core.timestamp import Timestamp
from objstore.db.container import ContainerBroker
from objstore.db.merge import ObjectRow
from objstore.peers.account_rows import AccountRows
from objstore.peers.node_client import NodeClient, Timeouts
from objstore.ring.model import HASH_BITS, Ring, RingHeader
from objstore.runtime.clock import SystemClock
from objstore.runtime.devices import Devices
from tests.replay.wire.sink import Sink
from tests.support.backends import SECRETS
from tests.support.databases import VECTORS, container_databases
from tests.support.passes import make_runner
from tests.support.rings import make_device

RECORDS = [
    record
    for record in map(json.loads, (VECTORS.parent / "wire" / "updater.jsonl").read_text().splitlines())
    if record["from"] == "container-updater"
]
DEVICES = ("sdb2", "sdb3", "sdb4")


def ring_of(sinks):
    devices = []
    for number, (device, sink) in enumerate(zip(DEVICES, sinks, strict=True)):
        host, port = sink.host.split(":")
        devices.append(make_device(number, device=device, replication_ip=host, replication_port=int(port)))
    return Ring(RingHeader(HASH_BITS - 8), [array("H", [number] * 256) for number in range(3)], devices)


def test_it_asks_as_recorded(tmp_path):
    (tmp_path / "sdb1").mkdir()
    databases, wanted = container_databases(), {}
    for record in RECORDS:
        _, _, partition, account, container = record["request"]["path"].split("/")
        headers = {name.lower(): value for name, value in record["request"]["headers"]}
        wanted[f"{partition}/{account}/{container}"] = {
            name: value for name, value in headers.items() if name not in ("host", "accept-encoding", "user-agent")
        }
        broker = databases_at(databases, tmp_path, account, container)
        at = Timestamp.parse(headers["x-put-timestamp"])
        broker.create(account, container, at, at, 0)
        count, size = int(headers["x-object-count"]), int(headers["x-bytes-used"])
        fill(broker, count, size)
    with ExitStack() as stack:
        sinks = [stack.enter_context(Sink()) for _ in DEVICES]
        ring, clock = ring_of(sinks), SystemClock()
        peers = AccountRows(NodeClient("container-updater", Timeouts(5.0, 20.0)))
        devices = Devices(tmp_path, mount_check=False)
        report = make_runner(ContainerUpdater(devices, databases, SECRETS, lambda: ring, peers, clock)).run_once()
        assert (report.counts["success"], report.is_complete) == (2, True)
        for device, sink in zip(DEVICES, sinks, strict=True):
            heard = sink.take(2, timeout_s=20)
            found = {}
            for each in heard:
                headers = dict(each.headers)
                assert (each.method, headers.pop("content-length"), headers.pop("host")) == ("PUT", "0", sink.host)
                assert headers.pop("user-agent").startswith("container-updater ")
                assert each.path.startswith(f"/{device}/")
                found[each.path.split("/", 2)[2]] = headers
            assert found == wanted


def databases_at(databases, root, account, container):
    return ContainerBroker(databases.at(str(root / "sdb1"), "7", SECRETS.hash_path(account, container)))


def fill(broker, count, size):
    for number in range(count):
        mine = size - (count - 1) if number == 0 else 1
        broker.add(ObjectRow(f"o{number}", "1795238400.00000", mine, "text/plain", "e", 0, 0))
