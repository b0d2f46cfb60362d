"""Files on both ends: client/tree.py (where uploads come from), landing.py and stretch.py (where downloads go)."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.client.errors import ClientError
from objstore.client.landing import Landing
from objstore.client.large import Piece
from objstore.client.stretch import AT_ONCE_MAX, Damaged, Stretch, grouped
from objstore.client.tree import LeftOut, LocalFile, walk


def never():
    pass


def relatives(root, **options):
    return [item.relative for item in walk(str(root), **options) if isinstance(item, LocalFile)]


# Where uploads come from


def test_files_come_in_the_order_of_their_names_as_objects(tmp_path):
    for name in ("a/z", "a-b", "a.b", "a0", "b/c/d", "b/c-d", "ü/x", "Z"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    found = relatives(tmp_path)
    assert found == sorted(found) and len(found) == 8


def test_what_is_no_regular_file_is_left_out_with_a_reason(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / ".objstore-0123456789abcdef-0123.part").write_bytes(b"half")
    found = {os.path.basename(item.path): (item.why, item.is_error) for item in walk(str(tmp_path))}
    assert found == {
        "pipe": ("no regular file", False),
        "link": ("a symbolic link", False),
        "broken": ("a symbolic link", False),
        ".objstore-0123456789abcdef-0123.part": ("of a download that was cut off", False),
    }


def test_links_that_are_followed_end_where_they_go_round(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "up").symlink_to(tmp_path)
    (tmp_path / "d" / "f").write_bytes(b"")
    (tmp_path / "broken").symlink_to("nowhere")
    items = list(walk(str(tmp_path), follows_links=True))
    assert [item.relative for item in items if isinstance(item, LocalFile)] == ["d/f"]
    assert sorted(item.is_error for item in items if isinstance(item, LeftOut)) == [False, True]


def test_a_name_that_is_no_text_is_an_error(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff", "wb"):
        pass
    (item,) = walk(str(tmp_path))
    assert isinstance(item, LeftOut) and item.is_error and "UTF-8" in item.why


# Where downloads land


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path):
    landing = Landing(str(tmp_path / "new"))
    with landing.part(("a", "b"), "e" * 32) as part:
        part.write(b"half", 0)
    (left,) = (tmp_path / "new" / "a").iterdir()
    assert left.name.startswith(".objstore-") and left.name.endswith(".part")
    with landing.part(("a", "b"), "e" * 32) as part:
        assert part.size_bytes == 4
        part.write(b" whole", 4)
        part.commit(10, 1_000_000_000)
    assert (tmp_path / "new" / "a" / "b").read_bytes() == b"half whole"
    assert [path.name for path in (tmp_path / "new" / "a").iterdir()] == ["b"]


def test_another_version_does_not_take_the_bytes_of_the_first(tmp_path):
    landing = Landing(str(tmp_path))
    with landing.part(("f",), "one") as part:
        part.write(b"first", 0)
    with landing.part(("f",), "two") as part:
        assert part.size_bytes == 0


def test_two_copies_to_one_file_do_not_mix(tmp_path):
    landing = Landing(str(tmp_path))
    with landing.part(("f",), "e"), pytest.raises(ClientError, match="another copy"), landing.part(("f",), "e"):
        pass


def test_path_tricks_links_are_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "dir").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "file").write_bytes(b"")
    landing = Landing(str(tmp_path / "in"))
    for parts in (("dir", "f"), ("file", "f")):
        with pytest.raises(OSError, match="where a directory is needed"), landing.part(parts, "e"):
            pass
    (tmp_path / "in" / "place").mkdir()
    with pytest.raises(OSError, match="where the file is to go"), landing.part(("place",), "e"):
        pass
    with landing.existing(("dir", "f")) as descriptor:
        assert descriptor is None
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("etag", ["../../x", "a/b", "", "x" * 300, "\0"])
def test_path_tricks_of_an_etag(tmp_path, etag):
    with Landing(str(tmp_path)).part(("f",), etag) as part:
        part.write(b"x", 0)
        part.commit(1, None)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


# What comes over the network


def pieces_of(parts):
    found, start = [], 0
    for part in parts:
        found.append(Piece(start, len(part), hashlib.md5(part).hexdigest()))
        start += len(part)
    return found


contents = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6)


@given(contents, st.lists(st.integers(1, 30)))
def test_pieces_are_checked_however_they_come(parts, sizes):
    body = b"".join(parts)
    stretch = Stretch(pieces_of(parts))
    for size in [*sizes, len(body)]:
        if not stretch.left_bytes:
            break
        stretch.feed(body[stretch.position : stretch.position + size])
    stretch.feed(body[stretch.position :])
    assert stretch.left_bytes == 0


@given(contents, st.data())
def test_one_wrong_byte_is_noticed(parts, data):
    body = bytearray(b"".join(parts))
    body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Damaged):
        Stretch(pieces_of(parts)).feed(bytes(body))


def test_more_than_was_asked_for_is_noticed():
    with pytest.raises(Damaged, match="more bytes"):
        Stretch(pieces_of([b"abc"])).feed(b"abcd")


@pytest.mark.parametrize(
    ("left", "goes_on_at"),
    [(b"", 0), (b"abc", 0), (b"abcdef", 6), (b"abcdefgh", 6), (b"XXcdefghi", 0), (b"abcdefXXX", 6), (b"abcdefghi", 9)],
)
def test_segments_that_are_there_are_not_fetched_again(tmp_path, left, goes_on_at):
    with Landing(str(tmp_path)).part(("f",), "e") as part:
        part.write(left, 0)
        stretch = Stretch(pieces_of([b"abcdef", b"ghi"]))
        stretch.take_up(part, never)
        assert stretch.position == goes_on_at


def test_one_piece_goes_on_after_what_is_there(tmp_path):
    with Landing(str(tmp_path)).part(("f",), "e") as part:
        part.write(b"abc", 0)
        stretch = Stretch(pieces_of([b"abcdef"]))
        stretch.take_up(part, never)
        stretch.feed(b"def")
        part.restart()
        part.write(b"abX", 0)
        stretch = Stretch(pieces_of([b"abcdef"]))
        stretch.take_up(part, never)
        with pytest.raises(Damaged):
            stretch.feed(b"def")


def test_small_segments_are_asked_for_together():
    parts = [Piece(number * 10, 10) for number in range(5)] + [Piece(50, 0), Piece(50, AT_ONCE_MAX), Piece(99, 1)]
    assert [len(group) for group in grouped(parts)] == [5, 1, 1]
