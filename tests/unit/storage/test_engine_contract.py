"""The contract of storage/engine.py, on every engine."""

import pytest

from objstore.core.errors import DeviceUnavailable
from objstore.runtime.checksum import crc32c
from objstore.storage.engine import Absent
from objstore.storage.memory import MemoryEngine
from objstore.storage.pending import DeferredUpdate
from tests.support.clock import SimClock
from tests.support.objects import make_address, make_disk_engine, put, ts

NOW = 1_700_000_100.0


@pytest.fixture
def clock():
    return SimClock(NOW)


@pytest.fixture(params=["disk", "memory"])
def engine(request, tmp_path, clock):
    return make_disk_engine(tmp_path, clock) if request.param == "disk" else MemoryEngine(["sda"], clock)


ADDRESS = make_address()


def whole(engine, address=ADDRESS):
    with engine.open(address) as stored:
        return stored.body.pread(stored.size, 0)


def test_nothing_is_known_about_a_name_never_used(engine):
    assert engine.open(ADDRESS) == Absent(None)


def test_what_was_put_is_read_back(engine):
    put(engine, ADDRESS, b"hello", 1_700_000_000.0, x_object_meta_a="1")
    with engine.open(ADDRESS) as stored:
        assert stored.headers["content-type"] == "text/plain"
        assert stored.headers["x-object-meta-a"] == "1"
        assert stored.timestamp == stored.data_timestamp == stored.content_type_timestamp == ts(1_700_000_000.0)
        assert (stored.size, stored.headers["content-length"]) == (5, "5")
        assert stored.body.pread(3, 1) == b"ell"
        assert stored.body.pread_cached(3, 1) in (b"ell", None)
        assert stored.crc32c == stored.body.crc32c() is not None
    assert whole(engine) == b"hello"


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", bytearray(b"hello"), memoryview(b"hello")],
    ids=["empty", "bytes", "bytearray", "memoryview"],
)
def test_what_is_stored_in_one_go_is_as_what_was_written(engine, body):
    engine.store(ADDRESS, body, crc32c(body), ts(1_700_000_000.0), {"etag": "e" * 32, "x-object-meta-a": "1"})
    with engine.open(ADDRESS) as stored:
        assert stored.headers["x-object-meta-a"] == "1"
        assert stored.headers["content-length"] == str(len(body))
        assert stored.data_timestamp == ts(1_700_000_000.0)
        assert stored.crc32c == stored.body.crc32c() is not None
    assert whole(engine) == bytes(body)


def test_what_is_stored_in_one_go_replaces_what_is_older(engine):
    put(engine, ADDRESS, b"old", 1_700_000_000.0)
    engine.store(ADDRESS, b"new", crc32c(b"new"), ts(1_700_000_001.0), {"etag": "e" * 32})
    put(engine, ADDRESS, b"late", 1_700_000_000.5)
    assert whole(engine) == b"new"


def test_an_empty_object(engine):
    put(engine, ADDRESS, b"")
    with engine.open(ADDRESS) as stored:
        assert (stored.size, stored.body.pread(10, 0)) == (0, b"")


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["in order", "the older arrives last"])
def test_the_newest_put_wins_in_any_order(engine, order):
    for number in order:
        put(engine, ADDRESS, b"version %d" % number, 1_700_000_000.0 + number)
    assert whole(engine) == b"version 2"


def test_a_put_at_the_same_time_replaces(engine):
    put(engine, ADDRESS, b"one")
    put(engine, ADDRESS, b"two")
    assert whole(engine) == b"two"


def test_an_upload_that_is_not_committed_leaves_nothing(engine):
    with engine.create(ADDRESS, 5) as writer:
        writer.write(b"hello")
        assert (writer.size, engine.open(ADDRESS)) == (5, Absent(None))
    assert engine.open(ADDRESS) == Absent(None)


def test_a_deleted_object_says_when(engine):
    put(engine, ADDRESS)
    engine.delete(ADDRESS, ts(1_700_000_005.0))
    assert engine.open(ADDRESS) == Absent(ts(1_700_000_005.0))


def test_a_tombstone_stays_where_nothing_was(engine):
    engine.delete(ADDRESS, ts(1_700_000_005.0))
    put(engine, ADDRESS, b"late", 1_700_000_004.0)
    assert engine.open(ADDRESS) == Absent(ts(1_700_000_005.0))


def test_a_put_after_a_delete_revives(engine):
    engine.delete(ADDRESS, ts(1_700_000_005.0))
    put(engine, ADDRESS, b"again", 1_700_000_006.0)
    assert whole(engine) == b"again"


def test_an_offset_breaks_ties(engine):
    put(engine, ADDRESS, b"one")
    engine.delete(ADDRESS, ts(1_700_000_000.0, 1))
    assert engine.open(ADDRESS) == Absent(ts(1_700_000_000.0, 1))


def test_a_post_replaces_user_metadata_and_nothing_else(engine):
    put(
        engine, ADDRESS, x_object_meta_a="1", x_object_sysmeta_s="kept", x_object_transient_sysmeta_t="gone",
        content_encoding="gzip", x_static_large_object="True",
    )  # fmt: skip
    engine.post(ADDRESS, ts(1_700_000_001.0), {"x-object-meta-b": "2", "etag": "forged"}, None)
    with engine.open(ADDRESS) as stored:
        assert stored.headers["x-object-meta-b"] == "2"
        assert stored.headers["x-object-sysmeta-s"] == "kept"
        assert stored.headers["x-static-large-object"] == "True"
        assert stored.headers["content-type"] == "text/plain"
        assert stored.etag == "5d41402abc4b2a76b9719d911017c592"
        assert {"x-object-meta-a", "x-object-transient-sysmeta-t", "content-encoding"}.isdisjoint(stored.headers)
        assert (stored.timestamp, stored.data_timestamp) == (ts(1_700_000_001.0), ts(1_700_000_000.0))
        assert stored.content_type_timestamp == ts(1_700_000_000.0)


