"""objstore-object-info: what it says of a whole file, and of one that was damaged or lies in the wrong place."""

import io
import json
import os
import shutil
from pathlib import Path

import pytest

from objstore.cli.object_info import main
from tests.support.objects import MD5_OF_HELLO, directory_of, make_address, make_disk_engine, names_of, put, ts

RINGS = Path(__file__).parents[2] / "vectors" / "rings"
ADDRESS = make_address("o o")
SWIFT_CONF = "[swift-hash]\nswift_hash_path_prefix = vector-prefix\nswift_hash_path_suffix = vector-suffix\n"


@pytest.fixture
def data(tmp_path):
    put(
        make_disk_engine(tmp_path),
        ADDRESS,
        x_object_meta_colour="bl\xc3\xbc",
        x_object_sysmeta_a="1",
        content_encoding="x",
    )
    (name,) = names_of(tmp_path, ADDRESS)
    return directory_of(tmp_path, ADDRESS) / name


@pytest.fixture
def swift_dir(tmp_path):
    (tmp_path / "swift").mkdir()
    shutil.copy(RINGS / "four-devices.ring.gz", tmp_path / "swift" / "object.ring.gz")
    (tmp_path / "swift" / "swift.conf").write_text(SWIFT_CONF)
    return tmp_path / "swift"


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    code = main([str(word) for word in words], stdout=out, stderr=err, environ={})
    return code, out.getvalue(), err.getvalue()


def test_a_whole_file(data):
    code, output, _ = run(data, "--json")
    found = json.loads(output)
    assert (code, found["name"], found["etag"], found["body_md5"]) == (0, "/AUTH_v/c/o o", MD5_OF_HELLO, MD5_OF_HELLO)
    assert found["metadata"]["user"] == {"colour": "bl\N{LATIN SMALL LETTER U WITH DIAERESIS}"}
    assert found["metadata"]["system"]["a"] == "1"
    assert found["metadata"]["other"] == {"content-encoding": "x"}
    assert found["problems"] == []


def test_for_a_person(data):
    code, output, _ = run(data)
    assert code == 0
    assert "  Object       o o\n" in output and "  colour: bl\N{LATIN SMALL LETTER U WITH DIAERESIS}\n" in output
    assert "2023-11-14T22:13:20" in output, "times can be read"


def test_a_tombstone_and_a_post(tmp_path, data):
    engine = make_disk_engine(tmp_path)
    engine.post(ADDRESS, ts(1_799_999_990.0), {"x-object-meta-colour": "red"}, None)
    (meta,) = (name for name in names_of(tmp_path, ADDRESS) if name.endswith(".meta"))
    assert json.loads(run(data.parent / meta, "--json")[1])["metadata"]["user"] == {"colour": "red"}
    engine.delete(ADDRESS, ts(1_799_999_991.0))
    (tombstone,) = names_of(tmp_path, ADDRESS)
    code, output, _ = run(data.parent / tombstone, "--json")
    assert (code, json.loads(output)["name"], json.loads(output)["body_md5"]) == (0, "/AUTH_v/c/o o", None)


@pytest.mark.parametrize(
    "body, options, code, complaints",
    [
        (b"hellO", [], 1, ["the MD5 of its body is"]),
        (b"hellO", ["-n"], 0, []),
        (b"hell", [], 1, ["it holds 4 bytes, its metadata says 5", "the MD5 of its body is"]),
        (b"", ["-n"], 1, ["it holds 0 bytes"]),
    ],
    ids=["flipped", "flipped, not read", "cut", "empty"],
)
def test_a_damaged_body(data, body, options, code, complaints):
    with open(data, "r+b") as file:
        file.truncate(0)
        file.write(body)
    found, _, error = run(data, *options)
    assert (found, len(error.splitlines())) == (code, len(complaints)), error
    assert all(complaint in error for complaint in complaints)


def test_a_file_in_the_wrong_partition_and_directory(data, swift_dir):
    code, output, error = run(data, "-d", swift_dir, "--json")
    found = json.loads(output)
    assert (found["hash"], found["policy_index"]) == (ADDRESS.hash_hex, 0)
    assert len(found["primaries"]) == 3
    wrong = found["partition"] != 5
    assert (code, f"it belongs into partition {found['partition']}" in error) == (int(wrong), wrong)
    moved = data.parents[2] / "abc" / ("0" * 32)
    shutil.copytree(data.parent, moved)
    assert f"its name hashes to {ADDRESS.hash_hex}" in run(moved / data.name, "-d", swift_dir)[2]


def test_what_cannot_be_read_it_names(tmp_path, data):
    assert run(tmp_path / "none.data")[0] == 78
    os.removexattr(data, "user.swift.metadata")
    code, _, error = run(data)
    assert (code, "no metadata attribute" in error) == (78, True)
