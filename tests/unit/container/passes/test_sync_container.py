"""A container's turn over a real database, with rows that fare as the test says; its points and what may be noted."""

import pytest

from objstore.container.passes.sync_container import AWAY_AT_MOST, BATCH, FAILED_AT_MOST, ContainerTurn, Share
from objstore.container.passes.sync_peer import DONE, Said, Verdict
from objstore.container.passes.sync_progress import Memory, Progress
from objstore.container.passes.sync_settings import ContainerSyncSettings
from objstore.container.passes.sync_target import Target
from objstore.core.errors import BadRequest
from objstore.core.sync_realms import Realm, Realms, SignedMessage, signature
from objstore.db import replica
from objstore.db.location import CONTAINERS
from objstore.db.rows import merge_object_rows
from objstore.db.sync_rows import raise_points, rows_after, sync_state
from tests.support.databases import make_container, row, time_of

ONE, OF_TWO = Share(0, 1), Share(0, 2)
FAILED, AWAY, REFUSED = (Said(verdict, "so it goes") for verdict in (Verdict.FAILED, Verdict.AWAY, Verdict.REFUSED))


class Turns:
    """fares: by name, what becomes of a row; DONE for others. tried: names, in order."""

    def __init__(self, tmp_path, rows=10, share=ONE):
        self.broker = make_container(tmp_path)
        self.set_target("//realm/two/a/c", 1)
        if rows:
            self.add(*(f"o{number:04}" for number in range(rows)))
        self.share, self.fares, self.tried = share, {}, []
        self.progress = Progress("")

    def set_target(self, target, at):
        items = {"X-Container-Sync-To": [target, time_of(at).internal]}
        self.broker.post(None, items | {"X-Container-Sync-Key": ["k", time_of(1).internal]}, lambda metadata: None)

    def add(self, *names, **more):
        self.merge([row(name, **more) for name in names])

    def merge(self, rows):
        self.broker.database.write(lambda connection: merge_object_rows(connection, rows))

    def bring(self, found):
        self.tried.append(found.name)
        fare = self.fares.get(found.name, DONE)
        return fare() if callable(fare) else fare

    def take(self, concurrency=1, has_time=lambda step: True):
        """One turn; (what was tried, the points after it)."""
        self.tried = []
        state = sync_state(self.broker.info())
        turn = ContainerTurn(self.broker, state, self.share, self.progress, self.bring, concurrency, has_time)
        self.counts = turn.run()
        return self.tried, self.points()

    def points(self):
        info = self.broker.info()
        return info.x_container_sync_point1, info.x_container_sync_point2

    def names(self, *numbers):
        return [f"o{number:04}" for number in numbers]


@pytest.fixture
def turns(tmp_path):
    return Turns(tmp_path)


def test_point_1_follows_what_was_tried_and_point_2_what_is_there(turns):
    assert turns.take() == (turns.names(*range(10)), (10, -1))
    assert turns.take() == ([], (10, 10))  # Known to be there: done by this very process.
    turns.add("more")
    assert turns.take() == (["more"], (11, 10))


def test_only_the_own_share_is_tried_first_and_everything_later(tmp_path):
    turns = Turns(tmp_path, 40, OF_TWO)
    own, points = turns.take()
    assert 5 < len(own) < 35 and points == (40, -1) and all(OF_TWO.owns(name) for name in own)
    others, points = turns.take()
    assert sorted(own + others) == turns.names(*range(40)) and points == (40, 40)


def test_shares_cover_everything_once():
    names = [f"o{number}" for number in range(200)]
    for count in (1, 2, 3):
        for name in names:
            assert sum(Share(index, count).owns(name) for index in range(count)) == 1


def test_point_2_stops_before_the_first_row_that_is_not_there(turns):
    turns.fares["o0004"] = FAILED
    turns.take()
    assert turns.take() == (["o0004"], (10, 4)) and turns.counts["failures"] == 1
    turns.fares = {}
    assert turns.take() == (["o0004"], (10, 10))


def test_a_new_process_asks_again_and_comes_to_the_same(turns):
    turns.fares["o0004"] = FAILED
    turns.take(), turns.take()
    turns.progress = Progress("")
    assert turns.take() == (turns.names(4, 5, 6, 7, 8, 9), (10, 4))


