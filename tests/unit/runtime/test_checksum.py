"""CRC32C is the same number whatever holds the bytes, and however they are cut."""

import mmap
import os

import pytest

from objstore.runtime import checksum
from objstore.runtime.checksum import EMPTY, crc32c, crc_text

LARGE = os.urandom(300_001)


def mapped(data):
    block = mmap.mmap(-1, len(data))
    block[:] = data
    return memoryview(block)


def test_check_value_of_the_polynomial():
    assert crc_text(crc32c(b"123456789")) == "e3069283"


@pytest.mark.parametrize(
    "holder",
    [bytearray, memoryview, mapped, lambda data: memoryview(bytearray(data))],
    ids=["bytearray", "read-only view", "mapped memory", "view"],
)
@pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=["empty", "short", "large"])
def test_is_that_of_the_bytes(holder, data):
    if holder is mapped and not data:
        pytest.skip("nothing cannot be mapped")
    assert crc32c(holder(data)) == crc32c(data)


@pytest.mark.parametrize("cut", [0, 1, 65_535, 65_536, 150_000, len(LARGE)])
def test_goes_on_where_it_stopped(cut):
    view = memoryview(bytearray(LARGE))
    assert crc32c(view[cut:], crc32c(view[:cut])) == crc32c(LARGE)


def test_copies_where_the_library_cannot_be_reached(monkeypatch):
    monkeypatch.setattr(checksum, "_extend_by_address", None)
    assert crc32c(bytearray(LARGE), EMPTY) == crc32c(LARGE)
