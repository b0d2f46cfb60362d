"""storage/resolve.py: formats 4.4 and 4.6, rule by rule."""

import pytest

from objstore.core.timestamp import Timestamp
from objstore.storage.resolve import NOTHING, data_name, is_rsync_temporary, meta_name, overflow_name, resolve

A, B, C, D = (f"170000000{n}.00000" for n in range(1, 5))
SIDE = "0" * 32


def live(*names):
    found = resolve(names)
    return set(found.names), set(found.obsolete), set(found.unexpected)


@pytest.mark.parametrize(
    ("names", "kept", "obsolete"),
    [
        ([], [], []),
        ([f"{A}.data"], [f"{A}.data"], []),
        ([f"{A}.data", f"{B}.data"], [f"{B}.data"], [f"{A}.data"]),
        ([f"{A}.data", f"{B}.meta"], [f"{A}.data", f"{B}.meta"], []),
        ([f"{B}.data", f"{A}.meta"], [f"{B}.data"], [f"{A}.meta"]),
        ([f"{A}.data", f"{A}.meta"], [f"{A}.data"], [f"{A}.meta"]),
        ([f"{A}.data", f"{B}.meta", f"{C}.meta"], [f"{A}.data", f"{C}.meta"], [f"{B}.meta"]),
        ([f"{A}.data", f"{B}.ts"], [f"{B}.ts"], [f"{A}.data"]),
        ([f"{B}.data", f"{A}.ts"], [f"{B}.data"], [f"{A}.ts"]),
        ([f"{A}.data", f"{A}.ts"], [f"{A}.ts"], [f"{A}.data"]),
        ([f"{A}.ts", f"{B}.ts"], [f"{B}.ts"], [f"{A}.ts"]),
        ([f"{A}.data", f"{B}.meta", f"{C}.ts"], [f"{C}.ts"], [f"{A}.data", f"{B}.meta"]),
        ([f"{A}.ts", f"{B}.meta"], [f"{A}.ts", f"{B}.meta"], []),
        ([f"{A}.meta"], [f"{A}.meta"], []),
        ([f"{A}.data", f"{A}_0000000000000001.ts"], [f"{A}_0000000000000001.ts"], [f"{A}.data"]),
        ([f"{A}_0000000000000002.data", f"{A}_0000000000000001.ts"],
         [f"{A}_0000000000000002.data"], [f"{A}_0000000000000001.ts"]),
    ],
)  # fmt: skip
def test_the_newest_wins(names, kept, obsolete):
    assert live(*names) == (set(kept), set(obsolete), set())


def test_an_older_post_is_kept_for_its_newer_content_type():
    first, second = f"{C}+0.meta", f"{D}-2dc6c0.meta"  # The second knows a type of 30 s before it.
    assert live(f"{A}.data", first, second)[0] == {f"{A}.data", first, second}
    assert live(f"{A}.data", f"{C}-186a0.meta", f"{D}+0.meta")[0] == {f"{A}.data", f"{D}+0.meta"}


def test_of_two_posts_at_one_moment_the_newer_content_type_wins():
    assert live(f"{A}.data", f"{C}-186a0.meta", f"{C}+0.meta")[0] == {f"{A}.data", f"{C}+0.meta"}


def test_the_content_type_in_effect():
    assert resolve([f"{A}.data"]).content_type is None
    assert resolve([f"{A}.data", f"{C}.meta"]).content_type is None
    assert resolve([f"{A}.data", f"{C}-186a0.meta"]).content_type == Timestamp.parse(B)
    assert resolve([f"{C}.data", f"{D}-30d40.meta"]).content_type is None, "older than the data"
    assert resolve([f"{A}.data", f"{C}+0.meta", f"{D}-2dc6c0.meta"]).content_type == Timestamp.parse(C)


def test_the_time_of_the_last_change():
    assert resolve([f"{A}.data", f"{C}.meta"]).timestamp == Timestamp.parse(C)
    assert resolve([f"{B}.ts"]).timestamp == Timestamp.parse(B)
    assert resolve([f"{B}.meta"]).timestamp is None
    assert NOTHING.timestamp is None


@pytest.mark.parametrize(
    "name",
    ["", ".", "x", ".data", "1.data", "1700000001.data", f"{A}.durable", f"{A}#1.data", f"{A}#1#d.data", f"{A}.DATA",
     f"{A}+0.data", f"{A}-.meta", f"{A}+0+0.meta", f"{A}_.ts", f"{A}_00000000000000001.ts", f".{A}.data.Xy12_z",
     f"{A}.data.", f"{A}.data\n", "99999999999.00000.data", "٠" * 10 + ".00000.data"],
)  # fmt: skip
def test_any_other_name_is_unexpected_and_changes_nothing(name):
    kept, obsolete, unexpected = live(f"{A}.ts", f"{B}.data", name)
    assert (kept, obsolete, unexpected) == ({f"{B}.data"}, {f"{A}.ts"}, {name})


@pytest.mark.parametrize("kind", ["data", "ts"])
def test_overflow_follows_its_owner(kind):
    names = [f"{A}.{kind}", f".{A}.{kind}.{SIDE}", f"{B}.data", f".{B}.data.{SIDE}", f".{C}.meta.{SIDE}"]
    found = resolve(names)
    assert found.obsolete == (f"{A}.{kind}", f".{A}.{kind}.{SIDE}"), "owners first"
    assert found.unexpected == (f".{C}.meta.{SIDE}",), "its owner has not come yet, or has gone"


def test_names_are_written_as_they_are_read():
    a, b = Timestamp.parse(A), Timestamp.parse(B)
    assert data_name(a) == f"{A}.data"
    assert meta_name(b, a) == f"{B}-186a0.meta"
    assert meta_name(b, None) == f"{B}.meta"
    assert overflow_name(f"{A}.data", SIDE) == f".{A}.data.{SIDE}"
    assert not is_rsync_temporary(overflow_name(f"{A}.data", SIDE))
    assert is_rsync_temporary(f".{A}.data.Xy12Zz")