def test_a_posted_content_type_outlives_later_posts_without_one(engine):
    put(engine, ADDRESS)
    engine.post(ADDRESS, ts(1_700_000_001.0), {"content-type": "image/png"}, ts(1_700_000_001.0))
    engine.post(ADDRESS, ts(1_700_000_002.0), {"x-object-meta-b": "2"}, None)
    with engine.open(ADDRESS) as stored:
        assert stored.headers["content-type"] == "image/png"
        assert stored.headers["x-object-meta-b"] == "2"
        assert stored.content_type_timestamp == ts(1_700_000_001.0)


def test_a_put_ends_an_older_posted_content_type(engine):
    put(engine, ADDRESS)
    engine.post(ADDRESS, ts(1_700_000_001.0), {"content-type": "image/png"}, ts(1_700_000_001.0))
    put(engine, ADDRESS, b"new", 1_700_000_002.0)
    with engine.open(ADDRESS) as stored:
        assert stored.headers["content-type"] == "text/plain"


def test_a_post_without_its_data_serves_nobody(engine):
    engine.post(ADDRESS, ts(1_700_000_001.0), {"x-object-meta-b": "2"}, None)
    assert engine.open(ADDRESS) == Absent(None)
    put(engine, ADDRESS)
    with engine.open(ADDRESS) as stored:
        assert stored.headers["x-object-meta-b"] == "2"


def test_names_and_values_keep_every_byte(engine):
    address = make_address("ö ü/\N{PILE OF POO}%2F\0")
    put(engine, address, x_object_meta_note="h\xc3\xabllo", x_object_meta_raw="\xff\xfe")
    with engine.open(address) as stored:
        assert stored.headers["x-object-meta-note"] == "h\xc3\xabllo"
        assert stored.headers["x-object-meta-raw"] == "\xff\xfe"


def test_policies_do_not_see_each_other(engine):
    put(engine, ADDRESS)
    assert engine.open(make_address(policy_index=1)) == Absent(None)


def test_quarantine_takes_the_object_away(engine):
    put(engine, ADDRESS)
    assert engine.quarantine(ADDRESS) is not None
    assert engine.open(ADDRESS) == Absent(None)
    assert engine.quarantine(ADDRESS) is None


def test_a_write_that_came_after_the_damage_was_seen_is_not_quarantined(engine):
    put(engine, ADDRESS)
    with engine.open(ADDRESS) as damaged:
        seen = damaged.data_timestamp
    put(engine, ADDRESS, at=1_700_000_001.0)
    assert engine.quarantine(ADDRESS, seen) is None
    with engine.open(ADDRESS) as stored:
        assert stored.data_timestamp == ts(1_700_000_001.0)
        assert engine.quarantine(ADDRESS, stored.data_timestamp) is not None


def test_an_unknown_device_is_refused(engine):
    address = make_address(device="sdz")
    calls = [
        lambda: engine.open(address),
        lambda: engine.create(address, 1),
        lambda: engine.store(address, b"x", 0, ts(1), {}),
        lambda: engine.check_room("sdz", 1),
        lambda: engine.delete(address, ts(1)),
        lambda: engine.post(address, ts(1), {}, None),
        lambda: engine.hashes("sdz", 0, "5"),
        lambda: engine.invalidate("sdz", 0, "5", ["abc"]),
        lambda: engine.defer("sdz", 0, "0" * 32, ts(1), DeferredUpdate("PUT", "a", "c", "o", {})),
    ]
    for call in calls:
        with pytest.raises(DeviceUnavailable):
            call()


class TestHashes:
    def test_a_partition_that_is_not_there_has_none(self, engine):
        assert engine.hashes("sda", 0, "7") == {}
        assert engine.hashes("sda", 0, "not a number") == {}

    def test_equal_names_give_equal_hashes(self, engine, tmp_path):
        other = MemoryEngine(["sda"], SimClock(NOW))
        for each in (engine, other):
            put(each, ADDRESS)
            put(each, make_address("p"))
            each.post(ADDRESS, ts(1_700_000_001.0), {}, None)
            each.delete(make_address("q"), ts(1_700_000_001.0))
        assert engine.hashes("sda", 0, "5") == other.hashes("sda", 0, "5")
        assert len(engine.hashes("sda", 0, "5")) == 3

    @pytest.mark.parametrize(
        "change",
        [
            lambda engine: put(engine, ADDRESS, b"new", 1_700_000_003.0),
            lambda engine: engine.post(ADDRESS, ts(1_700_000_003.0), {}, None),
            lambda engine: engine.post(ADDRESS, ts(1_700_000_003.0), {"content-type": "a/b"}, ts(1_700_000_002.0)),
            lambda engine: engine.delete(ADDRESS, ts(1_700_000_003.0)),
            lambda engine: engine.quarantine(ADDRESS),
        ],
        ids=["put", "post", "post content type", "delete", "quarantine"],
    )
    def test_every_change_changes_the_hash(self, engine, change):
        put(engine, ADDRESS)
        before = engine.hashes("sda", 0, "5")
        assert engine.hashes("sda", 0, "5") == before
        change(engine)
        assert engine.hashes("sda", 0, "5") != before

    def test_an_old_tombstone_is_reclaimed_when_its_suffix_is_hashed(self, engine, clock):
        engine.delete(ADDRESS, ts(NOW))
        assert engine.hashes("sda", 0, "5")
        clock.advance(604_801)
        assert engine.hashes("sda", 0, "5", [ADDRESS.suffix]) == {}
        assert engine.open(ADDRESS) == Absent(None)
