import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.proxy.quorum import WriteQuorum, quorum_size

FINAL = (200, 201, 202, 204, 400, 404, 409, 412, 422, 500, 503, 507)


def decided(*statuses, forgiving=False, doubting=False):
    quorum = WriteQuorum(len(statuses), is_forgiving=forgiving, doubts_absence=doubting)
    for slot, status in enumerate(statuses):
        if status:
            quorum.vote(slot, status)
    return quorum


@pytest.mark.parametrize(("replicas", "needed"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)])
def test_quorum_is_half_the_replicas_rounded_up(replicas, needed):
    assert quorum_size(replicas) == needed


@pytest.mark.parametrize(
    ("statuses", "answer"),
    [
        ((201, 201, 201), 201),
        ((201, 201, 0), 201),
        ((201, 507, 507), 503),
        ((201, 201, 507), 201),
        ((201, 202, 202), 202),
        ((201, 202, 503), 202),
        ((404, 404, 204), 404),
        ((404, 204, 503), 503),
        ((409, 409, 201), 409),
        ((412, 412, 412), 412),
        ((412, 409, 503), 412),
        ((201, 404), 201),
        ((503, 404), 404),
        ((204, 204, 404, 404), 204),
        ((0, 0, 0), 503),
        ((507, 507, 507), 503),
    ],
)
def test_answer_of_a_write(statuses, answer):
    assert decided(*statuses).final() == answer


@pytest.mark.parametrize(
    ("statuses", "answer"),
    [
        ((404, 204, 503), 204),
        ((404, 404, 204), 204),
        ((404, 404, 404), 404),
        ((404, 404, 503), 404),
        ((404, 503, 503), 503),
        ((204, 0, 0), 503),
        ((204, 503, 503), 503),
        ((409, 409, 204), 409),
        ((409, 404, 404), 404),
    ],
)
def test_a_delete_is_done_where_nothing_is_as_soon_as_one_replica_had_the_object(statuses, answer):
    assert decided(*statuses, forgiving=True).final() == answer


@pytest.mark.parametrize(
    ("statuses", "answer", "absent", "is_contested"),
    [
        ((404, 404, 202), 503, [0, 1], True),
        ((404, 404, 404), 404, [0, 1, 2], False),
        ((404, 202, 202), 202, [], False),
        ((404, 404, 503), 404, [0, 1], False),
        ((409, 409, 404), 409, [], False),
        ((503, 503, 202), 503, [], False),
    ],
)
def test_absence_is_no_answer_to_a_post_while_somebody_has_the_object(statuses, answer, absent, is_contested):
    quorum = decided(*statuses, doubting=True)
    assert quorum.final() == answer
    assert quorum.absent == absent
    assert quorum.is_contested == is_contested


@pytest.mark.parametrize(
    ("primaries", "handoffs", "of_a_delete", "of_others"),
    [
        ((204,), (404, 404), 204, 503),
        ((404,), (404, 404), 503, 503),
        ((404, 404), (404,), 404, 404),
        ((), (404, 404, 404), 503, 503),
        ((404,), (204, 404), 204, 503),
        ((204,), (204, 404), 204, 204),
        ((409, 409), (404,), 409, 409),
    ],
)
def test_absence_on_a_handoff_is_no_vote_for_404(primaries, handoffs, of_a_delete, of_others):
    for forgiving, answer in ((True, of_a_delete), (False, of_others)):
        quorum = decided(*primaries, *[0] * len(handoffs), forgiving=forgiving)
        for slot, status in enumerate(handoffs, len(primaries)):
            quorum.vote(slot, status, is_primary=False)
        assert quorum.final() == answer


def test_what_a_primary_says_replaces_a_handoff_that_knows_nothing_and_is_not_replaced_by_one():
    quorum = decided(404, 404, 409)
    quorum.vote(2, 404, is_primary=False)
    assert quorum.final() == 404
    quorum = decided(404, 0, 0)
    quorum.vote(1, 404, is_primary=False)
    assert quorum.final() == 503
    quorum.vote(1, 404)
    assert quorum.final() == 404


@pytest.mark.parametrize(
    ("statuses", "is_split"),
    [
        ((202, 404, 0), True),
        ((202, 404, 503), True),
        ((202, 0, 0), False),
        ((202, 503, 503), False),
        ((202, 202, 0), False),
        ((404, 404, 0), False),
        ((202, 404, 409), False),
    ],
)
def test_a_write_is_split_when_a_quorum_has_answered_and_does_not_agree(statuses, is_split):
    assert decided(*statuses).is_split == is_split


def test_a_success_is_never_taken_back():
    quorum = decided(201, 201, 0)
    quorum.vote(0, 503)
    assert quorum.has_success
    assert quorum.final() == 201


def test_a_handoff_replaces_the_refusal_of_its_slot():
    quorum = decided(507, 201, 0)
    assert quorum.can_succeed([0])
    quorum.vote(0, 201)
    assert quorum.has_success


def test_put_returns_503_when_two_of_three_nodes_are_full():
    quorum = decided(201, 507, 507)
    assert not quorum.can_succeed([])
    assert quorum.final() == 503


@given(st.lists(st.sampled_from((0, *FINAL)), min_size=1, max_size=8), st.booleans())
def test_success_is_claimed_only_with_a_quorum_of_successes(statuses, forgiving):
    quorum = decided(*statuses, forgiving=forgiving)
    successes = sum(1 for status in statuses if 200 <= status < 300)
    if not forgiving:
        assert (quorum.final() < 300) == (successes >= quorum_size(len(statuses)))
    elif quorum.final() < 300:
        assert successes >= 1


@given(st.permutations([201, 202, 404, 409, 503]), st.integers(1, 5))
def test_the_order_of_answers_does_not_change_the_verdict(statuses, count):
    assert decided(*statuses[:count]).final() == decided(*sorted(statuses[:count])).final()
