"""A device written by the reference system, read by our engine: vectors/disk/objects.json."""

import base64
import json
import os
from pathlib import Path

import pytest

from objstore.core import pickles
from objstore.core.errors import Corrupt
from objstore.storage import pending
from objstore.storage.engine import Absent
from objstore.storage.layout import ObjectAddress
from tests.support.clock import SimClock
from tests.support.objects import SECRETS, directory_of, make_address, make_disk_engine, put

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "disk" / "objects.json").read_text())
PARTITION = str(VECTORS["partition"])


@pytest.fixture
def device(tmp_path):
    for file in VECTORS["files"]:
        path = tmp_path / "sda" / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(file["content_base64"]))
        for name, value in file["xattrs_base64"].items():
            os.setxattr(path, name, base64.b64decode(value))
    return tmp_path


@pytest.fixture
def engine(device):
    return make_disk_engine(device, SimClock(1_700_000_600.0))


def address(hash_hex, name):
    return ObjectAddress("sda", PARTITION, 0, name, hash_hex)


def named_files():
    for file in VECTORS["files"]:
        blob = file["xattrs_base64"].get("user.swift.metadata")
        if blob is not None and file["path"].endswith(".data"):
            pairs = pickles.loads(base64.b64decode(blob))
            yield file, {key.decode(): value.decode() for key, value in pairs.items()}


NAMED = list(named_files())


@pytest.mark.parametrize(("file", "pairs"), NAMED, ids=[pairs["name"] for _, pairs in NAMED])
def test_every_object_is_read_whole(engine, file, pairs):
    hash_hex = file["path"].split("/")[-2]
    assert SECRETS.hash_path(*pairs["name"].split("/", 3)[1:]) == hash_hex
    with engine.open(address(hash_hex, pairs["name"])) as stored:
        assert stored.body.pread(1 << 20, 0) == base64.b64decode(file["content_base64"])
        assert stored.etag == pairs["ETag"]
        assert stored.crc32c is None
        if stored.timestamp == stored.data_timestamp:
            assert stored.headers["content-type"] == pairs["Content-Type"]


def test_the_posted_object_has_its_merged_metadata(engine):
    posted = address("5b84618ceb5df98fd1602c7e7728373f", "/AUTH_v/c/posted")
    names = [pairs["name"] for file, pairs in NAMED if posted.hash_hex in file["path"]]
    with engine.open(ObjectAddress("sda", PARTITION, 0, names[0], posted.hash_hex)) as stored:
        assert stored.headers["content-type"] == "text/html"
        assert stored.headers["x-object-meta-a"] == "1"
        assert stored.timestamp.internal == "1700000410.00000"
        assert stored.content_type_timestamp.internal == "1700000409.00000"


def test_suffix_hashes_are_the_same(engine, device):
    assert engine.hashes("sda", 0, PARTITION) == VECTORS["suffix_hashes"]
    (device / "sda" / "objects" / PARTITION / "hashes.pkl").unlink()
    assert engine.hashes("sda", 0, PARTITION) == VECTORS["suffix_hashes"]
    assert engine.hashes("sda", 0, PARTITION, VECTORS["suffix_hashes"]) == VECTORS["suffix_hashes"]


def test_hashes_pkl_keeps_its_form(engine, device):
    engine.hashes("sda", 0, PARTITION, ["73f"])
    stored = pickles.loads((device / "sda" / "objects" / PARTITION / "hashes.pkl").read_bytes())
    assert {key: value for key, value in stored.items() if len(key) == 3} == VECTORS["suffix_hashes"]
    assert stored["valid"] is True and isinstance(stored["updated"], float)


def test_the_deferred_update_is_read(device):
    (path,) = (device / "sda" / "async_pending").glob("*/*")
    update = pending.decode(path.read_bytes())
    assert (update.op, update.account, update.container, update.obj) == ("PUT", "AUTH_v", "c", "late")
    assert update.headers["x-size"] == "5" and update.headers["x-content-type"] == "text/plain"
    assert pending.decode(pending.encode(update)) == update


def corrupt_body(path):
    path.write_bytes(path.read_bytes()[:-1])


def grow(path):
    path.write_bytes(path.read_bytes() + b"!")


def flip_metadata(path):
    blob = bytearray(os.getxattr(path, "user.swift.metadata"))
    blob[60] ^= 1
    os.setxattr(path, "user.swift.metadata", bytes(blob))


def drop_metadata(path):
    os.removexattr(path, "user.swift.metadata")


def zero(path):
    path.write_bytes(b"")


def wrong_name(path):
    other = make_disk_engine(path.parents[6] / "elsewhere")
    put(other, make_address("impostor"))
    source = directory_of(path.parents[6] / "elsewhere", make_address("impostor")) / "1700000000.00000.data"
    for name in os.listxattr(source):
        os.setxattr(path, name, os.getxattr(source, name))
    path.write_bytes(source.read_bytes())


@pytest.mark.parametrize("damage", [corrupt_body, grow, flip_metadata, drop_metadata, zero, wrong_name])
def test_damage_is_quarantined_and_never_served(engine, device, damage):
    hash_hex = "5b84618ceb5df98fd1602c7e7728373f"
    name = next(pairs["name"] for file, pairs in NAMED if hash_hex in file["path"])
    target = address(hash_hex, name)
    damage(device / "sda" / "objects" / PARTITION / "73f" / hash_hex / "1700000402.00000.data")
    before = engine.hashes("sda", 0, PARTITION)
    with pytest.raises(Corrupt):
        engine.open(target)
    assert engine.open(target) == Absent(None)
    assert (device / "sda" / "quarantined" / "objects" / hash_hex).is_dir()
    after = engine.hashes("sda", 0, PARTITION)
    assert "73f" in before and "73f" not in after


def test_a_second_quarantine_of_one_name_gets_a_tail(engine, device):
    hash_hex = "5b84618ceb5df98fd1602c7e7728373f"
    name = next(pairs["name"] for file, pairs in NAMED if hash_hex in file["path"])
    first = engine.quarantine(address(hash_hex, name))
    put(engine, ObjectAddress("sda", PARTITION, 0, name, hash_hex))
    second = engine.quarantine(address(hash_hex, name))
    assert first is not None and second is not None and second.startswith(first + "-")
    assert len(second.removeprefix(first + "-")) == 32
