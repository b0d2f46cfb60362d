"""Names, mounts and the reserve of devices."""

import os

import pytest

from objstore.core.errors import DeviceUnavailable, InsufficientStorage
from objstore.runtime.devices import MEASURE_AGAIN_S, NO_RESERVE, Devices, Reserve, Room
from tests.support.clock import SimClock


def test_path_of_a_directory_is_given_when_mounts_are_not_checked(tmp_path):
    (tmp_path / "sda1").mkdir()
    assert Devices(tmp_path, mount_check=False).path("sda1") == f"{tmp_path}/sda1"


def test_a_root_that_goes_up_and_down_is_walked_once(tmp_path):
    (tmp_path / "etc" / "n1").mkdir(parents=True)
    (tmp_path / "nodes" / "sda").mkdir(parents=True)
    devices = Devices(f"{tmp_path}/etc/n1/../../nodes", mount_check=False)
    assert devices.path("sda") == f"{tmp_path}/nodes/sda"


def test_missing_device_is_unavailable(tmp_path):
    with pytest.raises(DeviceUnavailable, match="sdb1: no such directory"):
        Devices(tmp_path, mount_check=False).path("sdb1")


def test_stub_file_is_no_device(tmp_path):
    (tmp_path / "sda1").touch()
    with pytest.raises(DeviceUnavailable):
        Devices(tmp_path, mount_check=False).path("sda1")


def test_bare_directory_is_refused_when_mounts_are_checked(tmp_path):
    (tmp_path / "sda1").mkdir()
    with pytest.raises(DeviceUnavailable, match="sda1: not mounted"):
        Devices(tmp_path, mount_check=True).path("sda1")


def test_mount_point_is_accepted():
    assert Devices("/", mount_check=True).path("proc") == "//proc"


class TestAMountThatIsKnown:
    """Looked at afresh once a second, and at once when it is another directory than it was."""

    @pytest.fixture
    def looked(self, monkeypatch):
        """Paths of which the long question was asked; all are mount points that are listed as such."""
        asked = []
        monkeypatch.setattr(os.path, "ismount", lambda path: asked.append(path) or path in self.mounted)
        return asked

    @pytest.fixture
    def device(self, tmp_path):
        path = tmp_path / "sda1"
        path.mkdir()
        self.mounted = {str(path)}
        return path

    def test_is_not_asked_for_every_request(self, tmp_path, device, looked):
        devices = Devices(tmp_path, mount_check=True, monotonic=SimClock().monotonic)
        for _ in range(3):
            assert devices.path("sda1") == str(device)
        assert looked == [str(device)]

    def test_is_asked_again_after_a_second(self, tmp_path, device, looked):
        clock = SimClock()
        devices = Devices(tmp_path, mount_check=True, monotonic=clock.monotonic)
        devices.path("sda1")
        self.mounted.clear()
        clock.advance(1.1)
        with pytest.raises(DeviceUnavailable, match="sda1: not mounted"):
            devices.path("sda1")

    def test_is_missed_at_once_when_another_directory_appears(self, tmp_path, device, looked):
        devices = Devices(tmp_path, mount_check=True, monotonic=SimClock().monotonic)
        devices.path("sda1")
        self.mounted.clear()
        device.rename(tmp_path / "away")
        device.mkdir()
        with pytest.raises(DeviceUnavailable, match="sda1: not mounted"):
            devices.path("sda1")

    def test_that_vanishes_is_missed_at_once(self, tmp_path, device, looked):
        devices = Devices(tmp_path, mount_check=True, monotonic=SimClock().monotonic)
        devices.path("sda1")
        device.rmdir()
        with pytest.raises(DeviceUnavailable, match="sda1: not mounted"):
            devices.path("sda1")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../etc", "a b", "a%2fb", "\0", "é"])
def test_unsafe_names_are_refused(tmp_path, name):
    with pytest.raises(DeviceUnavailable):
        Devices(tmp_path, mount_check=False).path(name)


def test_names_lists_usable_devices_in_order(tmp_path):
    for name in ("sdb1", "sda1", "lost found"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    assert Devices(tmp_path, mount_check=False).names() == ["sda1", "sdb1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", Reserve(0)),
        ("", Reserve(0)),
        ("1024", Reserve(1024)),
        ("1%", Reserve(1, True)),
        (" 2.5% ", Reserve(2.5, True)),
    ],
)
def test_reserve_is_bytes_or_percent(text, expected):
    assert Reserve.parse(text) == expected


@pytest.mark.parametrize("text", ["-1", "101%", "-1%", "x", "1GB", "nan%"])
def test_bad_reserve_is_a_value_error(text):
    with pytest.raises(ValueError):
        Reserve.parse(text)


def test_reserve_in_bytes_counts_what_is_coming(tmp_path):
    status = os.statvfs(tmp_path)
    everything = status.f_blocks * status.f_frsize
    Devices.check_reserve(str(tmp_path), 0, Reserve(1))
    with pytest.raises(InsufficientStorage, match="fallocate_reserve"):
        Devices.check_reserve(str(tmp_path), everything, Reserve(1))


def test_reserve_in_percent(tmp_path):
    with pytest.raises(InsufficientStorage):
        Devices.check_reserve(str(tmp_path), 0, Reserve(100, True))


def test_no_reserve_asks_nothing(tmp_path):
    Devices.check_reserve(str(tmp_path / "missing"), 1 << 60, NO_RESERVE)


class TestRoom:
    """The reserve, asked many times a second."""

    @pytest.fixture
    def clock(self):
        return SimClock()

    def free(self, tmp_path):
        status = os.statvfs(tmp_path)
        return status.f_bavail * status.f_frsize

    def test_what_was_taken_is_not_free_any_more(self, tmp_path, clock):
        room, half = Room(Reserve(1), clock.monotonic), self.free(tmp_path) * 6 // 10
        room.take(str(tmp_path), half)
        with pytest.raises(InsufficientStorage, match="fallocate_reserve"):
            room.take(str(tmp_path), half)

    def test_only_asking_takes_nothing(self, tmp_path, clock):
        room, half = Room(Reserve(1), clock.monotonic), self.free(tmp_path) * 6 // 10
        for _ in range(3):
            room.check(str(tmp_path), half)

    def test_the_file_system_is_asked_again_after_a_while(self, tmp_path, clock):
        room, half = Room(Reserve(1), clock.monotonic), self.free(tmp_path) * 6 // 10
        room.take(str(tmp_path), half)
        clock.advance(MEASURE_AGAIN_S)
        room.take(str(tmp_path), half)

    def test_a_refused_upload_takes_nothing(self, tmp_path, clock):
        room, free = Room(Reserve(1), clock.monotonic), self.free(tmp_path)
        with pytest.raises(InsufficientStorage):
            room.take(str(tmp_path), free * 2)
        room.take(str(tmp_path), free // 2)

    def test_devices_are_measured_each_for_itself(self, tmp_path, clock):
        room, half = Room(Reserve(1), clock.monotonic), self.free(tmp_path) * 6 // 10
        (tmp_path / "other").mkdir()
        room.take(str(tmp_path), half)
        room.take(str(tmp_path / "other"), half)

    def test_no_reserve_asks_nothing(self, tmp_path):
        Room(NO_RESERVE).take(str(tmp_path / "missing"), 1 << 60)
