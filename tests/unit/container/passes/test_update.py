"""container/passes/update.py over real databases and scripted account servers."""

import os

import pytest

from objstore.container.passes.seen import Look, Seen, look
from objstore.container.passes.update import ContainerUpdater
from objstore.daemon.pass_ import EVERYTHING, Scope
from objstore.db.location import CONTAINERS, Location
from objstore.runtime.devices import Devices
from tests.support.clock import SimClock
from tests.support.databases import SECRETS, container_databases, make_container, row, time_of
from tests.support.passes import make_runner
from tests.support.rings import make_ring

RING = make_ring(devices=3, replicas=3, part_power=4)
YEARS_LATER = 4_000_000_000.0


class Accounts:
    def __init__(self, statuses=None):
        self.statuses = statuses or {}
        self.told = []

    def report(self, node, partition, account, container, headers):
        self.told.append((node.id, f"{account}/{container}", headers))
        return self.statuses.get(node.id, 201)

    def counts(self):
        return [(node, name, headers["x-object-count"]) for node, name, headers in self.told]


@pytest.fixture
def clock():
    return SimClock(YEARS_LATER)


def updater(tmp_path, accounts, clock, **options):
    devices = Devices(tmp_path, mount_check=False)
    return ContainerUpdater(
        devices, container_databases(), SECRETS, lambda: RING, accounts, clock, **{"suppression_s": 60.0, **options}
    )


def run(the_pass, scope=EVERYTHING):
    return make_runner(the_pass).run_once(scope)


def test_a_container_with_news_is_told_to_all_replicas_of_its_account_once(tmp_path, clock):
    broker = make_container(tmp_path)
    broker.add(row("o"))
    accounts = Accounts()
    the_pass = updater(tmp_path, accounts, clock)
    assert run(the_pass).counts["success"] == 1
    assert sorted(accounts.counts()) == [(node, "AUTH_v/c", "1") for node in range(3)]
    headers = accounts.told[0][2]
    assert headers == {
        "x-put-timestamp": time_of(0).internal,
        "x-delete-timestamp": "0",
        "x-object-count": "1",
        "x-bytes-used": "1",
        "x-backend-storage-policy-index": "0",
        "x-account-override-deleted": "yes",
    }
    assert run(the_pass).counts == {"no_changes": 1}
    assert len(accounts.told) == 3


def test_a_database_that_was_in_order_and_has_not_changed_is_not_opened(tmp_path, clock):
    broker = make_container(tmp_path)
    accounts = Accounts()
    the_pass = updater(tmp_path, accounts, clock)
    run(the_pass)
    run(the_pass)
    assert run(the_pass).job_count == 0
    broker.add(row("o"))
    assert run(the_pass).counts["success"] == 1
    assert accounts.counts()[-1][2] == "1"


@pytest.mark.parametrize("failing", [(), (0,), (0, 1), (0, 1, 2)], ids=len)
def test_it_is_done_when_all_have_heard(tmp_path, clock, failing):
    """One that was away has older counts, which its replicator would bring to the others (formats 5.5)."""
    make_container(tmp_path)
    accounts = Accounts(dict.fromkeys(failing, 503))
    the_pass = updater(tmp_path, accounts, clock, suppression_s=0.0)
    report = run(the_pass)
    assert report.is_complete == (not failing)
    accounts.told.clear()
    accounts.statuses.clear()
    assert run(the_pass).is_complete
    assert len(accounts.told) == (3 if failing else 0)


def test_an_account_that_most_replicas_could_be_told_of_keeps_hearing(tmp_path, clock):
    for name in ("c", "d"):
        make_container(tmp_path, name)
    accounts = Accounts({0: 503})
    report = run(updater(tmp_path, accounts, clock))
    assert (report.counts["failures"], report.counts.get("suppressed", 0)) == (2, 0)
    assert {name for _, name, _ in accounts.told} == {"AUTH_v/c", "AUTH_v/d"}


def test_an_account_that_could_not_be_told_is_left_alone_for_a_while(tmp_path, clock):
    for name in ("c", "d", "e"):
        make_container(tmp_path, name)
    accounts = Accounts(dict.fromkeys(range(3), 0))
    the_pass = updater(tmp_path, accounts, clock)
    report = run(the_pass)
    assert (report.counts["failures"], report.counts["suppressed"]) == (1, 2)
    accounts.statuses.clear()
    assert run(the_pass).counts == {"suppressed": 3}
    clock.advance(61)
    assert run(the_pass).counts["success"] == 3


def test_what_was_heard_is_told_again_at_twice_its_age(tmp_path, clock):
    """An account replicator may bring older counts after the report, and nobody can tell them from newer ones."""
    make_container(tmp_path).add(row("o"))
    accounts = Accounts()
    the_pass = updater(tmp_path, accounts, clock, seen=Seen(again_s=60.0))
    assert run(the_pass).counts["success"] == 1
    location = next(iter(the_pass.jobs(EVERYTHING))).location
    changed_s = look(location).newest_ns / 1e9
    times = []
    for age_s in (50, 100, 109, 111, 200, 219, 230, 400, 470):
        clock.seconds = changed_s + age_s
        told = len(accounts.told)
        run(the_pass)
        times += [age_s] * (len(accounts.told) > told)
    assert times == [111, 230, 470]
    assert accounts.counts()[-1] == (2, "AUTH_v/c", "1")


