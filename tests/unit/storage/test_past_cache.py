"""storage/writer.py: bodies that go to the disk past the page cache are the bytes that came."""

import mmap
import os

from objstore.runtime.fs import Fs
from objstore.storage.writer import WriteSettings
from tests.support.objects import make_address, make_disk_engine, ts

ADDRESS = make_address()
PAGE = 4096


def aligned(data):
    block = memoryview(mmap.mmap(-1, max(len(data), PAGE)))
    block[: len(data)] = data
    return block[: len(data)]


class CountingFs(Fs):
    def __init__(self):
        super().__init__()
        self.past_cache = 0

    def write_past_cache(self, fd, data):
        count = super().write_past_cache(fd, data)
        self.past_cache += count
        return count


def store(tmp_path, pieces):
    fs = CountingFs()
    engine = make_disk_engine(tmp_path, fs=fs, settings=WriteSettings(past_cache_from_bytes=PAGE))
    with engine.create(ADDRESS, sum(map(len, pieces))) as writer:
        for piece in pieces:
            writer.write(piece)
        writer.commit(ts(1_700_000_000.0), {"content-type": "text/plain", "etag": "0" * 32})
    with engine.open(ADDRESS) as stored:
        assert stored.body.pread(1 << 20, 0) == b"".join(pieces)
        assert stored.body.crc32c() == stored.crc32c
    return fs.past_cache


def test_blocks_and_an_odd_end(tmp_path):
    pieces = [aligned(os.urandom(4 * PAGE)), aligned(os.urandom(4 * PAGE)), aligned(os.urandom(100))]
    # 0: this file system has no O_DIRECT. All of it: tmpfs wants nothing of how bytes lie.
    assert store(tmp_path, pieces) in (0, 8 * PAGE, 8 * PAGE + 100)


def test_what_does_not_lie_as_the_disk_wants_it(tmp_path):
    whole = aligned(os.urandom(8 * PAGE))
    pieces = [whole[1 : 4 * PAGE], whole[4 * PAGE :], whole[: 4 * PAGE]]
    assert store(tmp_path, pieces) in (0, sum(map(len, pieces)))  # All of it: tmpfs wants nothing of how bytes lie.
