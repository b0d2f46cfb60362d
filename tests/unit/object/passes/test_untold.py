"""object/passes/untold.py, as the updater runs it, on a real disk: rows of names that a killed server never told."""

import itertools
import os

import pytest

from objstore.core.policy import Policies, Policy
from objstore.object.passes.update import ObjectUpdater
from objstore.peers.container_rows import Answer
from objstore.runtime.devices import Devices
from objstore.runtime.fs import Fs
from objstore.storage.layout import DeviceLayout
from objstore.storage.pending import DeferredUpdate, decode
from objstore.storage.untold import MARGIN_NS, boot_id, make_mark
from tests.support.clock import SimClock
from tests.support.objects import SECRETS, directory_of, make_address, make_disk_engine, put, ts
from tests.support.passes import make_runner
from tests.support.rings import make_ring

RING = make_ring(devices=3, replicas=3, part_power=4)
POLICIES = Policies([Policy(0, "gold", is_default=True), Policy(1, "silver")])
WRITTEN = 1_700_000_000.0


class Refusing:
    """No container server takes anything: what waits can be looked at."""

    def may_take_many(self, node):
        return False

    def send(self, node, partition, op, path, headers):
        return Answer(503)


class Place:
    def __init__(self, root):
        self.root = root
        self.engine = make_disk_engine(root)
        self.layout = DeviceLayout(str(root / "sda"))

    def mark(self, since_ns, is_idle=False, boot=None):
        mark = make_mark(Fs(), self.layout, since_ns, boot or boot_id())
        mark.set(since_ns, is_idle)
        return mark

    def run(self):
        updater = ObjectUpdater(
            Devices(self.root, mount_check=False), POLICIES, SECRETS, lambda: RING, Refusing(), SimClock()
        )
        return make_runner(updater).run_once()

    def rows(self):
        """{(op, account, container, object): headers} of what waits."""
        found = {}
        for path in self.root.glob("sda/async_pending*/*/*"):
            update = decode(path.read_bytes())
            found[update.op, update.account, update.container, update.obj] = dict(update.headers)
        return found

    def marks(self):
        return os.listdir(self.layout.untold())

    def put_after(self, address, moment_ns):
        """PUT until the kernel's clock, by which it dates files, has gone on; when that was."""
        for number in itertools.count(1):
            put(self.engine, address, b"new", WRITTEN + number)
            if self.changed_ns(address) > moment_ns:
                return self.changed_ns(address)

    def changed_ns(self, address):
        return os.stat(directory_of(self.root, address)).st_ctime_ns


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_an_object_whose_server_was_killed_before_its_row_is_told(place):
    address = make_address("o", policy_index=1)
    mark = place.mark(0)
    put(place.engine, address, b"hello", WRITTEN)
    mark.abandon()
    report = place.run()
    assert report.counts["told_again"] == 1
    row = place.rows()["PUT", "AUTH_v", "c", "o"]
    assert (row["x-timestamp"], row["x-size"], row["x-content-type"]) == (ts(WRITTEN).internal, "5", "text/plain")
    assert row["x-backend-storage-policy-index"] == "1"
    assert place.marks() == []


def test_what_stands_in_for_size_and_etag_in_listings_is_told(place):
    overrides = {"size": "99", "etag": "other", "content_type": "text/other"}
    named = {f"x_object_sysmeta_container_update_override_{name}": value for name, value in overrides.items()}
    put(place.engine, make_address(), b"hello", WRITTEN, **named)
    place.mark(0).abandon()
    place.run()
    row = place.rows()["PUT", "AUTH_v", "c", "o"]
    assert (row["x-size"], row["x-etag"], row["x-content-type"]) == ("99", "other", "text/other")


def test_a_post_is_told_as_the_post_would_have(place):
    put(place.engine, make_address(), b"hello", WRITTEN)
    place.engine.post(make_address(), ts(WRITTEN + 1), {"content-type": "text/new"}, ts(WRITTEN + 1))
    place.mark(0).abandon()
    place.run()
    row = place.rows()["PUT", "AUTH_v", "c", "o"]
    assert (row["x-timestamp"], row["x-meta-timestamp"]) == (ts(WRITTEN).internal, ts(WRITTEN + 1).internal)
    assert (row["x-content-type"], row["x-content-type-timestamp"]) == ("text/new", ts(WRITTEN + 1).internal)


def test_a_deletion_is_told(place):
    place.engine.delete(make_address(), ts(WRITTEN))
    place.mark(0).abandon()
    place.run()
    assert place.rows()["DELETE", "AUTH_v", "c", "o"]["x-timestamp"] == ts(WRITTEN).internal


