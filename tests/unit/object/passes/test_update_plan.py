import pytest

from objstore.object.delivery import MAX_ROWS
from objstore.object.passes.oldest import OldestPending
from objstore.object.passes.update_plan import Verdict, groups, row_for_many, verdict
from objstore.peers.container_rows import Redirect
from objstore.storage.pending import DeferredUpdate
from objstore.storage.pending_walk import Waiting
from tests.support.objects import ts

HEADERS = {"x-timestamp": ts(5).internal, "x-size": "3", "x-content-type": "text/x", "x-etag": "e"}
UPDATE = DeferredUpdate("PUT", "a", "c", "o", HEADERS)
SHARD = Redirect(".shards_a/c-1", ts(10))
LATER = Redirect(".shards_a/c-2", ts(20))


def changed(**fields):
    return DeferredUpdate(**{**{name: getattr(UPDATE, name) for name in UPDATE.__slots__}, **fields})


@pytest.mark.parametrize(
    ("update", "accepted", "redirects", "expected"),
    [
        (UPDATE, [1, 2, 3], {}, Verdict(None)),
        (changed(successes=(1, 2)), [3], {}, Verdict(None)),
        (changed(successes=(1, 2, 9)), [3], {}, Verdict(None)),
        (UPDATE, [], {}, Verdict(UPDATE)),
        (UPDATE, [2], {}, Verdict(changed(successes=(2,)))),
        (changed(successes=(3,)), [2], {}, Verdict(changed(successes=(2, 3)))),
        (changed(successes=(3,)), [], {}, Verdict(changed(successes=(3,)))),
        (UPDATE, [2, 3], {1: SHARD},
         Verdict(changed(container_path=SHARD.container_path, redirect_history=(SHARD.container_path,)), True)),
        (changed(successes=(2,)), [], {1: SHARD, 3: LATER},
         Verdict(changed(container_path=LATER.container_path, redirect_history=(LATER.container_path,)), True)),
        (changed(container_path=SHARD.container_path, redirect_history=(SHARD.container_path,)), [], {1: LATER},
         Verdict(changed(container_path=LATER.container_path,
                         redirect_history=(SHARD.container_path, LATER.container_path)), True)),
        (changed(container_path=LATER.container_path, redirect_history=(SHARD.container_path, LATER.container_path)),
         [2], {1: SHARD}, Verdict(UPDATE)),
        (UPDATE, [], {1: Redirect("a/c", ts(1))}, Verdict(UPDATE)),
        (UPDATE, [2], {1: Redirect("b/c", ts(30))}, Verdict(changed(successes=(2,)))),
        (UPDATE, [2], {1: Redirect("a/other", ts(30))}, Verdict(changed(successes=(2,)))),
        (UPDATE, [], {1: Redirect(".shards_b/c-1", ts(30)), 2: SHARD},
         Verdict(changed(container_path=SHARD.container_path, redirect_history=(SHARD.container_path,)), True)),
    ],
    ids=["all", "rest", "ids of another ring", "none", "some", "some more", "nothing new",
         "redirect", "newest redirect", "redirect of a redirect", "loop", "redirect to itself",
         "redirect to another account", "redirect to another container", "redirect to another account's shard"],
)  # fmt: skip
def test_what_becomes_of_a_row(update, accepted, redirects, expected):
    assert verdict(update, [1, 2, 3], accepted, redirects) == expected


def test_a_container_on_no_node_is_no_reason_to_forget_its_rows():
    assert verdict(UPDATE, [], [], {}).update == UPDATE


def test_rows_of_a_container_go_together_oldest_first():
    waiting = [
        Waiting("1", ts(9), UPDATE),
        Waiting("2", ts(5), changed(container="d")),
        Waiting("3", ts(7), UPDATE),
        Waiting("4", ts(8), changed(container_path=".shards_a/c-1")),
    ]
    found = [(path, [row.path for row in rows]) for path, rows in groups(waiting)]
    assert found == [("a/d", ["2"]), ("a/c", ["3", "1"]), (".shards_a/c-1", ["4"])]


def test_a_group_has_its_bound():
    sizes = [len(rows) for _, rows in groups(Waiting(str(n), ts(n), UPDATE) for n in range(2 * MAX_ROWS + 1))]
    assert sizes == [MAX_ROWS, MAX_ROWS, 1]


@pytest.mark.parametrize(
    ("update", "may_go"),
    [
        (UPDATE, True),
        (changed(op="DELETE", headers={"x-timestamp": "5.0"}), True),
        (changed(db_state="unsharded"), True),
        (changed(db_state="sharding"), False),
        (changed(container_path="x/y"), False),
        (changed(headers={}), False),
        (changed(headers={**HEADERS, "x-size": "many"}), False),
        (changed(headers={**HEADERS, "x-meta-timestamp": "soon"}), False),
    ],
)
def test_only_plain_rows_of_plain_containers_go_with_others(update, may_go):
    assert (row_for_many(update, 0) is not None) == may_go


def test_the_row_of_many_is_the_row_of_one():
    headers = {**HEADERS, "x-content-type-timestamp": ts(6).internal, "x-meta-timestamp": ts(7).internal,
               "x-backend-storage-policy-index": "2", "x-trans-id": "tx", "referer": "PUT x"}  # fmt: skip
    row = row_for_many(changed(headers=headers), 0)
    assert row.headers() == headers
    assert row.item()["storage_policy_index"] == 2


def test_recon_sees_the_oldest_row_of_the_containers_that_wait_longest():
    oldest = OldestPending(max_entries=2, shown=1)
    for seconds, container in ((50, "b"), (40, "a"), (45, "a"), (30, "c"), (60, "d")):
        oldest.note(ts(seconds), "A", container)
    assert oldest.stats(100.0) == {
        "failures_account_container_count": 2,
        "failures_oldest_timestamp": 30.0,
        "failures_oldest_timestamp_age": 70.0,
        "failures_oldest_timestamp_account_containers": {
            "oldest_count": 1,
            "oldest_entries": [{"timestamp": ts(30).internal, "account": "A", "container": "c"}],
        },
        "tracker_memory_usage": 404.0,
    }
    oldest.clear()
    assert oldest.stats(100.0)["failures_oldest_timestamp"] is None
