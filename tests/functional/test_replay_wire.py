"""Every recorded conversation between servers: our servers as the ones asked, our proxy as the one who asks.

One test per recorded operation. Operations stand on each other, so that each module-wide fixture plays all of them in
the order of the recording and the tests look at their share.
"""

import dataclasses
from pathlib import Path

import pytest

from objstore.ring import fileformat
from objstore.ring.model import Ring
from tests.functional.servers import running
from tests.replay.wire import backend, relay
from tests.replay.wire.beforehand import earlier_objects
from tests.replay.wire.lines import load
from tests.replay.wire.sink import Sink
from tests.replay.wire.tap import Tap
from tests.replay.wire.tolerances import NOT_RELAYED
from tests.support.cluster import Cluster

pytestmark = pytest.mark.cluster

VECTORS = Path(__file__).parents[1] / "vectors" / "wire"
SECRETS = {"prefix": "wire-prefix", "suffix": "wire-suffix"}
DEVICES = ("sdb1", "sdb2", "sdb3", "sdb4")
# In the order of the recording; what clients do in `updater` only makes the state that the updaters and the
# direct requests find. What an encrypting proxy says to servers is in `footers`, too; how ours says it:
# tests/unit/middleware/encryption/test_recorded.py.
FILES = (
    "account", "container", "object", "updater", "expirer", "footers", "direct-object", "direct-container",
    "direct-account",
)  # fmt: skip


def moment(operation):
    """When an operation was recorded, to the second; stable within a file."""
    return next((line.response.header("date")[17:25] for line in operation[1] if line.response.header("date")), "")


OPERATIONS = sorted(
    (each for name in FILES for each in backend.operations(load(VECTORS / f"{name}.jsonl"))), key=moment
)
# Uploaded without a tap: what filters join, and what first needs it.
EARLIER = list(earlier_objects(OPERATIONS))
NEEDS_EARLIER = "footers.slo-put"
BACKEND_IDS = [
    name
    for name, lines in OPERATIONS
    if (not name.startswith("updater.") or lines[0].sender.endswith("-updater"))
    and any(not line.service.startswith("proxy") for line in lines)
]
PROXY_IDS = [
    name
    for name, lines in OPERATIONS
    if lines[0].sender == "client" and not name.startswith(("updater.", "footers.enc-"))
]


@pytest.fixture(scope="module")
def backend_results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wire")
    results = {}
    with running(folder, devices=DEVICES, **SECRETS) as servers, Sink() as sink:
        for name, lines in OPERATIONS:
            if name == NEEDS_EARLIER:
                assert {each.put_to_server(servers.addresses["object"]) for each in EARLIER} == {201}
            results[name] = backend.play(lines, servers, sink)
    return results


@pytest.mark.parametrize("operation", BACKEND_IDS)
def test_our_servers_answer_as_recorded(operation, backend_results):
    wrong = [result.report() for result in backend_results[operation] if result.differences]
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def relay_results(tmp_path_factory):
    taps: dict[str, Tap] = {}

    cluster = Cluster(
        tmp_path_factory.mktemp("relay") / "cluster",
        part_power=8, proxy_workers=2, policies=("gold:3", "ec21:3", "silver:2"),
    )  # fmt: skip
    cluster.configure_cluster("swift-hash", "swift_hash_path_prefix", SECRETS["prefix"])
    cluster.configure_cluster("swift-hash", "swift_hash_path_suffix", SECRETS["suffix"])
    cluster.configure("app:proxy-server", "account_autocreate", "true")
    cluster.configure("app:proxy-server", "allow_account_management", "true")
    cluster.configure("filter:tempauth", "user_wire_admin", "key .reseller_admin")
    # The recording knows no handoffs: on a busy machine nobody is to stand in for who is slow.
    for patience in ("concurrency_timeout", "lend_timeout", "post_quorum_timeout"):
        cluster.configure("app:proxy-server", patience, 8)
    for ring in sorted(cluster.directory.etc.glob("*.ring.gz")):
        put_taps_into(ring, taps)
    with cluster:
        answer = cluster.ask("GET", "/auth/v1.0", {"X-Auth-User": "wire:admin", "X-Auth-Key": "key"})
        token = answer.header("x-auth-token")
        results = {}
        for name, lines in OPERATIONS:
            if name == NEEDS_EARLIER:
                assert {each.put_to_proxy(cluster.address, token) for each in EARLIER} == {201}
            if name in PROXY_IDS and name not in NOT_RELAYED:
                results[name] = relay.play(lines, cluster.address, token, taps)
    for tap in taps.values():
        tap.close()
    return results


def put_taps_into(path: Path, taps: dict[str, Tap]) -> None:
    """Make a ring name a tap for every device. Its first device stays once more, without any partition: a ring in which
    no device is one of the servers here would be taken for that of another cluster."""
    ring = fileformat.load(path)
    devices = [device for device in ring.devices if device is not None]
    tapped = []
    for device in devices:
        name = f"{device.ip}:{device.port}"
        if name not in taps:
            taps[name] = Tap(("127.0.0.1", 0), (device.ip, device.port))
        tapped.append(dataclasses.replace(device, port=taps[name].address[1]))
    tapped.append(dataclasses.replace(devices[0], id=len(tapped), weight=0.0))
    fileformat.save(Ring(ring.header, ring.rows, tapped), path)


@pytest.mark.parametrize("operation", PROXY_IDS)
def test_our_proxy_asks_as_recorded(operation, relay_results):
    if operation in NOT_RELAYED:
        pytest.skip(NOT_RELAYED[operation])
    result = relay_results[operation]
    assert not result.differences, result.report()
