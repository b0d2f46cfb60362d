"""object/handlers/read.py and object/body.py: verified bodies, ranges, expiry, damage."""

import hashlib
import os
import threading

import pytest

from objstore.runtime import green
from objstore.storage.disk import DiskEngine
from objstore.storage.reader import FileBody
from tests.support.object_server import ObjectNode

PATH = "/sdb1/5/AUTH_a/c/o"
LARGE = os.urandom(9_000_000)
PATIENCE_S = 60.0


@pytest.fixture
def node(tmp_path):
    return ObjectNode(tmp_path)


def data_file(node, path=PATH):
    return next(file for file in node.directory(path).iterdir() if file.suffix == ".data")


def is_quarantined(node, path=PATH):
    return (node.root / "sdb1" / "quarantined" / "objects" / node.address(path).hash_hex).is_dir()


def drop_crc(node):
    """Make the object one that another implementation wrote."""
    from objstore.runtime.fs import Fs
    from objstore.storage import metadata
    from objstore.storage.metadata import Metadata

    fd = os.open(data_file(node), os.O_RDWR)
    found = metadata.read(Fs(), fd, lambda _: None)
    headers = {name: value for name, value in found.headers.items() if "crc32c" not in name}
    metadata.write(Fs(), fd, metadata.encode(Metadata(found.name, headers)))
    os.close(fd)


def flip(offset):
    def damage(path):
        with open(path, "r+b") as file:
            file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))

    return damage


def zeroes(path):
    size = path.stat().st_size
    path.write_bytes(b"\0" * size)


@pytest.mark.parametrize("body", [
    b"", b"x", b"y" * 4096, LARGE[:65536], LARGE[:65537], LARGE[:700_000], LARGE[: 1 << 20], LARGE[: (1 << 20) + 1],
    LARGE,
], ids=lambda body: str(len(body)))  # fmt: skip
@pytest.mark.parametrize("iterate", [False, True], ids=["transfer", "iterate"])
def test_bodies_of_all_sizes(node, body, iterate):
    node.put(PATH, body)
    answer = node.call("GET", PATH, iterate=iterate)
    assert (answer.status, answer.broke, len(answer.body)) == (200, None, len(body))
    assert answer.body == body
    assert answer.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("size", [4096, 700_000])
def test_a_body_that_is_not_cached_is_read_by_a_thread_of_its_device(node, monkeypatch, size):
    node.put(PATH, b"y" * size)
    monkeypatch.setattr(FileBody, "readinto_cached", lambda self, buffer, offset: None)
    assert node.call("GET", PATH).body == b"y" * size


def test_a_read_does_not_wait_behind_the_hashing_of_partitions(tmp_path, monkeypatch):
    node = ObjectNode(tmp_path, threads_per_disk="1")
    node.put(PATH, LARGE)
    may_end = threading.Event()

    def hashes(*_):
        may_end.wait(PATIENCE_S)
        return {}

    monkeypatch.setattr(DiskEngine, "hashes", hashes)
    asked = [green.spawn(node.call, "REPLICATE", f"/sdb1/{number}") for number in range(3)]
    green.sleep(0)
    with green.deadline(PATIENCE_S):
        assert node.call("GET", PATH).body == LARGE
    assert not any(task.is_done for task in asked)
    may_end.set()
    assert [task.join().status for task in asked] == [200] * 3


@pytest.mark.parametrize("damage", [flip(0), flip(2000), flip(-1), zeroes], ids=["first", "middle", "last", "zeroes"])
@pytest.mark.parametrize("by", ["crc", "md5"])
@pytest.mark.parametrize("size", [4096, 65536, 65537, 700_000])
def test_threat_wrong_bytes_a_small_damaged_object_is_never_answered(node, damage, by, size):
    node.put(PATH, b"z" * size)
    if by == "md5":
        drop_crc(node)
    damage(data_file(node))
    answer = node.call("GET", PATH)
    assert answer.status == 404 and "x-backend-timestamp" not in answer.headers
    assert is_quarantined(node)


@pytest.mark.parametrize("size", [5_000, 500_000])
@pytest.mark.parametrize("wanted", ["bytes=0-99", "bytes=1000-", "bytes=0-9,2000-2009"])
def test_threat_wrong_bytes_no_range_of_a_small_damaged_object_is_answered(node, wanted, size):
    node.put(PATH, os.urandom(size))
    flip(-1)(data_file(node))
    answer = node.call("GET", PATH, {"range": wanted})
    assert answer.status == 404
    assert "x-backend-timestamp" not in answer.headers
    assert is_quarantined(node)


@pytest.mark.parametrize("damage", [flip(0), flip(5_000_000), flip(-1)], ids=["first", "middle", "last"])
@pytest.mark.parametrize("by", ["crc", "md5"])
@pytest.mark.parametrize("iterate", [False, True], ids=["transfer", "iterate"])
def test_threat_wrong_bytes_a_large_damaged_object_is_never_completed(node, damage, by, iterate):
    node.put(PATH, LARGE)
    if by == "md5":
        drop_crc(node)
    damage(data_file(node))
    answer = node.call("GET", PATH, iterate=iterate)
    assert answer.status == 200
    assert answer.broke is not None, "the server cuts the connection"
    assert len(answer.body) < len(LARGE)
    assert is_quarantined(node)
    assert node.call("GET", PATH).status == 404


def test_md5_is_checked_only_as_often_as_asked(tmp_path):
    node = ObjectNode(tmp_path, etag_validate_pct="0")
    node.put(PATH, b"z" * 4096)
    drop_crc(node)
    zeroes(data_file(node))
    assert node.call("GET", PATH).status == 200


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"!"], ids=["short", "long"])
def test_a_file_of_the_wrong_size_is_quarantined_by_any_read(node, change):
    node.put(PATH, b"hello")
    file = data_file(node)
    file.write_bytes(change(file.read_bytes()))
    assert node.call("HEAD", PATH).status == 404
    assert is_quarantined(node)


