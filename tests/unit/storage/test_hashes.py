"""storage/hashes.py: formats 4.8 and 4.9, and the races that end in a stale digest."""

import hashlib
import os
import threading

import pytest

from objstore.core import pickles
from objstore.runtime.fs import Fs
from objstore.storage.cleanup import CleaningRules
from objstore.storage.hashes import PartitionHashes, hash_parts
from objstore.storage.replica import inventory
from objstore.storage.resolve import resolve
from tests.support.objects import make_address, make_disk_engine, put, ts

ADDRESS = make_address()
RULES = CleaningRules(ts(1_700_000_100.0), 604_800)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def partition(tmp_path):
    return tmp_path / "sda" / "objects" / "5"


def stored(tmp_path):
    return pickles.loads((partition(tmp_path) / "hashes.pkl").read_bytes())


def invalid(tmp_path):
    return (partition(tmp_path) / "hashes.invalid").read_text()


def test_golden_vector_v4():
    live = resolve(["1795232188.14071.data", "1795232188.45674-385e.meta"])
    assert hash_parts(live) == ["1795232188.45674.meta", "1795232188.14071.data", "1795232188.31244_ctype"]
    assert hash_parts(resolve(["1795232188.55148.ts"])) == ["1795232188.55148.ts"]


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["1795232188.55148.ts", "1795232188.60000.meta"], ["1795232188.55148.ts"]),
        (["1795232188.60000.meta"], []),
        (["1795232188.60000-385e.meta"], []),
    ],
    ids=["beside a tombstone", "alone", "with a content type"],
)
def test_a_post_whose_data_is_gone_makes_no_difference(names, parts):
    """A copy that took the POST before it heard of the older DELETE would differ from the others for a week."""
    assert hash_parts(resolve(names)) == parts


def test_a_suffix_of_nothing_but_a_lone_post_is_neither_hashed_nor_removed(tmp_path):
    engine = make_disk_engine(tmp_path)
    directory = partition(tmp_path) / ADDRESS.suffix / ADDRESS.hash_hex
    directory.mkdir(parents=True)
    (directory / "1799999999.00000.meta").touch()
    assert engine.hashes("sda", 0, "5", [ADDRESS.suffix]) == {}
    assert [path.name for path in directory.iterdir()] == ["1799999999.00000.meta"]


def test_a_put_lists_its_suffix_and_hashing_clears_the_list(tmp_path):
    engine = make_disk_engine(tmp_path)
    put(engine, ADDRESS)
    put(engine, ADDRESS, at=1_700_000_001.0)
    assert invalid(tmp_path) == f"{ADDRESS.suffix}\n"
    assert engine.hashes("sda", 0, "5") == {ADDRESS.suffix: md5("1700000001.00000.data")}
    assert invalid(tmp_path) == ""
    assert stored(tmp_path)["valid"] is True


def test_objects_of_one_suffix_are_hashed_in_order_of_their_names(tmp_path):
    engine = make_disk_engine(tmp_path)
    suffix = partition(tmp_path) / "abc"
    for number in (3, 1, 2):
        directory = suffix / (str(number) * 29 + "abc")
        directory.mkdir(parents=True)
        (directory / f"170000000{number}.00000.data").touch()
    expected = md5("".join(f"170000000{number}.00000.data" for number in (1, 2, 3)))
    assert engine.hashes("sda", 0, "5") == {"abc": expected}


def test_known_suffixes_are_not_looked_at_again(tmp_path):
    engine = make_disk_engine(tmp_path)
    put(engine, ADDRESS)
    before = engine.hashes("sda", 0, "5")
    directory = partition(tmp_path) / ADDRESS.suffix / ADDRESS.hash_hex
    (directory / "1700000009.00000.ts").touch()
    assert engine.hashes("sda", 0, "5") == before
    assert engine.hashes("sda", 0, "5", [ADDRESS.suffix]) != before


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", pickles.dumps([1]), pickles.dumps({"xyz": "1"}), pickles.dumps({"valid": False, "abc": "stale"})],
)
def test_a_broken_hashes_pkl_is_made_again(tmp_path, content):
    engine = make_disk_engine(tmp_path)
    put(engine, ADDRESS)
    good = engine.hashes("sda", 0, "5")
    (partition(tmp_path) / "hashes.pkl").write_bytes(content)
    assert engine.hashes("sda", 0, "5") == good


