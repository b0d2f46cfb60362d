"""Groups of rows: who writes for whom, and what becomes of a group whose writer ends early."""

import pytest

from objstore.db.appends import BATCH_RECORDS_MAX, AppendGroups
from objstore.runtime import green


class Disk:
    """Takes records when it is let go; fails as it is told."""

    def __init__(self):
        self.written = []
        self.begun = []
        self.gate = green.Queue()

    def write(self, key, records):
        self.begun.append(list(records))
        error = self.gate.get()
        if error is not None:
            raise error
        self.written.append(list(records))

    def go_on(self, error=None):
        self.gate.put(error)
        let_run()


def let_run():
    for _ in range(4):
        green.sleep(0)


def start(groups, first, *names):
    """The first is being written, or waits in line, when the others come."""
    tasks = [green.spawn(groups.append, "db", [first])]
    let_run()
    tasks += [green.spawn(groups.append, "db", [name]) for name in names]
    let_run()
    return tasks


def test_rows_that_come_in_one_turn_of_the_hub_are_written_together():
    disk = Disk()
    groups = AppendGroups(disk.write)
    tasks = [green.spawn(groups.append, "db", [name]) for name in (b"a", b"b")]
    let_run()
    disk.go_on()
    for task in tasks:
        task.join()
    assert disk.written == [[b"a", b"b"]]


def test_first_that_is_killed_before_it_writes_leaves_the_group_to_the_next():
    disk = Disk()
    groups = AppendGroups(disk.write)
    first = green.spawn(groups.append, "db", [b"a"])
    second = green.spawn(groups.append, "db", [b"b"])
    green.spawn(first.kill)
    let_run()
    disk.go_on()
    second.join()
    assert disk.written == [[b"b"]]


def test_lone_row_is_written_at_once_and_those_behind_it_together():
    disk = Disk()
    groups = AppendGroups(disk.write)
    tasks = start(groups, b"a", b"b", b"c")
    disk.go_on()
    disk.go_on()
    for task in tasks:
        task.join()
    assert disk.written == [[b"a"], [b"b", b"c"]]


def test_databases_do_not_wait_for_each_other():
    disk = Disk()
    groups = AppendGroups(disk.write)
    tasks = [green.spawn(groups.append, key, [key]) for key in (b"one", b"two")]
    let_run()
    assert disk.begun == [[b"one"], [b"two"]]
    disk.go_on()
    disk.go_on()
    for task in tasks:
        task.join()


def test_whole_group_hears_of_a_failure_and_the_next_one_fares_better():
    disk = Disk()
    groups = AppendGroups(disk.write)
    first, second, third = start(groups, b"a", b"b", b"c")
    disk.go_on()
    (fourth,) = start(groups, b"d")
    disk.go_on(OSError("full"))
    disk.go_on()
    first.join()
    fourth.join()
    for task in (second, third):
        with pytest.raises(OSError, match="full"):
            task.join()
    assert disk.written == [[b"a"], [b"d"]]


def test_group_of_a_writer_that_is_killed_is_written_by_the_next():
    disk = Disk()
    groups = AppendGroups(disk.write)
    first, second, third, fourth = start(groups, b"a", b"b", b"c", b"d")
    disk.go_on()
    second.kill()
    disk.go_on()
    for task in (first, third, fourth):
        task.join()
    assert disk.written == [[b"a"], [b"c", b"d"]]


def test_killed_waiters_are_not_waited_for():
    disk = Disk()
    groups = AppendGroups(disk.write)
    first, second, third = start(groups, b"a", b"b", b"c")
    second.kill()
    third.kill()
    disk.go_on()
    first.join()
    (again,) = start(groups, b"d")
    disk.go_on()
    again.join()
    assert disk.written == [[b"a"], [b"d"]]


def test_member_killed_while_its_group_is_written_is_not_asked_to_lead():
    disk = Disk()
    groups = AppendGroups(disk.write)
    first, second, third, fourth = start(groups, b"a", b"b", b"c", b"d")
    disk.go_on()
    third.kill()
    second.kill()
    disk.go_on()
    fourth.join()
    assert disk.written == [[b"a"], [b"d"]]


def test_next_in_line_that_is_killed_before_it_runs_passes_the_lead_on():
    disk = Disk()
    groups = AppendGroups(disk.write)
    first, second, third = start(groups, b"a", b"b", b"c")
    disk.gate.put(None)
    first.join()
    second.kill()
    disk.go_on()
    third.join()
    assert disk.written == [[b"a"], [b"c"]]


def test_group_has_a_bound():
    disk = Disk()
    groups = AppendGroups(disk.write)
    big = [b"x"] * (BATCH_RECORDS_MAX // 2)
    tasks = [green.spawn(groups.append, "db", big) for _ in range(5)]
    let_run()
    for _ in range(3):
        disk.go_on()
    for task in tasks:
        task.join()
    assert [len(records) for records in disk.written] == [1000, 1000, 500]
