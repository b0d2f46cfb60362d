import dataclasses

import pytest

from objstore.cluster.members import read
from objstore.cluster.membership import Membership, MembersRefused, NotHolder, SplitHolders
from objstore.runtime.fs import Fs
from tests.support.members import make_member, make_members


@pytest.fixture
def second(tmp_path):
    """n2 of three, where n1 holds."""
    return Membership(tmp_path, make_member(2).id, Fs(), make_members(3, version=5))


def test_newer_members_are_taken_over_durably(tmp_path, second):
    newer = make_members(4, version=6)
    assert second.adopt(newer)
    assert read(tmp_path) == second.members == newer
    assert second.adopt(newer) is False


@pytest.mark.parametrize(
    ("new", "error", "reason"),
    [
        pytest.param(make_members(4, version=4), MembersRefused, "term 1 version 4 are older", id="older"),
        pytest.param(make_members(4, version=5), MembersRefused, "other members under the same version", id="same"),
        pytest.param(
            make_members(3, version=9, holder=3), SplitHolders, "two nodes hold .* in term 1: n3 and n1", id="split"
        ),
        pytest.param(
            dataclasses.replace(make_members(3, version=9), cluster="cd" * 16),
            MembersRefused,
            "another cluster",
            id="foreign",
        ),
    ],
)
def test_other_members_are_refused(tmp_path, second, new, error, reason):
    with pytest.raises(error, match=reason):
        second.adopt(new)
    assert second.members == make_members(3, version=5)
    assert read(tmp_path) is None


def test_a_holder_steps_down_for_one_of_a_later_term(tmp_path):
    first = Membership(tmp_path, make_member(1).id, Fs(), make_members(3))
    assert first.is_holder
    first.adopt(make_members(3, term=2, version=2, holder=3))
    assert not first.is_holder
    with pytest.raises(NotHolder, match=r"held by n3 \(10.0.0.3:6199\)"):
        first.change(lambda members: members.joined_by(make_member(4)))


def test_only_the_holder_changes_members(second):
    with pytest.raises(NotHolder, match="held by n1"):
        second.change(lambda members: members.joined_by(make_member(4)))


def test_a_change_that_cannot_be_written_is_none(tmp_path):
    class Full(Fs):
        def replace_file(self, path, data, mode=0o644):
            raise OSError(28, "No space left on device")

    first = Membership(tmp_path, make_member(1).id, Full(), make_members(3))
    with pytest.raises(OSError, match="No space"):
        first.change(lambda members: members.joined_by(make_member(4)))
    assert first.members == make_members(3)


def test_a_node_that_was_removed_is_nobody(second):
    second.adopt(make_members(1, version=6))
    assert second.me is None
