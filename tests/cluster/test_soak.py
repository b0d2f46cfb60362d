"""The soak of tests/soak: clients and faults at random, and afterwards everything as clients were told.

Longer, or again with the seed of a failure: python -m tests.soak --seconds N --seed S
"""

import random

import pytest

from tests.soak.on_cluster import soak_on_loopback
from tests.soak.on_network import soak_on_network
from tests.support.namespaces import why_not

pytestmark = pytest.mark.cluster

SECONDS, SECONDS_LONG = 30, 180


def test_nothing_is_lost_while_clients_and_faults_meet(tmp_path):
    outcome = soak_on_loopback(tmp_path, SECONDS, random.randrange(1 << 32))
    assert outcome.problems == [], outcome.report


@pytest.mark.long
def test_nothing_is_lost_in_three_minutes_of_faults(tmp_path):
    outcome = soak_on_loopback(tmp_path, SECONDS_LONG, random.randrange(1 << 32))
    assert outcome.problems == [], outcome.report


@pytest.mark.long
def test_nothing_is_lost_in_three_minutes_of_faults_when_links_are_cut_as_well(tmp_path):
    if reason := why_not():
        pytest.skip(reason)
    outcome = soak_on_network(tmp_path, SECONDS_LONG, random.randrange(1 << 32))
    assert outcome.problems == [], outcome.report
