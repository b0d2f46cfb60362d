import os
import pickle
from dataclasses import replace

import pytest

from objstore.core import pickles
from objstore.runtime.fs import Fs
from objstore.storage import pending
from objstore.storage.layout import DeviceLayout
from objstore.storage.pending import DeferredUpdate, decode, encode
from objstore.storage.pending_walk import windows
from tests.support.objects import SECRETS, ts

UPDATE = DeferredUpdate("PUT", "AUTH_a", "c", "o ü", {"x-timestamp": ts(1.5).internal, "x-size": "3"}, "unsharded")


@pytest.fixture
def layout(tmp_path):
    return DeviceLayout(str(tmp_path))


def keep(layout, name="o", at=1.5, update=UPDATE, policy_index=0):
    return pending.keep(Fs(), layout, policy_index, SECRETS.hash_path("AUTH_a", "c", name), ts(at), update)


def stored(at):
    """The row of an object whose data is of that time."""
    return replace(UPDATE, headers={**UPDATE.headers, "x-timestamp": ts(at).internal})


def test_what_was_kept_is_found(layout):
    path = keep(layout)
    (window,) = windows(layout.pending(0))
    assert [(item.path, item.timestamp, item.update) for item in window.waiting] == [(path, ts(1.5), UPDATE)]
    assert (window.superseded, window.corrupt, window.empty) == ([], [], [])


def test_a_post_does_not_supersede_a_put_that_came_in_between(layout):
    """Its row tells of older data: without that of the PUT, the listing would never show what is stored."""
    post = keep(layout, at=4.0, update=stored(1.0))
    put = keep(layout, at=3.0, update=stored(3.0))
    older = keep(layout, at=2.0, update=stored(2.0))
    (window,) = windows(layout.pending(0))
    assert sorted(item.path for item in window.waiting) == sorted([post, put])
    assert window.superseded == [older]


def test_what_cannot_be_read_supersedes_nothing(layout):
    broken, older = keep(layout, at=2.0), keep(layout, at=1.0, update=stored(1.0))
    with open(broken, "wb") as file:
        file.write(b"")
    (window,) = windows(layout.pending(0))
    assert [item.path for item in window.waiting] == [older]
    assert [item.path for item in window.corrupt] == [broken]


def test_only_the_newest_of_a_hash_is_read(layout):
    paths = [keep(layout, at=at, update=stored(at)) for at in (3.0, 1.0, 2.0)]
    for path in paths[1:]:
        with open(path, "wb") as file:
            file.write(b"would be corrupt if anybody read it")
    (window,) = windows(layout.pending(0))
    assert [item.path for item in window.waiting] == paths[:1]
    assert sorted(window.superseded) == sorted(paths[1:])
    assert window.corrupt == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"op": "PUT"}),
        b"cos\nsystem\n(S'true'\ntR.",
        b"x" * ((1 << 20) + 1),
    ],
    ids=["empty", "text", "list", "short", "unsafe", "huge"],
)
def test_what_is_no_update_is_corrupt_and_the_others_are_found(layout, content):
    broken = keep(layout, "broken")
    good = keep(layout, "good")
    with open(broken, "wb") as file:
        file.write(content)
    found = list(windows(layout.pending(0)))
    assert [item.path for window in found for item in window.corrupt] == [broken]
    assert [item.path for window in found for item in window.waiting] == [good]


@pytest.mark.parametrize("kind", ["link", "directory", "pipe"])
def test_what_is_no_file_is_corrupt_and_the_others_are_found(layout, tmp_path, kind):
    broken, good = keep(layout, "broken"), keep(layout, "good")
    os.unlink(broken)
    {"link": lambda: os.symlink("/etc/passwd", broken), "directory": lambda: os.mkdir(broken),
     "pipe": lambda: os.mkfifo(broken)}[kind]()  # fmt: skip
    found = list(windows(layout.pending(0)))
    assert [item.path for window in found for item in window.corrupt] == [broken]
    assert [item.path for window in found for item in window.waiting] == [good]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("op", "POST"),
        ("op", "PUT /x HTTP/1.1\r\n"),
        ("account", "a/b"),
        ("container", ""),
        ("container_path", "x"),
        ("container_path", "a/b/../c"),
        ("container_path", 7),
        ("headers", {"X-Size": "1\r\nX-Evil: yes"}),
        ("successes", ["x"]),
    ],
)
def test_an_update_that_makes_no_sense_is_refused(key, value):
    content = pickles.dumps({**pickles.loads(encode(UPDATE), encoding="utf-8"), key: value})
    with pytest.raises(ValueError):
        decode(content)


def test_what_the_updater_adds_is_kept():
    update = DeferredUpdate("DELETE", "a", "c", "o", {"x-timestamp": "1"}, None, ".shards_a/c-1", (0, 3), (".s/x",))
    assert decode(encode(update)) == update


def test_foreign_names_stay_and_are_no_news(layout):
    directory = layout.pending(0)
    path = keep(layout)
    stray = path.rpartition("/")[0] + "/.tmp123"
    for name in (stray, f"{path}-x"):
        with open(name, "wb"):
            pass
    Fs().make_directories(f"{directory}/notasuffix")
    (window,) = windows(directory)
    assert [item.path for item in window.waiting] == [path]
    assert window.corrupt == []


def test_empty_directories_are_told(layout):
    Fs().make_directories(f"{layout.pending(1)}/abc")
    (window,) = windows(layout.pending(1))
    assert window.empty == [f"{layout.pending(1)}/abc"]


def test_without_a_directory_there_is_nothing(layout):
    assert list(windows(layout.pending(0))) == []


def test_a_row_is_kept_although_its_directory_vanishes_meanwhile(layout):
    class Vanishing(Fs):
        def rename(self, source, target):
            directory = target.rpartition("/")[0]
            if not self.is_over:
                self.is_over = True
                self.remove_directory(directory)
            super().rename(source, target)

        is_over = False

    digest = SECRETS.hash_path("AUTH_a", "c", "o")
    path = pending.keep(Vanishing(), layout, 0, digest, ts(1), UPDATE)
    with open(path, "rb") as file:
        assert decode(file.read()) == UPDATE


def test_rewriting_replaces_the_file_whole(layout):
    path = keep(layout)
    changed = DeferredUpdate("PUT", "AUTH_a", "c", "o ü", UPDATE.headers, "unsharded", None, (2,))
    pending.rewrite(Fs(), layout, 0, path, changed)
    (window,) = windows(layout.pending(0))
    assert window.waiting[0].update == changed
