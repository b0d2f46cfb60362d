"""ring/fileformat.py: both versions against files of a reference system, and everything a bad file can be."""

import gzip
import hashlib
import json
import struct
import tracemalloc
import zlib
from array import array
from pathlib import Path

import pytest

from objstore.ring.fileformat import RingFileError, load, save, written
from objstore.ring.gzip_member import GzipWriter
from objstore.ring.model import Ring, RingHeader
from tests.support.rings import make_device, make_ring

VECTORS = Path(__file__).parents[2] / "vectors" / "rings"
FILES = sorted(VECTORS.glob("*.ring.gz"))
assert FILES, "no vectors found: the test would check nothing"


def same(one, two):
    return (one.header, one.rows, one.devices) == (two.header, two.rows, two.devices)


def plaintext_v1(header, table=b"", version=1):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return b"R1NG" + struct.pack("!HI", version, len(text)) + text + table


HEADER = {
    "devs": [{"id": 0, "zone": 1, "ip": "10.0.0.1", "port": 6200, "device": "sda", "weight": 1.0}],
    "part_shift": 30,
    "replica_count": 2,
    "byteorder": "little",
}
TABLE = bytes(16)


@pytest.fixture
def write(tmp_path):
    def _write(data):
        path = tmp_path / "object.ring.gz"
        path.write_bytes(data)
        return path

    return _write


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_foreign_ring_is_written_back_with_the_same_content(path):
    ring = load(path)
    data = written(ring, path.name, 2 if ".v2." in path.name else 1)
    if ".v2." in path.name:
        # Compressed positions stand in the index of version 2; they depend on the zlib at hand.
        assert gzip.decompress(data)[: 8 + 64] == gzip.decompress(path.read_bytes())[: 8 + 64]
    else:
        assert gzip.decompress(data) == gzip.decompress(path.read_bytes())
    assert data[:10] == path.read_bytes()[:10]


@pytest.mark.parametrize("name", sorted({path.name.split(".")[0] for path in FILES}))
def test_both_versions_hold_the_same_ring(name):
    assert same(load(VECTORS / f"{name}.ring.gz"), load(VECTORS / f"{name}.v2.ring.gz"))


@pytest.mark.parametrize(("version", "id_bytes"), [(1, 2), (2, 2), (2, 4), (2, 8)])
def test_what_is_saved_is_loaded(tmp_path, version, id_bytes):
    ring = make_ring(version=7, next_part_power=7)
    path = tmp_path / "object-1.ring.gz"
    save(ring, path, version, id_bytes=id_bytes)
    assert same(load(path), ring)
    assert path.stat().st_mode & 0o777 == 0o644


def test_fractional_replicas_keep_their_short_row(tmp_path):
    full, short = array("H", [0] * 64), array("H", [0] * 13)
    ring = Ring(RingHeader(26, 1), [full, full, short], [make_device()])
    for version in (1, 2):
        save(ring, tmp_path / "ring.gz", version)
        loaded = load(tmp_path / "ring.gz")
        assert same(loaded, ring)
        assert loaded.replica_count == 2 + 13 / 64


def test_equal_rings_give_equal_bytes():
    assert written(make_ring(), "object.ring.gz") == written(make_ring(), "object.ring.gz")


def test_version_2_ends_in_a_tail_that_points_to_the_index():
    data = written(make_ring(), "object.ring.gz", 2)
    position = struct.unpack("!Q", zlib.decompressobj(-15).decompress(data[-31:], 8))[0]
    blob = zlib.decompressobj(-15).decompress(data[position:])
    (length,) = struct.unpack("!Q", blob[:8])
    index = json.loads(blob[8 : 8 + length])
    assert sorted(index) == ["swift/ring/assignments", "swift/ring/devices", "swift/ring/metadata"]
    start, _, end, _, _, _ = index["swift/ring/devices"]
    devices = zlib.decompressobj(-15).decompress(data[start:end])[8:]
    assert [device["id"] for device in json.loads(devices)] == [0, 1, 2, 3]