@pytest.mark.parametrize("said", [AWAY, REFUSED])
def test_a_step_ends_after_some_rows_in_a_row_for_which_the_peer_was_away(turns, said):
    turns.fares = dict.fromkeys(turns.names(*range(10)), said)
    assert turns.take() == (turns.names(0, 1, 2), (AWAY_AT_MOST, -1))
    # The first step tries them again, the second goes on: nothing is ever left behind.
    assert turns.take() == (turns.names(0, 1, 2, 3, 4, 5), (2 * AWAY_AT_MOST, -1))
    turns.fares = {}
    turns.take(), turns.take()
    assert turns.points() == (10, 10)


def test_rows_that_poison_the_connection_hold_up_nobody_else(turns):
    turns.fares = dict.fromkeys(turns.names(0, 1, 2, 3), AWAY)
    for _ in range(4):
        turns.take()
    assert turns.progress.confirmed == {5, 6, 7, 8, 9, 10} and turns.points() == (10, -1)


def test_many_rows_that_fail_by_themselves_hold_up_nobody_else(tmp_path):
    count = 2 * FAILED_AT_MOST + BATCH
    turns = Turns(tmp_path, count)
    turns.fares = dict.fromkeys(turns.names(*range(count - 1)), FAILED)
    tried, _ = turns.take()
    assert len(tried) == FAILED_AT_MOST
    for _ in range(4):
        assert len(turns.take()[0]) <= 2 * FAILED_AT_MOST
    assert turns.progress.confirmed == {count} and turns.points() == (count, -1)
    # One that would go now is reached however many before it fail.
    turns.fares.pop("o0150")
    for _ in range(4):
        turns.take()
    assert 151 in turns.progress.confirmed


def test_without_time_nothing_is_tried_and_nothing_noted(turns):
    assert turns.take(has_time=lambda step: False) == ([], (-1, -1))


def test_point_1_does_not_pass_what_was_not_tried(turns):
    """Several under way: those behind the ones that end the step were not begun."""
    turns.fares = dict.fromkeys(turns.names(*range(10)), AWAY)
    tried, (point_1, _) = turns.take(concurrency=4)
    assert len(tried) == point_1 < 10


def test_a_target_that_changes_meanwhile_is_not_credited(turns):
    def changes():
        turns.set_target("//realm/two/a/other", 2)
        return DONE

    turns.fares["o0009"] = changes
    assert turns.take() == (turns.names(*range(10)), (-1, -1))


def test_the_same_target_set_again_meanwhile_is_not_credited(turns):
    def changes():
        turns.set_target("//realm/two/a/other", 2), turns.set_target("//realm/two/a/c", 3)
        return DONE

    turns.fares["o0009"] = changes
    assert turns.take()[1] == (-1, -1)


def test_another_copy_of_the_database_is_not_credited(turns):
    state = sync_state(turns.broker.info())
    write = turns.broker.database.write
    write(lambda connection: connection.execute("UPDATE container_info SET id = 'another'"))
    assert not write(lambda connection: raise_points(connection, state, 5, 5)) and turns.points() == (-1, -1)


def test_a_row_that_changes_meanwhile_is_new(turns):
    turns.fares["o0003"] = lambda: turns.add("o0003", at=5.0) or DONE
    turns.take()
    assert turns.points()[0] == 11 and turns.tried.count("o0003") == 2


def test_manifests_are_brought_after_what_they_may_be_made_of(turns):
    turns.merge([row("large")._replace(content_type="x/y;swift_bytes=10"), row("segment")])
    assert turns.take()[0][-2:] == ["segment", "large"]


def test_rows_of_other_policies_are_left_to_the_reconciler(turns):
    turns.add("misplaced", policy=2)
    assert "misplaced" not in turns.take()[0] and turns.take()[1] == (10, 10)


def test_a_bug_in_one_row_notes_nothing(turns):
    def bug():
        raise ZeroDivisionError

    turns.fares["o0009"] = bug
    with pytest.raises(ZeroDivisionError):
        turns.take()
    assert turns.points() == (-1, -1)


