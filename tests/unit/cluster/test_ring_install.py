import os

import pytest

from objstore.cluster.ring_install import ForeignRings, InstalledRings, OlderRings, RingsRefused
from objstore.cluster.ring_manifest import RingSet, digest_of
from objstore.ring.fileformat import load, written
from objstore.runtime.fs import Fs
from tests.support.recording_fs import PowerCut, RecordingFs
from tests.support.rings import make_ring

NAMES = ("account.ring.gz", "object.ring.gz")


def rings(version, devices=4):
    data = written(make_ring(devices=devices), "x.ring.gz")
    return RingSet(version, {name: (digest_of(data), data) for name in NAMES})


OLD, NEW = rings(1), rings(2, devices=6)


def installed(etc, *sets, fs=None):
    found = InstalledRings(etc, fs or Fs())
    for each in sets:
        found.install(each)
    return found


def content(etc):
    return {name: (etc / name).read_bytes() for name in NAMES}


def bytes_of(ring_set):
    return {name: data for name, (_, data) in ring_set.files.items()}


def test_rings_are_installed_and_told(tmp_path):
    found = installed(tmp_path, OLD)
    assert content(tmp_path) == bytes_of(OLD)
    state = found.state()
    assert (state.version, state.foreign) == (1, ())
    assert state.digests == {name: digest for name, (digest, _) in OLD.files.items()}
    assert found.ring_set() == OLD


def test_the_same_rings_again_change_nothing(tmp_path):
    found = installed(tmp_path, OLD)
    before = (tmp_path / "object.ring.gz").stat().st_mtime_ns
    assert found.install(OLD) is False
    assert (tmp_path / "object.ring.gz").stat().st_mtime_ns == before


def test_newer_rings_replace_older_ones_and_never_the_other_way_round(tmp_path):
    found = installed(tmp_path, OLD, NEW)
    with pytest.raises(OlderRings, match="version 1 are older than those here, 2"):
        found.install(OLD)
    with pytest.raises(OlderRings, match="version 1 are older"):
        found.install(OLD, is_forced=True)
    assert content(tmp_path) == bytes_of(NEW)


def test_other_rings_under_the_same_version_are_refused(tmp_path):
    found = installed(tmp_path, OLD)
    with pytest.raises(OlderRings, match="other rings of the same version, 1, are here already"):
        found.install(rings(1, devices=6))


def test_a_ring_that_was_copied_by_hand_stays_until_it_is_forced(tmp_path):
    found = installed(tmp_path, OLD)
    foreign = rings(9, devices=8).files["object.ring.gz"][1]
    (tmp_path / "object.ring.gz").write_bytes(foreign)
    assert found.state().foreign == ("object.ring.gz",)
    with pytest.raises(ForeignRings, match="object.ring.gz was put here by hand and stays.*objstore ring push"):
        found.install(NEW)
    assert (tmp_path / "object.ring.gz").read_bytes() == foreign
    found.install(NEW, is_forced=True)
    assert content(tmp_path) == bytes_of(NEW)


def test_rings_that_were_here_before_any_agent_are_the_operators(tmp_path):
    (tmp_path / "object.ring.gz").write_bytes(rings(1, devices=8).files["object.ring.gz"][1])
    with pytest.raises(ForeignRings):
        installed(tmp_path, OLD)


def test_who_has_copied_the_newest_ring_by_hand_is_in_nobodys_way(tmp_path):
    found = installed(tmp_path, OLD)
    (tmp_path / "object.ring.gz").write_bytes(NEW.files["object.ring.gz"][1])
    assert found.install(NEW)


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x")], ids=["lost", "cut"]
)
def test_a_ring_that_is_lost_or_damaged_is_told_as_missing_and_installed_again(tmp_path, damage):
    found = installed(tmp_path, OLD)
    damage(tmp_path / "object.ring.gz")
    assert (found.state().digests["object.ring.gz"], found.state().foreign) == ("", ())
    assert found.install(OLD)
    assert content(tmp_path) == bytes_of(OLD)


def test_rings_are_not_given_on_when_they_are_not_what_was_installed(tmp_path):
    found = installed(tmp_path, OLD)
    (tmp_path / "object.ring.gz").write_bytes(b"x")
    with pytest.raises(RingsRefused, match="is not the ring that was installed last"):
        found.ring_set()


def test_a_full_disk_leaves_the_old_rings_and_nothing_beside_them(tmp_path):
    installed(tmp_path, OLD)
    before = sorted(os.listdir(tmp_path))
    full = RecordingFs(fail={"write": OSError(28, "No space left on device")})
    with pytest.raises(OSError, match="No space"):
        installed(tmp_path, NEW, fs=full)
    assert content(tmp_path) == bytes_of(OLD)
    assert sorted(os.listdir(tmp_path)) == before


def _events(tmp_path):
    installed(tmp_path, OLD)
    recorded = RecordingFs()
    installed(tmp_path, NEW, fs=recorded)
    return recorded.events


def test_a_crash_anywhere_leaves_whole_rings_none_foreign_and_the_next_push_mends(tmp_path):
    first = tmp_path / "recorded"
    first.mkdir()
    events = _events(first)
    assert len(events) > 8
    for stop in range(len(events)):
        etc = tmp_path / f"stop{stop}"
        etc.mkdir()
        installed(etc, OLD)
        with pytest.raises(PowerCut):
            installed(etc, NEW, fs=RecordingFs(stop_after=stop))
        for name in NAMES:
            load(etc / name)
        found = InstalledRings(etc, Fs())
        assert found.state().foreign == (), stop
        found.install(NEW)
        assert content(etc) == bytes_of(NEW) and found.state().version == 2


def test_every_file_is_durable_before_the_manifest_names_it(tmp_path):
    events = _events(tmp_path)
    renamed = [event[2].rpartition("/")[2] for event in events if event[0] == "rename"]
    assert renamed == ["rings.next.json", *NAMES, "rings.json"]
    manifest = next(i for i, event in enumerate(events) if event[0] == "rename" and event[2].endswith("/rings.json"))
    last_ring = max(i for i, event in enumerate(events) if event[0] == "rename" and event[2].endswith(NAMES))
    assert ("sync directory", str(tmp_path)) in events[last_ring:manifest]