def test_an_account_that_is_gone_is_no_failure_when_it_is_told_again(tmp_path, clock):
    make_container(tmp_path)
    accounts = Accounts()
    the_pass = updater(tmp_path, accounts, clock, seen=Seen(again_s=60.0), suppression_s=0.0)
    run(the_pass)
    run(the_pass)
    clock.seconds *= 2
    accounts.statuses = dict.fromkeys(range(3), 404)
    assert run(the_pass).counts == {"asked": 1, "again": 1}
    assert run(the_pass).job_count == 0


def test_a_deleted_container_is_told_as_deleted(tmp_path, clock):
    make_container(tmp_path).delete(time_of(5))
    accounts = Accounts()
    run(updater(tmp_path, accounts, clock))
    assert accounts.told[0][2]["x-delete-timestamp"] == time_of(5).internal


def test_a_database_of_another_name_is_not_reported(tmp_path, clock):
    broker = make_container(tmp_path)
    location = broker.database.location
    other = Location(location.device_path, CONTAINERS, "7", SECRETS.hash_path("AUTH_v", "other"))
    os.makedirs(other.directory)
    os.rename(location.new_path, other.new_path)
    accounts = Accounts()
    report = run(updater(tmp_path, accounts, clock))
    assert (accounts.told, report.counts) == ([], {"failures": 1})


def test_a_corrupt_database_does_not_keep_the_others_waiting(tmp_path, clock):
    broken, good = make_container(tmp_path, "broken"), make_container(tmp_path, "good")
    with open(broken.database.location.new_path, "r+b") as file:
        file.write(b"x" * 5000)
    report = run(updater(tmp_path, Accounts(), clock))
    assert (report.counts["success"], report.counts["failures"]) == (1, 1)
    assert good.exists and not broken.exists


def test_only_what_is_in_scope_is_told(tmp_path, clock):
    make_container(tmp_path)
    accounts = Accounts()
    the_pass = updater(tmp_path, accounts, clock)
    run(the_pass, Scope(devices=frozenset({"sdz"})))
    run(the_pass, Scope(partitions=frozenset({8})))
    assert accounts.told == []
    run(the_pass, Scope(devices=frozenset({"sda1"}), partitions=frozenset({7})))
    assert len(accounts.told) == 3


def test_what_changed_a_moment_ago_is_not_believed(tmp_path):
    location = make_container(tmp_path).database.location
    seen, before = Seen(), look(location)
    changed_s = before.newest_ns / 1e9
    seen.remember(location, before, changed_s + 0.5)
    assert not seen.is_unchanged(location, before)
    seen.remember(location, before, changed_s + 1.5)
    assert seen.is_unchanged(location, before)


def test_a_file_dated_in_the_future_is_remembered_and_due_in_time():
    location = Location("/d", CONTAINERS, "1", "0" * 32)
    seen, before = Seen(again_s=60.0), Look(((1, 2, 3),), 2_000_000_000_000_000_000)
    seen.remember(location, before, 1_000_000_000.0)
    assert seen.is_unchanged(location, before)
    assert [seen.is_due(location, 1_000_000_000.0 + later_s) for later_s in (1, 59, 60)] == [False, False, True]


def test_what_was_noted_by_a_clock_that_went_back_is_due():
    location = Location("/d", CONTAINERS, "1", "0" * 32)
    seen = Seen(again_s=60.0)
    seen.remember(location, Look(((1, 2, 3),), 1_999_999_000_000_000_000), 2_000_000_000.0)
    assert not seen.is_due(location, 2_000_000_001.0)
    assert seen.is_due(location, 1_000_000_000.0)


def test_memory_of_databases_is_bounded_and_forgets_those_that_are_gone():
    seen = Seen(limit=2)
    places = [Location("/d", CONTAINERS, "1", f"{number:032x}") for number in range(3)]
    for place in places:
        seen.remember(place, Look((), 0), 10.0)
    assert [seen.is_unchanged(place, Look((), 0)) for place in places] == [True, True, False]
    seen.forget_others({places[1].directory})
    assert [seen.is_unchanged(place, Look((), 0)) for place in places] == [False, True, False]


def test_a_directory_without_a_database_is_passed_over(tmp_path, clock):
    location = make_container(tmp_path).database.location
    os.unlink(location.new_path)
    assert look(location) is None
    assert run(updater(tmp_path, Accounts(), clock)).job_count == 0


def test_a_handoff_does_not_tell_counts_that_it_could_not_correct(tmp_path, clock):
    make_container(tmp_path).add(row("o"))
    accounts = Accounts()
    the_pass = updater(
        tmp_path, accounts, clock, is_handoff=lambda device, partition: (device, partition) == ("sda1", 7)
    )
    assert run(the_pass).counts == {}
    assert accounts.told == []


def test_counts_that_come_back_after_a_report_that_some_have_heard_are_told_again(tmp_path, clock):
    broker = make_container(tmp_path)
    accounts = Accounts()
    the_pass = updater(tmp_path, accounts, clock, suppression_s=0.0)
    run(the_pass)
    broker.add(row("o", 1))
    accounts.statuses = {1: 503, 2: 503}
    run(the_pass)
    broker.add(row("o", 2, deleted=1))
    accounts.statuses = {}
    accounts.told.clear()
    assert run(the_pass).counts["success"] == 1
    assert sorted(accounts.counts()) == [(node, "AUTH_v/c", "0") for node in range(3)]