def test_empty_directories_go_with_their_digests(tmp_path):
    engine = make_disk_engine(tmp_path)
    (partition(tmp_path) / "abc" / ("0" * 29 + "abc")).mkdir(parents=True)
    assert engine.hashes("sda", 0, "5") == {}
    assert not (partition(tmp_path) / "abc").exists()


def test_a_file_in_the_place_of_a_hash_directory_is_set_aside(tmp_path):
    engine = make_disk_engine(tmp_path)
    put(engine, ADDRESS)
    name = "0" * 29 + ADDRESS.suffix
    (partition(tmp_path) / ADDRESS.suffix / name).write_text("not a directory")
    assert engine.hashes("sda", 0, "5") == {ADDRESS.suffix: md5("1700000000.00000.data")}
    assert (tmp_path / "sda" / "quarantined" / "objects" / name).is_file()


class _ChangeWhileHashing(Fs):
    """Runs an action once, just before the partition is locked the second time: to store what was hashed."""

    def __init__(self, action):
        super().__init__()
        self._action = action
        self._locks = 0

    def lock(self, path, timeout_s):
        self._locks += 1
        if self._locks == 2:
            self._action()
        return super().lock(path, timeout_s)


def test_a_change_while_hashing_is_never_lost(tmp_path):
    """Another process folds the list and stores its own hashes.pkl in the middle of ours."""
    engine = make_disk_engine(tmp_path)
    put(engine, ADDRESS)

    def change():
        put(engine, ADDRESS, at=1_700_000_005.0)
        PartitionHashes(Fs(), str(partition(tmp_path))).current(RULES, lambda path: None)

    fs = _ChangeWhileHashing(change)
    assert PartitionHashes(fs, str(partition(tmp_path))).current(RULES, lambda path: None) == {
        ADDRESS.suffix: md5("1700000005.00000.data")
    }
    assert engine.hashes("sda", 0, "5") == {ADDRESS.suffix: md5("1700000005.00000.data")}


def test_writers_and_hashers_at_once_end_with_true_digests(tmp_path):
    engine = make_disk_engine(tmp_path)
    addresses = [make_address(f"o{n}") for n in range(6)]
    stop = threading.Event()

    def hash_all_the_time():
        while not stop.is_set():
            engine.hashes("sda", 0, "5")

    def write(address):
        for n in range(10):
            put(engine, address, at=1_700_000_000.0 + n)

    put(engine, addresses[0])
    hasher = threading.Thread(target=hash_all_the_time)
    writers = [threading.Thread(target=write, args=(address,)) for address in addresses]
    for thread in (hasher, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    hasher.join()
    found = engine.hashes("sda", 0, "5")
    os.unlink(partition(tmp_path) / "hashes.pkl")
    assert found == engine.hashes("sda", 0, "5")
    assert len(found) == len({address.suffix for address in addresses})


def test_invalidate_forces_a_new_look(tmp_path):
    engine = make_disk_engine(tmp_path)
    put(engine, ADDRESS)
    before = engine.hashes("sda", 0, "5")
    directory = partition(tmp_path) / ADDRESS.suffix / ADDRESS.hash_hex
    (directory / "1700000009.00000.ts").touch()
    engine.invalidate("sda", 0, "5", [ADDRESS.suffix])
    assert engine.hashes("sda", 0, "5") != before


def test_comparing_replicas_opens_no_object(tmp_path):
    put(make_disk_engine(tmp_path), ADDRESS)

    class Blind(Fs):
        def open_read(self, path):
            raise AssertionError(f"{path} was opened")

    engine = make_disk_engine(tmp_path, fs=Blind())
    assert engine.hashes("sda", 0, "5") == engine.hashes("sda", 0, "5", relist=True) != {}
    assert [replica.hash_hex for replica in inventory(str(partition(tmp_path)), ADDRESS.suffix)] == [ADDRESS.hash_hex]
