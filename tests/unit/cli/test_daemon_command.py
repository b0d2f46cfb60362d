"""cli/daemon.py: one report of several processes."""

from dataclasses import asdict

import pytest

from objstore.cli.daemon import _together
from objstore.daemon.pass_ import PassReport
from objstore.runtime.supervisor import CannotStart

FIRST = asdict(PassReport(10.0, 2.0, 3, {"success": 2, "failures": 1}, False))
SECOND = asdict(PassReport(11.0, 5.0, 4, {"success": 4}))


def test_processes_have_done_what_each_has_done():
    assert _together([FIRST, SECOND]) == PassReport(10.0, 5.0, 7, {"success": 6, "failures": 1}, False)
    assert _together([SECOND, SECOND]).is_complete


@pytest.mark.parametrize("told", [[SECOND, None], [None, None]])
def test_one_that_died_has_not_done_its_part(told):
    found = _together(told)
    assert (found.is_complete, found.counts["failures"]) == (False, told.count(None))


def test_one_that_could_not_start_is_no_failure_of_the_work():
    with pytest.raises(CannotStart, match="a ring is cut"):
        _together([SECOND, {"refused": ["a ring is cut"]}])
