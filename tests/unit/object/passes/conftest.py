"""What the tests of the object passes share."""

import pytest

from tests.support.clock import SimClock
from tests.support.objects import make_disk_engine


@pytest.fixture
def clock():
    return SimClock()


@pytest.fixture
def engine(tmp_path, clock):
    return make_disk_engine(tmp_path, clock)
