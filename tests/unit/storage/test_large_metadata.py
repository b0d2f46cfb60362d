"""Metadata beyond what the file system's attributes hold: doc/decisions/0004-large-metadata.md."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from objstore.core.errors import Corrupt
from objstore.runtime.fs import Fs
from objstore.storage.cleanup import CleaningRules, clean
from objstore.storage.engine import Absent
from objstore.storage.resolve import overflow_owner, resolve
from tests.support.clock import SimClock
from tests.support.objects import directory_of, make_address, make_disk_engine, names_of, put, ts

# Swift's limits in one object: 90 items, 4,096 bytes of names and values, a name of 1,024 bytes, non-ASCII values
# (stored twice encoded), and sysmeta of every middleware on top.
AT_THE_LIMITS = {
    **{f"x_object_meta_{n:02}": "\xc3\xbc" * 20 for n in range(90)},
    "x_object_sysmeta_crypto_body_meta": "m" * 400,
    "x_object_sysmeta_container_update_override_etag": "e" * 300,
    "content_disposition": "d" * 200,
}
HEADERS = {name.replace("_", "-"): value for name, value in AT_THE_LIMITS.items()}
ADDRESS = make_address("\N{SNOWMAN}" * 341)


def has_attributes(path):
    try:
        os.setxattr(path, "user.probe", b"1")
    except OSError:
        return False
    return True


def file_systems():
    found = [Path(tempfile.gettempdir())]
    if os.access("/dev/shm", os.W_OK):
        found.append(Path("/dev/shm"))
    return found


@pytest.fixture(params=file_systems(), ids=str)
def root(request):
    path = Path(tempfile.mkdtemp(dir=request.param))
    if not has_attributes(path):
        shutil.rmtree(path)
        pytest.skip(f"{request.param} has no user attributes")
    yield path
    shutil.rmtree(path)


def side_files(root):
    return [name for name in names_of(root, ADDRESS) if name.startswith(".")]


def assert_whole(engine):
    with engine.open(ADDRESS) as stored:
        assert {name: stored.headers[name] for name in HEADERS} == HEADERS
        assert stored.address.name == ADDRESS.name


def test_an_object_at_all_limits_is_kept(root):
    engine = make_disk_engine(root)
    put(engine, ADDRESS, **AT_THE_LIMITS)
    assert_whole(engine)
    assert len(resolve(names_of(root, ADDRESS)).unexpected) == 0


def test_a_post_at_all_limits_is_kept(root):
    engine = make_disk_engine(root)
    put(engine, ADDRESS, **AT_THE_LIMITS)
    posted = {name: value for name, value in HEADERS.items() if "sysmeta" not in name} | {"x-object-meta-00": "new"}
    engine.post(ADDRESS, ts(1_700_000_001.0), posted, None)
    with engine.open(ADDRESS) as stored:
        assert {name: stored.headers[name] for name in posted} == posted


def test_small_metadata_stays_in_the_attributes_alone(root):
    put(make_disk_engine(root), ADDRESS, x_object_meta_a="1")
    assert side_files(root) == []


@pytest.fixture
def small(tmp_path):
    """A file system whose attributes overflow: ext4, or whatever the temporary directory is on."""
    put(make_disk_engine(tmp_path), ADDRESS, **AT_THE_LIMITS)
    if not side_files(tmp_path):
        pytest.skip("the temporary directory holds it all in attributes")
    return tmp_path


@pytest.mark.parametrize(
    "change",
    [
        lambda engine: put(engine, ADDRESS, b"new", 1_700_000_001.0),
        lambda engine: put(engine, ADDRESS, b"new", 1_700_000_000.0),
        lambda engine: engine.delete(ADDRESS, ts(1_700_000_001.0)),
    ],
    ids=["newer put", "put at the same time", "delete"],
)
def test_overflow_goes_with_its_owner(small, change):
    (before,) = side_files(small)
    change(make_disk_engine(small))
    # The long name alone overflows where blocks are small.
    after = side_files(small)
    assert before not in after
    assert len(after) <= 1 and {overflow_owner(side) for side in after} <= set(names_of(small, ADDRESS))


def test_a_missing_side_file_is_damage_not_a_shorter_set(small):
    (side,) = side_files(small)
    (directory_of(small, ADDRESS) / side).unlink()
    engine = make_disk_engine(small)
    with pytest.raises(Corrupt, match="side file"):
        engine.open(ADDRESS)
    assert engine.open(ADDRESS) == Absent(None)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"\0" * len(data), lambda data: b""])
def test_a_damaged_side_file_is_damage(small, damage):
    path = directory_of(small, ADDRESS) / side_files(small)[0]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Corrupt, match="checksum"):
        make_disk_engine(small).open(ADDRESS)


def test_a_reader_that_knows_no_side_files_finds_a_wrong_checksum(small):
    import hashlib

    data = next(path for path in directory_of(small, ADDRESS).iterdir() if path.suffix == ".data")
    blob = os.getxattr(data, "user.swift.metadata")
    assert hashlib.md5(blob).hexdigest() != os.getxattr(data, "user.swift.metadata_checksum").decode()


def test_an_orphan_is_removed_only_when_it_is_old(small):
    directory = directory_of(small, ADDRESS)
    orphan = directory / (".1600000000.00000.data." + "0" * 32)
    orphan.write_bytes(b"x")
    clock = SimClock(orphan.stat().st_ctime + 10)
    engine = make_disk_engine(small, clock)
    engine.hashes("sda", 0, "5", [ADDRESS.suffix])
    assert orphan.exists()
    clock.advance(90_000)
    engine.hashes("sda", 0, "5", [ADDRESS.suffix])
    assert not orphan.exists()
    assert_whole(engine)


def test_side_files_do_not_change_the_suffix_hash(small, tmp_path):
    engine = make_disk_engine(small)
    with_side = engine.hashes("sda", 0, "5")
    put(engine, ADDRESS)
    engine.invalidate("sda", 0, "5", [ADDRESS.suffix])
    assert engine.hashes("sda", 0, "5") == with_side


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
def test_rsync_carries_the_side_file_before_its_owner(small):
    import subprocess

    target = small / "copy" / "sda" / "objects" / "5"
    target.mkdir(parents=True)
    source = small / "sda" / "objects" / "5" / ADDRESS.suffix
    done = subprocess.run(
        ["rsync", "--recursive", "--whole-file", "--xattrs", "--ignore-existing", "--itemize-changes",
         "--exclude=.*.[0-9a-zA-Z][0-9a-zA-Z][0-9a-zA-Z][0-9a-zA-Z][0-9a-zA-Z][0-9a-zA-Z]",
         str(source), str(target)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    lines = [line.split("/")[-1] for line in done.stdout.splitlines() if line.startswith(">f")]
    assert lines[0].startswith(".") and lines[1].endswith(".data")
    assert_whole(make_disk_engine(small / "copy"))


def test_overflow_goes_with_a_tombstone_past_its_age(tmp_path):
    now = ts(1_700_000_000.0)
    tombstone = "1600000000.00000.ts"
    for name in (tombstone, f".{tombstone}.{'0' * 32}"):
        (tmp_path / name).touch()
    assert clean(Fs(), str(tmp_path), CleaningRules(now, reclaim_age_s=60.0)).names == ()
    assert list(tmp_path.iterdir()) == []