@pytest.mark.parametrize("is_posted", [False, True])
def test_an_object_that_expires_is_queued_unless_a_post_took_that_away(place, is_posted):
    put(place.engine, make_address(), b"hello", WRITTEN, x_delete_at="1900000000")
    if is_posted:
        place.engine.post(make_address(), ts(WRITTEN + 1), {}, None)
    place.mark(0).abandon()
    place.run()
    queued = [names for names in place.rows() if names[1] == ".expiring_objects"]
    assert [names[3] for names in queued] == ([] if is_posted else ["1900000000-AUTH_v/c/o"])


def test_only_what_was_named_since_is_told(place):
    before, after = make_address("before"), make_address("after")
    put(place.engine, before, at=WRITTEN)
    since_ns = place.put_after(after, place.changed_ns(before))
    place.mark(since_ns + MARGIN_NS).abandon()
    place.run()
    assert list(place.rows()) == [("PUT", "AUTH_v", "c", "after")]


def test_what_was_told_long_before_is_left_alone(place):
    put(place.engine, make_address(), at=WRITTEN)
    place.engine.hashes("sda", 0, "5")
    place.mark(place.changed_ns(make_address()) + 3_600_000_000_000).abandon()
    assert place.run().counts["told_again"] == 0
    assert (place.rows(), place.marks()) == ({}, [])


def test_what_was_hashed_since_is_found_all_the_same(place):
    """The list of changes was used up between the kill and the pass."""
    mark = place.mark(0)
    put(place.engine, make_address(), at=WRITTEN)
    mark.abandon()
    place.engine.hashes("sda", 0, "5")
    place.run()
    assert ("PUT", "AUTH_v", "c", "o") in place.rows()


def test_what_was_hashed_before_and_changed_since_is_found_by_the_list(place):
    address = make_address()
    put(place.engine, address, b"old", WRITTEN)
    place.engine.hashes("sda", 0, "5")
    digests = directory_of(place.root, address).parents[1] / "hashes.pkl"
    since_ns = place.put_after(address, os.stat(digests).st_ctime_ns)
    place.mark(since_ns + MARGIN_NS).abandon()
    place.run()
    assert [names[3] for names in place.rows()] == ["o"]


def test_a_server_that_lives_tells_for_itself(place):
    mark = place.mark(0)
    put(place.engine, make_address(), at=WRITTEN)
    assert "told_again" not in place.run().counts
    assert (place.rows(), len(place.marks())) == ({}, 1)
    mark.abandon()


def test_a_server_that_was_killed_when_nothing_was_open_left_nothing_to_tell(place):
    put(place.engine, make_address(), at=WRITTEN)
    place.mark(0, is_idle=True).abandon()
    place.run()
    assert (place.rows(), place.marks()) == ({}, [])


def test_after_a_power_cut_an_idle_mark_may_be_late(place):
    put(place.engine, make_address(), at=WRITTEN)
    place.mark(0, is_idle=True, boot="another run of this machine").abandon()
    place.run()
    assert ("PUT", "AUTH_v", "c", "o") in place.rows()


def test_a_row_that_waits_already_stays_as_it_is(place):
    address = make_address()
    put(place.engine, address, at=WRITTEN)
    kept = DeferredUpdate("PUT", "AUTH_v", "c", "o", {"x-timestamp": ts(WRITTEN).internal, "x-etag": "as it was said"})
    place.engine.defer("sda", 0, address.hash_hex, ts(WRITTEN), kept)
    place.mark(0).abandon()
    place.run()
    assert place.rows()["PUT", "AUTH_v", "c", "o"]["x-etag"] == "as it was said"


def test_a_damaged_object_does_not_stop_the_others(place):
    put(place.engine, make_address("bad"), at=WRITTEN)
    put(place.engine, make_address("good"), at=WRITTEN)
    (file,) = directory_of(place.root, make_address("bad")).iterdir()
    file.write_bytes(b"cut")
    place.mark(0).abandon()
    place.run()
    assert list(place.rows()) == [("PUT", "AUTH_v", "c", "good")]


def test_a_disk_that_keeps_no_rows_keeps_its_marks(place):
    put(place.engine, make_address(), at=WRITTEN)
    place.mark(0).abandon()
    (place.root / "sda" / "async_pending").write_bytes(b"in the way")
    assert place.run().counts["failures"] == 1
    assert len(place.marks()) == 1