def test_a_replica_that_hears_of_a_new_target_begins_at_the_first_row(turns):
    turns.take(), turns.take()
    info = turns.broker.info()
    heard = {"X-Container-Sync-To": ["//realm/two/a/other", time_of(9).internal]}
    remote = replica.RemoteState(
        max_row=1, hash="x", id="remote", created_at=info.created_at, put_timestamp=info.put_timestamp,
        delete_timestamp=info.delete_timestamp, metadata=heard,
    )  # fmt: skip
    now = time_of(10).internal
    turns.broker.database.write(lambda connection: replica.take_over(connection, CONTAINERS, remote, now))
    assert turns.points() == (-1, -1)
    turns.take()
    turns.broker.database.write(lambda connection: replica.take_over(connection, CONTAINERS, remote, now))
    assert turns.points()[0] == 10


def test_memory_is_bounded():
    memory = Memory(most=10)
    memory.of("a", "1").confirmed.update(range(5))
    memory.tidy()
    assert memory.of("a", "1").confirmed and not memory.of("a", "2").confirmed
    memory.of("b", "1").confirmed.update(range(20))
    memory.tidy()
    assert not memory.of("b", "1").confirmed


def test_rows_come_in_order_and_in_pages(turns):
    read = turns.broker.database.read
    assert [found.name for found in read(lambda connection: rows_after(connection, 3, 6, 2))] == turns.names(3, 4)
    assert [found.row_id for found in read(lambda connection: rows_after(connection, 3, 6, 9))] == [4, 5, 6]


REALMS = Realms({"R": Realm("R", ("first", "second"), {"TWO": "https://two:8443/v1/"})})


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("//r/two/a/c", "https://two:8443/v1/a/c"),
        ("//r/two/a/c é/", "https://two:8443/v1/a/c%20%C3%A9"),
        ("//r/two/a/c%20x", "https://two:8443/v1/a/c%20x"),
        ("http://host:80/v1/a/c/", "http://host:80/v1/a/c"),
    ],
)
def test_where_a_container_is_synced_to(value, url):
    assert Target.of(value, "k", REALMS, ("host",)).url == url


@pytest.mark.parametrize(
    "value",
    [
        "//x/two/a/c",
        "//r/one/a/c",
        "//r/two",
        "//r/two/../c",
        "//r/two/a/..",
        "//r/two/%2e%2e/c",
        "//r/two/a%2Fb/c",
        "//r/two/a/c?x=y",
        "//r/two/a/c%3Fx",
        "http://other/v1/a/c",
        "ftp://host/v1/a/c",
        "http://host:6200/d1/123/AUTH_victim/c",
        "http://host:6200/d1/AUTH_victim/c",
        "http://host/v1/a",
        "http://host/v1/a/c/o",
        "http://host/v1/a/..",
        "http://host/v1/kv%2Fa/c",
        "http://host/v1/a/c?x",
        "http://host/v1/a/c#x",
    ],
)
def test_cve_2026_50221_a_container_may_not_be_synced_to_just_any_address(value):
    with pytest.raises(BadRequest):
        Target.of(value, "k", REALMS, ("host",))


def test_a_request_is_signed_over_the_path_as_it_is_sent():
    target = Target.of("//r/two/a/c", "kéy", REALMS, ())
    path = target.object_path("o é?")
    assert path == "/v1/a/c/o%20%C3%A9%3F"
    headers = dict(target.credentials("PUT", path, "1.0", "n"))
    signed = signature("first", SignedMessage("PUT", path, "1.0"), "n", "k\xc3\xa9y")
    assert headers == {"X-Timestamp": "1.0", "X-Container-Sync-Auth": f"R n {signed}"}


def test_without_a_realm_the_key_is_said():
    headers = dict(Target.of("http://host/v1/a/c", "k", REALMS, ("host",)).credentials("PUT", "/v1/a/c/o", "1.0", "n"))
    assert headers == {"X-Timestamp": "1.0", "X-Container-Sync-Key": "k"}


def test_cve_2026_50221_no_host_is_asked_by_url_unless_the_operator_names_it():
    assert ContainerSyncSettings().allowed_sync_hosts == ()
