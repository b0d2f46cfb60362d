"""object/update.py: rows of one change go out together, and what nobody took is kept."""

import pytest

from objstore.object.delivery import Target
from objstore.runtime.green import Future
from objstore.storage import pending
from tests.support.object_server import ObjectNode

PATH = "/sdb1/5/AUTH_a/c/o"
CONTAINER = {
    "X_Container_Host": "127.0.0.1:6201,127.0.0.2:6201",
    "X_Container_Device": "sdc,sdd",
    "X_Container_Partition": "9",
}
QUEUE = {
    "X_Delete_At_Host": "127.0.0.1:6201,127.0.0.3:6201",
    "X_Delete_At_Device": "sdc,sde",
    "X_Delete_At_Partition": "7",
}
LATER = "1795238500"


@pytest.fixture
def node(tmp_path):
    return ObjectNode(tmp_path)


def kept(node):
    files = (node.root / "sdb1").glob("async_pending/*/*")
    return sorted(pending.decode(file.read_bytes()).account for file in files)


def test_container_and_queue_are_told_at_the_same_time(node):
    everybody = Future()
    under_way = []

    def deliver(target, row, *, alone=False):
        under_way.append(target)
        if len(under_way) == 4:
            everybody.set()
        everybody.wait(30)
        return True

    node.delivery.deliver = deliver
    assert node.put(PATH, X_Delete_At=LATER, **CONTAINER, **QUEUE).status == 201
    assert {(target.host, target.device, target.account) for target in under_way} == {
        ("127.0.0.1", "sdc", "AUTH_a"),
        ("127.0.0.2", "sdd", "AUTH_a"),
        ("127.0.0.1", "sdc", ".expiring_objects"),
        ("127.0.0.3", "sde", ".expiring_objects"),
    }
    assert kept(node) == []


@pytest.mark.parametrize("refuses", [{"AUTH_a"}, {".expiring_objects"}, {"AUTH_a", ".expiring_objects"}])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
def test_what_one_replica_did_not_take_is_kept(node, host, refuses):
    def deliver(target: Target, row, *, alone=False):
        return target.host != host or target.account not in refuses

    node.delivery.deliver = deliver
    assert node.put(PATH, X_Delete_At=LATER, **CONTAINER, **QUEUE).status == 201
    has = {"127.0.0.1": {"AUTH_a", ".expiring_objects"}, "127.0.0.2": {"AUTH_a"}, "127.0.0.3": {".expiring_objects"}}
    assert set(kept(node)) == refuses & has[host]


def test_replicas_that_make_no_sense_are_left_to_the_updater(node):
    broken = {**QUEUE, "X_Delete_At_Device": "sdc"}
    assert node.put(PATH, X_Delete_At=LATER, **CONTAINER, **broken).status == 201
    assert kept(node) == [".expiring_objects"]
    assert {target.account for target, _, _ in node.delivery.rows} == {"AUTH_a"}


def test_nobody_to_tell_and_nothing_kept(node):
    """Replication brings no rows along."""
    assert node.put(PATH).status == 201
    assert (kept(node), node.delivery.rows) == ([], [])


def test_a_later_time_by_post_is_told_with_the_row(node):
    node.put(PATH, X_Delete_At=LATER, **CONTAINER, **QUEUE)
    node.delivery.rows.clear()
    headers = {"x-timestamp": "1795238401.00000", "x-delete-at": "1795238600"}
    headers |= {name.replace("_", "-"): value for name, value in {**CONTAINER, **QUEUE}.items()}
    assert node.call("POST", PATH, headers).status == 202
    told = sorted((row.account, row.op) for _, row, _ in node.delivery.rows)
    assert told == [(".expiring_objects", "PUT")] * 2 + [("AUTH_a", "PUT")] * 2
    assert kept(node) == [".expiring_objects"]  # The entry of the old time, to be removed.