def test_the_other_byte_order_is_read(write):
    table = struct.pack(">8H", 0, 1, 0, 1, 1, 0, 1, 0)
    devices = [HEADER["devs"][0], HEADER["devs"][0] | {"id": 1}]
    ring = load(write(gzip.compress(plaintext_v1(HEADER | {"byteorder": "big", "devs": devices}, table))))
    assert [list(row) for row in ring.rows] == [[0, 1, 0, 1], [1, 0, 1, 0]]


def test_fields_that_old_writers_did_not_know_have_defaults(write):
    header = {name: value for name, value in HEADER.items() if name != "byteorder"}
    ring = load(write(gzip.compress(plaintext_v1(header, TABLE))))
    assert ring.devices == (make_device(device="sda", ip="10.0.0.1", replication_port=6200, weight=1.0),)
    assert (ring.version, ring.next_part_power) == (None, None)


def test_bytes_after_the_first_gzip_member_are_not_read(write):
    member = gzip.compress(plaintext_v1(HEADER, TABLE))
    assert same(load(write(member + member)), load(write(member)))


# What a bad file can be


@pytest.mark.parametrize("name", ["four-devices.ring.gz", "four-devices.v2.ring.gz"])
def test_a_ring_cut_at_any_length_is_refused(write, name):
    data = (VECTORS / name).read_bytes()
    for length in range(len(data)):
        path = write(data[:length])
        with pytest.raises(RingFileError) as caught:
            load(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: bad ring file: ") and "\n" not in message


@pytest.mark.parametrize("name", ["four-devices.ring.gz", "four-devices.v2.ring.gz"])
def test_a_flipped_bit_is_refused_or_changes_nothing(write, name):
    """Only the file name and time in the gzip header are outside the checksum."""
    data = (VECTORS / name).read_bytes()
    good = load(VECTORS / name)
    harmless = 0
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        try:
            ring = load(write(bytes(flipped)))
        except RingFileError:
            continue
        assert same(ring, good)
        harmless += 1
    assert harmless < 40


BAD_PLAINTEXTS = {
    "empty": (b"", "ends after 0 of the 6 bytes of the preamble"),
    "other magic": (b"RING" + bytes(100), "not a ring"),
    "a pickle": (b"\x80\x02}q\x00.", "not a ring"),
    "future version": (plaintext_v1(HEADER, TABLE, version=3), "format version 3: this release reads versions 1 and 2"),
    "absurd header length": (b"R1NG\x00\x01\xff\xff\xff\xff{}", "announces 4294967295 bytes of header"),
    "header longer than the file": (b"R1NG\x00\x01\x00\x00\xff\xff{}", "ends after 2 of the 65535 bytes"),
    "header no JSON": (plaintext_v1(b"{"), "the header is not JSON"),
    "header no UTF-8": (plaintext_v1(b"\xff\xfe\xff"), "the header is not JSON"),
    "header nested too deep": (plaintext_v1(b"[" * 100_000), "the header is not JSON"),
    "header no object": (plaintext_v1(b"[]"), "the header is not a JSON object"),
    "no part_shift": (plaintext_v1({"devs": [], "replica_count": 1}), "part_shift is None"),
    "part_shift above 32": (plaintext_v1(HEADER | {"part_shift": 33}, TABLE), "part_shift is 33: expected 0 to 32"),
    "part_shift below 0": (plaintext_v1(HEADER | {"part_shift": -1}, TABLE), "part_shift is -1"),
    "part_shift true": (plaintext_v1(HEADER | {"part_shift": True}, TABLE), "part_shift is True"),
    "no replicas": (plaintext_v1(HEADER | {"replica_count": 0}, TABLE), "replica_count is 0"),
    "replicas infinite": (plaintext_v1(HEADER | {"replica_count": float("inf")}, TABLE), "replica_count is inf"),
    "absurd replicas": (plaintext_v1(HEADER | {"replica_count": 10**9}, TABLE), "replica_count is 1000000000"),
    "absurd table": (plaintext_v1(HEADER | {"part_shift": 0}, TABLE), "announces a table of 17179869184 bytes"),
    "unknown byte order": (plaintext_v1(HEADER | {"byteorder": "pdp"}, TABLE), "byteorder is 'pdp'"),
    "version no number": (plaintext_v1(HEADER | {"version": "1"}, TABLE), "version is '1'"),
    "next_part_power too large": (plaintext_v1(HEADER | {"next_part_power": 99}, TABLE), "next_part_power is 99"),
    "devices no list": (plaintext_v1(HEADER | {"devs": {}}, TABLE), "the list of devices is not a list"),
    "device no object": (plaintext_v1(HEADER | {"devs": [3]}, TABLE), "device 0 is 3"),
    "device id not its place": (plaintext_v1(HEADER | {"devs": [{**HEADER["devs"][0], "id": 1}]}), "says its id is 1"),
    "device without ip": (plaintext_v1(HEADER | {"devs": [{"id": 0}]}, TABLE), "device 0 has ip None"),
    "device port text": (plaintext_v1(HEADER | {"devs": [{**HEADER["devs"][0], "port": "80"}]}), "has port '80'"),
    "device weight nan": (plaintext_v1(HEADER | {"devs": [{**HEADER["devs"][0], "weight": float("nan")}]}), "weight"),
    "no table": (plaintext_v1(HEADER), "has a table of 0 bytes"),
    "a row missing": (plaintext_v1(HEADER, TABLE[:8]), "has a table of 8 bytes: expected 16"),
    "a single short row": (plaintext_v1(HEADER | {"replica_count": 1}, TABLE[:6]), "has a table of 6 bytes"),
    "half an id": (plaintext_v1(HEADER, TABLE[:-1]), "has a table of 15 bytes"),
    "table too long": (plaintext_v1(HEADER, TABLE + b"\0"), "has more bytes than its header announces"),
    "id without device": (
        plaintext_v1(HEADER, TABLE[:-2] + b"\1\0"),
        "partition 3, replica 1 is on device 1, of which",
    ),
    "id of a removed device": (plaintext_v1(HEADER | {"devs": [None]}, TABLE), "partition 0, replica 0 is on device 0"),
    "unassigned": (plaintext_v1(HEADER, b"\xff" * 16), "not assigned yet"),
}


@pytest.mark.parametrize(("plaintext", "reason"), BAD_PLAINTEXTS.values(), ids=BAD_PLAINTEXTS.keys())
def test_bad_content_is_named(write, plaintext, reason):
    path = write(gzip.compress(plaintext))
    with pytest.raises(RingFileError, match="bad ring file") as caught:
        load(path)
    assert reason in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.path == str(path)


def sections_v2(**changes):
    """A version 2 plaintext; changes replace a blob or the index entry (`index`), or the tail (`tail`)."""
    metadata = {"dev_id_bytes": 2, "part_shift": 30, "replica_count": 2.0, "version": 1} | changes.get("metadata", {})
    blobs = {
        "swift/ring/metadata": json.dumps(metadata).encode(),
        "swift/ring/devices": json.dumps(HEADER["devs"]).encode(),
        "swift/ring/assignments": changes.get("table", TABLE),
    }
    plain, index = bytearray(b"R1NG\x00\x02"), {}
    for name, data in blobs.items():
        start = len(plain)
        plain += struct.pack("!Q", len(data)) + data
        digest = hashlib.new(changes.get("algorithm", "sha256"), plain[start:]).hexdigest()
        index[name] = [0, start, 0, len(plain), changes.get("algorithm", "sha256"), digest]
    position = len(plain)
    body = json.dumps(index | changes.get("index", {})).encode()
    plain += struct.pack("!Q", changes.get("index_length", len(body))) + body
    return bytes(plain + struct.pack("!QQ", changes.get("index_position", position), 0))


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_a_recompressed_version_2_is_read(write, algorithm):
    assert load(write(gzip.compress(sections_v2(algorithm=algorithm)))).replica_count == 2


BAD_SECTIONS = {
    "id width": ({"metadata": {"dev_id_bytes": 3}}, "dev_id_bytes is 3"),
    "id width unhashable": ({"metadata": {"dev_id_bytes": [2]}}, "dev_id_bytes is [2]"),
    "part_shift": ({"metadata": {"part_shift": 40}}, "part_shift is 40"),
    "too few replicas": ({"metadata": {"replica_count": 4.0}}, "has a table of 16 bytes: expected 4 rows of 8"),
    "no table": ({"table": b"", "metadata": {"replica_count": 0.5}}, "has a table of 0 bytes"),
    "a single short row": ({"table": TABLE[:6], "metadata": {"replica_count": 0.75}}, "has a table of 6 bytes"),
    "half an id": ({"table": TABLE + b"\0"}, "has a table of 17 bytes"),
    "unknown digest": ({"algorithm": "blake2b"}, "no usable entry of swift/ring/metadata"),
    "section missing": ({"index": {"swift/ring/devices": None}}, "no usable entry of swift/ring/devices"),
    "digest unhashable": ({"index": {"swift/ring/devices": [0, 0, 0, 0, [], ""]}}, "no usable entry"),
    "section elsewhere": ({"index": {"swift/ring/devices": [0, 9, 0, 9, "md5", ""]}}, "has swift/ring/devices at 9"),
    "index elsewhere": ({"index_position": 3}, "the position of the index is wrong"),
    "index far away": ({"index_position": 1 << 60}, "the position of the index is wrong"),
    "index length": ({"index_length": 5}, "the length of the index is wrong"),
}


@pytest.mark.parametrize(("changes", "reason"), BAD_SECTIONS.values(), ids=BAD_SECTIONS.keys())
def test_bad_sections_are_named(write, changes, reason):
    path = write(gzip.compress(sections_v2(**changes)))
    with pytest.raises(RingFileError) as caught:
        load(path)
    assert reason in str(caught.value)


def test_a_wrong_checksum_of_a_section_is_found(write):
    plain = sections_v2().replace(b'"sda"', b'"sdb"')
    with pytest.raises(RingFileError, match="the checksum of swift/ring/devices is wrong"):
        load(write(gzip.compress(plain)))


def test_a_section_longer_than_any_ring_is_not_inflated(write):
    plain = b"R1NG\x00\x02" + struct.pack("!Q", 1 << 62) + bytes(1000)
    with pytest.raises(RingFileError, match="announces 4611686018427387904 bytes of swift/ring/metadata"):
        load(write(gzip.compress(plain)))


@pytest.mark.parametrize("plain", [plaintext_v1(HEADER, TABLE), sections_v2()], ids=["v1", "v2"])
def test_a_bomb_is_refused_before_it_is_inflated(write, plain):
    writer = GzipWriter("bomb")
    writer.write(plain)
    for _ in range(64):
        writer.write(bytes(1 << 20))
    path = write(writer.finish())
    tracemalloc.start()
    try:
        with pytest.raises(RingFileError, match="has more bytes than its header announces"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("data", "reason"), [(b"", "is empty"), (b"R1NG\0\1", "is not a gzip file")])
def test_a_file_that_is_no_gzip_is_refused(write, data, reason):
    with pytest.raises(RingFileError, match=reason):
        load(write(data))


def test_a_missing_file_and_a_directory_are_ring_file_errors(tmp_path):
    with pytest.raises(RingFileError, match=r"object.ring.gz: cannot be read: No such file"):
        load(tmp_path / "object.ring.gz")
    with pytest.raises(RingFileError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_ids_that_do_not_fit_are_refused_when_writing(tmp_path):
    devices = [None] * 70_000 + [make_device(70_000)]
    ring = Ring(RingHeader(31), [array("I", [70_000, 70_000])], devices)
    with pytest.raises(RingFileError, match="wider ids"):
        save(ring, tmp_path / "ring.gz")
    save(ring, tmp_path / "ring.gz", 2, id_bytes=4)
    assert load(tmp_path / "ring.gz").rows[0][0] == 70_000


def test_a_failed_save_leaves_the_old_ring(tmp_path):
    save(make_ring(version=1), tmp_path / "ring.gz")
    with pytest.raises(RingFileError, match="format version is 3"):
        save(make_ring(version=2), tmp_path / "ring.gz", 3)
    assert load(tmp_path / "ring.gz").version == 1
