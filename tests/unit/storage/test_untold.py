"""storage/untold.py: what a mark says while its process lives, after a kill, and after a power cut."""

import os

import pytest

from objstore.runtime.fs import Fs
from objstore.storage.layout import DeviceLayout
from objstore.storage.untold import MARGIN_NS, abandoned, has_abandoned, make_mark, unsafe_since

AT_NS = 1_700_000_000_000_000_000


@pytest.fixture
def layout(tmp_path):
    return DeviceLayout(str(tmp_path))


def left(layout, boot="boot"):
    return [mark.since_ns for mark in abandoned(Fs(), layout, boot)]


def test_a_device_that_nobody_changes_has_nothing_to_tell(layout):
    assert unsafe_since(Fs(), layout, "boot") is None
    assert not has_abandoned(Fs(), layout, "boot")


def test_a_change_that_is_open_makes_names_unsafe_and_is_nobody_elses(layout):
    mark = make_mark(Fs(), layout, AT_NS, "boot")
    assert unsafe_since(Fs(), layout, "boot") == AT_NS - MARGIN_NS
    assert left(layout) == []
    mark.abandon()


def test_an_idle_process_makes_nothing_unsafe(layout):
    mark = make_mark(Fs(), layout, AT_NS, "boot")
    mark.set(AT_NS + 5, True)
    assert unsafe_since(Fs(), layout, "boot") is None
    mark.abandon()
    assert left(layout) == [None]


@pytest.mark.parametrize("is_idle", [False, True])
def test_of_an_earlier_run_of_the_machine_only_the_time_is_believed(layout, is_idle):
    mark = make_mark(Fs(), layout, AT_NS, "boot")
    mark.set(AT_NS + 5, is_idle)
    mark.abandon()
    assert left(layout, "next boot") == [AT_NS + 5 - MARGIN_NS]
    assert unsafe_since(Fs(), layout, "next boot") == AT_NS + 5 - MARGIN_NS


def test_the_oldest_of_several_marks_counts(layout):
    marks = [make_mark(Fs(), layout, AT_NS + number, "boot") for number in (7, 3, 9)]
    assert unsafe_since(Fs(), layout, "boot") == AT_NS + 3 - MARGIN_NS
    for mark in marks:
        mark.abandon()
    assert sorted(left(layout)) == [AT_NS + number - MARGIN_NS for number in (3, 7, 9)]


@pytest.mark.parametrize("content", [b"", b"short", b"12345678"])
def test_a_mark_that_cannot_be_understood_counts_since_its_file_was_changed(layout, content):
    make_mark(Fs(), layout, AT_NS, "boot").abandon()
    (name,) = os.listdir(layout.untold())
    path = f"{layout.untold()}/{name}"
    with open(path, "wb") as file:
        file.write(content)
    assert left(layout) == [os.stat(path).st_ctime_ns - MARGIN_NS]


def test_a_mark_knows_when_its_disk_was_replaced(layout):
    mark = make_mark(Fs(), layout, AT_NS, "boot")
    assert mark.is_in_place()
    os.rename(layout.untold(), f"{layout.untold()}.old")
    assert not mark.is_in_place()
    mark.abandon()


def test_a_mark_is_held_before_it_can_be_found(layout):
    class Looking(Fs):
        def rename(self, source, target):
            super().rename(source, target)
            assert not has_abandoned(Fs(), layout, "boot")

    make_mark(Looking(), layout, AT_NS, "boot").abandon()
    assert has_abandoned(Fs(), layout, "boot")
