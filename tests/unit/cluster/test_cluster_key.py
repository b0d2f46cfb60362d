"""cluster/cluster_key.py and rotation.py: the states of a key, and that nodes in two of them understand each other."""

import errno
import stat
from itertools import pairwise

import pytest

from objstore.cluster.cluster_key import (
    OLDEST,
    ClusterKey,
    KeyFileError,
    KeyRefused,
    KeyRing,
    Phase,
    key_body,
    new_key,
    parse,
)
from objstore.cluster.rotation import Rotation
from objstore.runtime.fs import Fs
from tests.support.members import make_member, make_members

OLD, NEW, THIRD = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
FIRST = ClusterKey(OLD)
ANNOUNCED = FIRST.announcing(NEW, 1)
REPLACED = ANNOUNCED.following()
SETTLED = REPLACED.following()
ALL = [FIRST, ANNOUNCED, REPLACED, SETTLED]


def ring(etc, key=FIRST, fs=None):
    (etc / "cluster.key").write_text(key.text() + "\n")
    return KeyRing(etc, fs or Fs())


@pytest.mark.parametrize("key", ALL, ids=lambda key: key.phase.name)
def test_the_file_says_what_it_is_and_a_first_key_stands_alone(key):
    assert parse(key.text() + "\n", "x") == key
    assert FIRST.text() == OLD.hex() and FIRST.stamp == OLDEST


@pytest.mark.parametrize("pair", list(pairwise(ALL)), ids=lambda pair: f"{pair[0].phase.name}-{pair[1].phase.name}")
def test_states_that_nodes_may_be_in_together_accept_each_other(pair):
    earlier, later = pair
    assert earlier.stamp < later.stamp
    assert earlier.signing in later.accepted
    # SETTLED follows when all have REPLACED, of which none signs with what it forgets; FIRST is before any other.
    assert later.signing in earlier.accepted


def test_at_the_end_the_old_key_is_nowhere():
    assert (SETTLED.signing, SETTLED.accepted, SETTLED.phase) == (NEW, (NEW,), Phase.SETTLED)
    assert OLD.hex() not in SETTLED.text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3cr3t",
        OLD.hex()[:-1],
        OLD.hex().upper(),
        f"{OLD.hex()}\ngeneration 0 settled",
        f"{OLD.hex()}\ngeneration 1 announced",
        f"{OLD.hex()}\ngeneration 1 settled {NEW.hex()}",
        f"{OLD.hex()}\ngeneration 1 forgotten {NEW.hex()}",
        f"{OLD.hex()}\n{NEW.hex()}",
    ],
)
def test_a_key_file_that_is_none_is_refused_without_quoting_it(tmp_path, text):
    (tmp_path / "cluster.key").write_text(text)
    with pytest.raises(KeyFileError, match="expected 64 hexadecimal digits; copy it from another node") as caught:
        KeyRing(tmp_path, Fs())
    assert not text or text[:6] not in str(caught.value)


def test_a_key_file_that_is_missing_or_no_text_is_named(tmp_path):
    with pytest.raises(KeyFileError, match="cannot be read"):
        KeyRing(tmp_path, Fs())
    (tmp_path / "cluster.key").write_bytes(b"\xff" * 64)
    with pytest.raises(KeyFileError, match="expected text"):
        KeyRing(tmp_path, Fs())


def test_a_key_is_in_no_representation_of_anything():
    assert not [key for key in ALL if OLD.hex() in repr(key) or repr(OLD) in repr(key) or repr(NEW) in repr(key)]
    assert OLD.hex() in key_body(FIRST, 1).decode()


def test_a_node_takes_over_what_is_later_durably_and_for_its_owner_only(tmp_path):
    keys = ring(tmp_path)
    assert [keys.adopt(key) for key in (ANNOUNCED, ANNOUNCED, REPLACED, ANNOUNCED, SETTLED)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert KeyRing(tmp_path, Fs()).current == SETTLED == keys.current
    assert stat.S_IMODE((tmp_path / "cluster.key").stat().st_mode) == 0o600


def test_a_key_that_has_nothing_in_common_with_the_one_here_is_refused(tmp_path):
    keys = ring(tmp_path)
    with pytest.raises(KeyRefused, match="nothing in common") as caught:
        keys.adopt(ClusterKey(NEW, 7))
    assert NEW.hex() not in str(caught.value)
    assert keys.current == FIRST


def test_a_disk_that_is_full_leaves_the_key_as_it_was(tmp_path):
    class Full(Fs):
        def replace_file(self, *_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

    keys = ring(tmp_path, fs=Full())
    with pytest.raises(OSError, match="No space"):
        keys.adopt(ANNOUNCED)
    assert keys.current == FIRST == KeyRing(tmp_path, Fs()).current


# Rotation, as the holder does it; heard: what the other nodes have


def rotation(tmp_path, key=FIRST):
    keys = ring(tmp_path, key)
    done = []
    return keys, Rotation(keys, make_members().holder, lambda: done.append(keys.current)), done


def heard(stamp, *numbers):
    return {make_member(number).id: stamp for number in numbers}


def test_each_state_waits_for_every_node(tmp_path):
    keys, rotation_, done = rotation(tmp_path)
    members = make_members(3)
    rotation_.begin(heard(OLDEST, 2, 3))
    announced = keys.current
    assert (announced.phase, announced.signing) == (Phase.ANNOUNCED, OLD)
    for lacking in ({}, heard(OLDEST, 2, 3), heard(announced.stamp, 2), heard(announced.stamp, 2) | heard(OLDEST, 3)):
        assert not rotation_.go_on(members, lacking)
        assert rotation_.lagging(members, lacking)
    assert rotation_.go_on(members, heard(announced.stamp, 2, 3))
    assert not rotation_.go_on(members, heard(announced.stamp, 2, 3))
    assert keys.current.phase is Phase.REPLACED and not done
    assert rotation_.go_on(members, heard(keys.current.stamp, 2, 3))
    assert keys.current.accepted == (announced.other,) and done[0].phase is Phase.REPLACED
    assert not rotation_.is_under_way and not rotation_.go_on(members, heard(keys.current.stamp, 2, 3))


def test_a_node_that_left_the_members_is_not_waited_for(tmp_path):
    keys, rotation_, _ = rotation(tmp_path, ANNOUNCED)
    assert not rotation_.go_on(make_members(3), heard(ANNOUNCED.stamp, 2))
    assert rotation_.go_on(make_members(2), heard(ANNOUNCED.stamp, 2))


def test_one_rotation_at_a_time(tmp_path):
    keys, rotation_, _ = rotation(tmp_path, REPLACED)
    rotation_.begin({})
    assert keys.current == REPLACED


def test_a_new_holder_that_had_not_heard_of_a_rotation_begins_a_later_one(tmp_path):
    keys, rotation_, _ = rotation(tmp_path)
    rotation_.begin(heard(ANNOUNCED.stamp, 2))
    assert keys.current.stamp > ANNOUNCED.stamp
    other = tmp_path / "other"
    other.mkdir()
    node = ring(other, ANNOUNCED)
    assert node.adopt(keys.current)
    assert node.current.other not in (NEW, None)


def test_a_new_holder_goes_on_with_one_that_others_are_further_with(tmp_path):
    keys, rotation_, _ = rotation(tmp_path, ANNOUNCED)
    assert rotation_.go_on(make_members(2), heard(REPLACED.stamp, 2))
    assert keys.current == REPLACED


def test_new_keys_are_new():
    assert len({new_key() for _ in range(100)}) == 100 and len(new_key()) == 32
    assert THIRD not in SETTLED.accepted
