"""storage/metadata.py: the blob to the byte, and blobs by others."""

import base64
import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest

from objstore.runtime.fs import Fs
from objstore.storage import metadata
from objstore.storage.metadata import BadMetadata, Metadata

V3 = base64.b64decode(
    "gAJ9cQAoY19jb2RlY3MKZW5jb2RlCnEBWAsAAABYLVRpbWVzdGFtcHECWAYAAABsYXRpbjFxA4ZxBFJxBWgBWBAAAAAxNzk1MjMyMTg4LjU1MTQ4"
    "cQZoA4ZxB1JxCGgBWAQAAABuYW1lcQloA4ZxClJxC2gBWBIAAAAvQVVUSF90ZXN0L2MwL2dvbmVxDGgDhnENUnEOdS4="
)
DISK = json.loads((Path(__file__).parents[2] / "vectors" / "disk" / "objects.json").read_text())
BLOBS = [
    base64.b64decode(file["xattrs_base64"]["user.swift.metadata"])
    for file in DISK["files"]
    if "user.swift.metadata" in file["xattrs_base64"]
]


def test_golden_vector_v3_is_written_and_read():
    value = Metadata("/AUTH_test/c0/gone", {"x-timestamp": "1795232188.55148"})
    assert metadata.encode(value) == V3
    assert hashlib.md5(V3).hexdigest() == metadata.checksum_of(V3) == "73afdb468b46b0694294f6bd238fb37b"
    assert metadata.decode(V3) == value


@pytest.mark.parametrize("blob", BLOBS, ids=range(len(BLOBS)))
def test_blobs_of_the_reference_are_written_to_the_byte(blob):
    value = metadata.decode(blob)
    assert metadata.encode(value) == blob


def test_header_values_are_encoded_twice_and_the_name_once():
    blob = metadata.encode(Metadata("/a/c/oü", {"x-object-meta-note": "\xc3\xbc"}))
    pairs = pickle.loads(blob)
    assert pairs[b"X-Object-Meta-Note"] == b"\xc3\x83\xc2\xbc"
    assert pairs[b"name"] == "/a/c/oü".encode()


@pytest.mark.parametrize(
    "pairs",
    [
        {},
        {f"x-object-meta-{n}": "v" * n for n in range(90)},
        {f"x-object-meta-{n}": chr(n) for n in range(256)},
        {"x-object-meta-empty": "", "x-object-meta-also": "", "x-object-meta-one": "1", "x-object-meta-uno": "1"},
        {"x-object-meta-same": "gone", "x-object-meta-name": "name"},
    ],
    ids=["nothing", "many", "every byte", "repeated values", "values that are keys"],
)
def test_the_blob_is_what_pickle_writes(pairs):
    value = Metadata("/a/c/o", pairs)
    expected = {name.title().encode(): text.encode("utf-8") for name, text in pairs.items()}
    expected[b"name"] = b"/a/c/o"
    assert metadata.encode(value) == pickle.dumps(expected, 2)
    assert metadata.decode(metadata.encode(value)) == value


class TestOtherWriters:
    def test_python_2_with_byte_strings(self):
        # {'X-Object-Meta-Note': '\xc3\xbc', 'name': '/a/c/o\xc3\xbc'} by Python 2, protocol 2.
        blob = b"\x80\x02}q\x00(U\x12X-Object-Meta-Noteq\x01U\x02\xc3\xbcq\x02U\x04nameq\x03U\x08/a/c/o\xc3\xbcq\x04u."
        assert metadata.decode(blob) == Metadata("/a/c/oü", {"x-object-meta-note": "\xc3\xbc"})

    def test_text_keys_and_values(self):
        blob = pickle.dumps({"Content-Type": "a/b", "name": "/a/c/o"}, 2)
        assert metadata.decode(blob) == Metadata("/a/c/o", {"content-type": "a/b"})

    def test_etag_in_either_case(self):
        assert metadata.decode(pickle.dumps({b"Etag": b"x", b"name": b"/a/c/o"}, 2)).headers == {"etag": "x"}

    def test_threat_cve_2012_4406_code_in_a_blob_is_never_run(self):
        class Evil:
            def __reduce__(self):
                return os.system, ("true",)

        with pytest.raises(BadMetadata, match="unreadable"):
            metadata.decode(pickle.dumps({b"name": Evil()}, 2))

    @pytest.mark.parametrize("blob", [b"", b"\x80", V3[:-5], pickle.dumps([1], 2), pickle.dumps({b"a": b"b"}, 2)])
    def test_broken_blobs_are_refused(self, blob):
        with pytest.raises(BadMetadata):
            metadata.decode(blob)


class TestAttributes:
    @pytest.fixture
    def fd(self, tmp_path):
        fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        yield fd
        os.close(fd)

    def test_round_trip(self, fd):
        assert metadata.write(Fs(), fd, V3)
        assert metadata.read(Fs(), fd, lambda _: None) == metadata.decode(V3)
        assert metadata.overflow_checksum(Fs(), fd) is None

    def test_chunks_of_any_size_are_read(self, fd):
        parts = {"swift.metadata": V3[:50], "swift.metadata1": V3[50:100], "swift.metadata2": V3[100:]}
        Fs().set_attributes(fd, parts | {"swift.metadata_checksum": metadata.checksum_of(V3).encode()})
        assert metadata.read(Fs(), fd, lambda _: None) == metadata.decode(V3)

    def test_a_missing_checksum_is_accepted_and_can_be_added(self, fd):
        Fs().set_attributes(fd, {"swift.metadata": V3})
        assert metadata.read(Fs(), fd, lambda _: None) == metadata.decode(V3)
        assert metadata.add_checksum(Fs(), fd)
        assert not metadata.add_checksum(Fs(), fd)
        assert os.getxattr(fd, "user.swift.metadata_checksum").decode() == metadata.checksum_of(V3)

    def test_a_wrong_checksum_is_refused(self, fd):
        Fs().set_attributes(fd, {"swift.metadata": V3, "swift.metadata_checksum": b"0" * 32})
        with pytest.raises(BadMetadata, match="checksum"):
            metadata.read(Fs(), fd, lambda _: None)

    def test_no_attributes_are_refused(self, fd):
        with pytest.raises(BadMetadata):
            metadata.read(Fs(), fd, lambda _: None)