def test_ranges(node):
    node.put(PATH, LARGE)
    for header, expected in (("bytes=0-9", LARGE[:10]), ("bytes=-10", LARGE[-10:]), ("bytes=100-", LARGE[100:])):
        answer = node.call("GET", PATH, {"range": header})
        assert (answer.status, answer.body) == (206, expected)
    answer = node.call("GET", PATH, {"range": "bytes=0-1,5-6"})
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    assert answer.body.count(b"--" + boundary) == 3
    assert len(answer.body) == int(answer.headers["content-length"])
    assert node.call("GET", PATH, {"range": "bytes=9000000-"}).headers["content-range"] == "bytes */9000000"


def test_if_range(node):
    node.put(PATH, b"hello")
    etag = hashlib.md5(b"hello").hexdigest()
    assert node.call("GET", PATH, {"range": "bytes=0-1", "if-range": f'"{etag}"'}).status == 206
    assert node.call("GET", PATH, {"range": "bytes=0-1", "if-range": '"other"'}).status == 200


def test_the_first_named_etag_that_is_there_counts(node):
    node.put(PATH, b"hello", x_object_sysmeta_b="bee")
    names = {"x-backend-etag-is-at": "X-Object-Sysmeta-None, X-Object-Sysmeta-B"}
    assert node.call("GET", PATH, {**names, "if-none-match": "bee"}).status == 304
    assert node.call("GET", PATH, {**names, "if-match": hashlib.md5(b"hello").hexdigest()}).status == 412


class TestExpiry:
    @pytest.fixture
    def expired(self, node):
        node.put(PATH, b"hello", "1795238400.00000", x_delete_at="1795238450")
        node.clock.seconds = 1_795_238_450.0
        return node

    def test_is_not_there_when_its_time_has_come(self, expired):
        for method in ("GET", "HEAD", "POST"):
            answer = expired.call(method, PATH, {"x-timestamp": "1795238460.00000"})
            assert (answer.status, answer.headers["x-backend-timestamp"]) == (404, "1795238400.00000")

    def test_is_there_a_moment_before(self, expired):
        expired.clock.seconds -= 0.00001
        assert expired.call("GET", PATH).status == 200

    @pytest.mark.parametrize("header", ["x-backend-open-expired", "x-backend-replication"])
    def test_can_be_opened_by_those_who_must(self, expired, header):
        assert expired.call("GET", PATH, {header: "true"}).body == b"hello"

    def test_deleting_it_is_404_and_leaves_a_tombstone(self, expired):
        assert expired.call("DELETE", PATH, {"x-timestamp": "1795238460.00000"}).status == 404
        assert [path.suffix for path in expired.directory(PATH).iterdir()] == [".ts"]

    @pytest.mark.parametrize("moment", ["1795238450", "1795238450.00000"], ids=["ours", "swift's"])
    def test_the_expirer_deletes_it_with_its_own_time(self, expired, moment):
        lines = {"x-timestamp": "1795238450.00000", "x-if-delete-at": moment}
        assert expired.call("DELETE", PATH, lines).status == 204


def test_a_post_may_move_the_time(node):
    node.put(PATH, b"hello", "1795238400.00000", x_delete_at="1795238450")
    lines = {"x-timestamp": "1795238401.00000", "x-delete-at": "1795239999"}
    assert node.call("POST", PATH, lines).status == 202
    node.clock.seconds = 1_795_238_451.0
    assert node.call("GET", PATH).headers["x-delete-at"] == "1795239999"


def test_descriptors_are_closed_whatever_happens(node):
    """Ceph CVE-2019-3821: descriptors that leak at every broken answer."""
    node.put(PATH, LARGE)
    node.put("/sdb1/5/AUTH_a/c/small", b"x")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        for headers in ({}, {"range": "bytes=0-1"}, {"range": "bytes=0-1,4-5"}, {"if-match": "x"}):
            node.call("GET", PATH, headers)
            node.call("HEAD", PATH, headers)
        node.call("GET", "/sdb1/5/AUTH_a/c/small")
        node.call("POST", PATH, {"x-timestamp": "1"})
        node.call("DELETE", PATH, {"x-timestamp": "1"})
        node.put(PATH, b"x", "1")
    assert len(os.listdir("/proc/self/fd")) == before


def test_replicate(node):
    from objstore.core import pickles

    node.put(PATH, b"hello")
    suffix = node.address(PATH).suffix
    answer = node.call("REPLICATE", "/sdb1/5")
    assert pickles.loads(answer.body) == {suffix: hashlib.md5(b"1795238400.00000.data").hexdigest()}
    assert pickles.loads(node.call("REPLICATE", f"/sdb1/5/{suffix}-fff").body) is None
    assert pickles.loads(node.call("REPLICATE", "/sdb1/6").body) == {}
    assert pickles.loads(node.call("REPLICATE", "/sdb1/abc").body) == {}
    assert node.call("REPLICATE", "/sdz/5").status == 507
    assert node.call("REPLICATE", "/sdb1/5", {"x-backend-storage-policy-index": "9"}).status == 503


def test_a_replication_server_serves_nothing_else(tmp_path):
    only = ObjectNode(tmp_path, replication_server="yes")
    assert only.call("GET", PATH).status == 405
    assert only.call("REPLICATE", "/sdb1/5").status == 200
    none = ObjectNode(tmp_path, replication_server="no")
    assert none.call("REPLICATE", "/sdb1/5").status == 405
