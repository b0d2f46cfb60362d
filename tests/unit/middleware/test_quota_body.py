"""Bodies of unknown length in front of a quota."""

import pytest

from objstore.core.errors import BodyTooLarge
from objstore.middleware.quota_body import QuotaBody
from tests.support.wsgi import MemoryBody


def all_of(body, how):
    found = bytearray()
    while True:
        if how == "readinto":
            block = bytearray(3)
            piece = bytes(block[: body.readinto(memoryview(block))])
        else:
            piece = getattr(body, how)(3)
        if not piece:
            return bytes(found)
        found += piece


class Body(MemoryBody):
    def read_some(self, size):
        return self.read(size)

    def readline(self, limit=-1):
        return self._file.readline(limit)


@pytest.mark.parametrize("how", ["read", "read_some", "readline", "readinto"])
@pytest.mark.parametrize("size", [0, 1, 9, 10])
def test_what_fits_passes_unchanged(how, size):
    data = (b"abc\ndef\n" * 2)[:size]
    assert all_of(QuotaBody(Body(data), 10), how) == data


@pytest.mark.parametrize("how", ["read", "read_some", "readline", "readinto"])
@pytest.mark.parametrize(("left", "size"), [(10, 11), (0, 1), (10, 5000)])
def test_more_than_is_left_is_refused(how, left, size):
    with pytest.raises(BodyTooLarge):
        all_of(QuotaBody(Body(b"x" * size), left), how)


def test_reading_all_of_it_takes_no_more_memory_than_is_left():
    class Endless(Body):
        def read(self, size=-1):
            assert 0 <= size <= 11
            return b"x" * size

    with pytest.raises(BodyTooLarge):
        QuotaBody(Endless(b""), 10).read()
