"""What a reference's reaper asked, ours asks too: a recorded run over one account, one node of each ring."""

import contextlib
import json
import re
from array import array

from objstore.account.passes.reap import AccountReaper, Reap
from objstore.peers.deletions import DirectClient
from objstore.ring.model import Ring, RingHeader
from objstore.runtime.clock import SystemClock
from objstore.runtime.devices import Devices
from tests.support.backends import POLICIES, SECRETS
from tests.support.http import running_server
from tests.support.replica_server import ReplicaServer
from tests.support.rings import make_device
from tests.support.wire import exchanges

ASKED_BY_THE_REAPER = ("reaper.run-node2#1", "reaper.run-node2#2", "reaper.run-node2#4", "reaper.run-node2#5")
VARIES = {"host", "x-timestamp", "content-length", "x-container-host", "x-account-host"}
DEVICES = re.compile(r"sdb\d")


def shape(method, path, headers):
    """A request without what differs from run to run: which of the devices it is, addresses, times, process ids."""
    kept = {name.lower(): DEVICES.sub("sdb", re.sub(r"\d+$|<pid>", "", value)) for name, value in headers}
    values = {name: value for name, value in kept.items() if name not in VARIES}
    return method, DEVICES.sub("sdb", path), values, sorted(kept.keys() - {"content-length"})


def test_our_reaper_asks_as_recorded(tmp_path):
    recorded = {each["id"]: each for each in exchanges("reaper")}
    talk = [recorded[name] for name in ASKED_BY_THE_REAPER]
    answers = [(each["response"]["status"], each["response"]["body"].encode()) for each in talk]
    server = ReplicaServer(answers)
    with running_server(server) as running:
        device = make_device(0, port=running.port, replication_port=running.port, device="sdb1")
        ring = Ring(RingHeader(24), [array("H", [0] * 256)], [device])
        clock = SystemClock()
        peers = DirectClient(conn_timeout_s=2, node_timeout_s=5, monotonic=clock.monotonic)
        reaper = AccountReaper(
            Devices(tmp_path, False), lambda name: ring, frozenset(), 0, SECRETS, POLICIES, peers, clock
        )
        with contextlib.closing(peers):
            counts = reaper.run(Reap("key", "sdb1", "AUTH_reap", "rc", 0.0))
    assert counts == {"objects_deleted": 1, "containers_deleted": 1, "success": 1}
    assert [shape(asked.method, asked.target, asked.header_lines) for asked in server.asked] == [
        shape(each["request"]["method"], each["request"]["path"], each["request"]["headers"]) for each in talk
    ]
    times = [asked.headers["x-timestamp"] for asked in server.asked if asked.method == "DELETE"]
    assert times == sorted(times)
    assert json.loads(talk[0]["response"]["body"])[0]["name"] == "ro"
