"""middleware/segments: pieces fetched ahead, in order, and nothing left behind."""

import pytest

from objstore.core.ranges import Span
from objstore.http.subrequest import SubResponse
from objstore.middleware.segments.body import AHEAD_COUNT, Pace, SegmentBody
from objstore.middleware.segments.collection import Collection
from objstore.middleware.segments.piece import Piece, SegmentFailed
from objstore.runtime import green


class Opened:
    """The body of a piece; counts who is open."""

    def __init__(self, library, data):
        self.library, self.data = library, data
        library.open_count += 1

    def __iter__(self):
        for start in range(0, len(self.data), 3):
            yield self.data[start : start + 3]

    def close(self):
        self.library.open_count -= 1


class Library:
    """Pieces named by number: 10 bytes of that number each, unless `missing`."""

    def __init__(self, missing=(), size=10):
        self.missing, self.size = missing, size
        self.open_count, self.asked, self.most = 0, [], 0

    collection = None

    def parts(self, count):
        for index in range(count):
            yield Piece(str(index), "e", self.size, Span(0, self.size))

    def open(self, piece):
        self.asked.append(int(piece.path))
        green.sleep(0)
        if int(piece.path) in self.missing:
            raise SegmentFailed(piece.path, "missing")
        opened = Opened(self, bytes([int(piece.path)]) * self.size)
        self.most = max(self.most, self.open_count)
        return SubResponse("200 OK", [], opened)


class Sink:
    def __init__(self):
        self.data = b""

    def send(self, data):
        self.data += data


def expected(count, size=10):
    return b"".join(bytes([index]) * size for index in range(count))


def drained(body, way):
    """All of a body that has begun, by iteration or as the server takes it; it is closed then."""
    sink = Sink()
    if way == "transfer":
        body.transfer(sink)
    else:
        sink.data = b"".join(body)
    body.close()
    return sink.data


@pytest.mark.parametrize("way", ["iterate", "transfer"])
def test_pieces_and_bytes_are_joined_in_order(way):
    library = Library()
    body = SegmentBody(iter([b"head", *library.parts(20), b"tail"]), library)
    body.begin()
    data = drained(body, way)
    assert data == b"head" + expected(20) + b"tail"
    assert library.open_count == 0 and library.most <= AHEAD_COUNT + 1


def test_small_pieces_are_fetched_ahead_and_not_too_far():
    library = Library()
    body = SegmentBody(library.parts(50), library)
    body.begin()
    pieces = iter(body)
    next(pieces)
    green.sleep(0)
    green.sleep(0)
    assert 1 < len(library.asked) <= AHEAD_COUNT + 1
    body.close()


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_cve_2016_0737_a_client_that_leaves_leaves_nothing_open(taken):
    library = Library()
    body = SegmentBody(library.parts(50), library)
    body.begin()
    pieces = iter(body)
    for _ in range(taken):
        next(pieces)
    body.close()
    green.sleep(0)
    assert library.open_count == 0
    assert len(library.asked) <= taken + AHEAD_COUNT + 1


def test_a_body_that_nobody_ever_reads_leaves_nothing_open():
    library = Library()
    body = SegmentBody(library.parts(50), library)
    body.begin()
    body.close()
    green.sleep(0)
    assert library.open_count == 0


def test_a_failure_near_the_start_is_known_before_it():
    library = Library(missing={2})
    with pytest.raises(SegmentFailed):
        SegmentBody(library.parts(5), library).begin()
    green.sleep(0)
    assert library.open_count == 0


def test_a_failure_later_on_ends_the_body_where_it_is():
    library = Library(missing={3}, size=40_000)
    body = SegmentBody(library.parts(6), library)
    body.begin()
    got = b""
    with pytest.raises(SegmentFailed):
        for piece in body:
            got += piece
    body.close()
    green.sleep(0)
    assert got == expected(3, 40_000) and library.open_count == 0


def test_small_segments_are_paced_after_the_first_few(monkeypatch):
    slept = []
    monkeypatch.setattr(green, "monotonic", lambda: 100.0)
    monkeypatch.setattr(green, "sleep", slept.append)
    pace = Pace(100, 2, 4)
    for size in (10, 10, 10, 10, 200, 10):
        pace.wait(Piece("p", "e", size, Span(0, size)))
    assert slept == [0.25, 0.5]


class Collecting:
    """A SmallObjectService over a library that does not have those it `lacks`."""

    most, most_bytes = 4, 100

    def __init__(self, library, lacks=()):
        self.library, self.lacks = library, lacks
        self.asked = []

    def collect(self, environ, objects, *, source):
        self.asked.append([int(each.path) for each in objects])
        green.sleep(0)
        return [
            None if int(each.path) in self.lacks else memoryview(bytes([int(each.path)]) * each.size)
            for each in objects
        ]


def collecting(library, lacks=()):
    service = Collecting(library, lacks)
    library.collection = Collection(service, {}, "T")
    return service


@pytest.mark.parametrize("way", ["iterate", "transfer"])
@pytest.mark.parametrize("lacks", [(), (1,), (4, 5, 6), tuple(range(30))])
def test_pieces_are_collected_and_what_is_lacking_is_opened(way, lacks):
    library = Library()
    service = collecting(library, lacks)
    body = SegmentBody(iter([*library.parts(10), b"middle", *library.parts(10)]), library)
    body.begin()
    data = drained(body, way)
    assert data == expected(10) + b"middle" + expected(10)
    assert service.asked[0] == [0, 1, 2, 3] and library.open_count == 0
    assert set(lacks) & set(range(4)) <= set(library.asked)


def test_collections_end_with_one_that_finds_nothing():
    library = Library()
    service = collecting(library, range(50))
    body = SegmentBody(library.parts(50), library)
    body.begin()
    assert b"".join(body) == expected(50)
    body.close()
    assert len(service.asked) <= 2


def test_large_parts_and_halves_are_not_collected():
    library = Library()
    service = collecting(library)
    parts = [Piece("1", "e", 10, Span(0, 5)), Piece("2", "e", 101, Span(0, 101)), Piece("3", "e", 10, Span(0, 10))]
    body = SegmentBody(iter(parts), library)
    body.begin()
    b"".join(body)
    body.close()
    assert not service.asked and library.asked == [1, 2, 3]


def test_one_that_is_missing_in_a_collection_ends_the_body_before_it():
    library = Library(missing={3}, size=90)
    collecting(library, lacks={3})
    body = SegmentBody(iter([b"x" * 70_000, *library.parts(8)]), library)
    body.begin()
    got = b""
    with pytest.raises(SegmentFailed):
        for piece in body:
            got += piece
    body.close()
    green.sleep(0)
    assert got == b"x" * 70_000 + expected(3, 90) and library.open_count == 0


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_cve_2016_0738_who_leaves_a_collection_leaves_nothing_open(taken):
    library = Library()
    service = collecting(library, lacks=range(1, 50, 2))
    body = SegmentBody(library.parts(50), library)
    body.begin()
    pieces = iter(body)
    for _ in range(taken):
        next(pieces)
    body.close()
    green.sleep(0)
    assert library.open_count == 0 and len(service.asked) <= 4
