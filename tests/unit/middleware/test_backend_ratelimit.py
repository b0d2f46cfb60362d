"""middleware/backend_ratelimit.py: feature B4.16."""

import os

import pytest

from objstore.config.errors import ConfigError
from objstore.middleware.backend_ratelimit import (
    FILE_NAME,
    BackendRatelimit,
    BackendRatelimitSettings,
    Clocks,
    filter_factory,
    load_rates,
)
from tests.support.pipeline import RecordingApp, send


class World:
    """Time that stands still unless it is moved."""

    def __init__(self, tmp_path, **own):
        self.now, self.file = 1000.0, tmp_path / FILE_NAME
        settings, problems = BackendRatelimitSettings.from_pairs(own)
        assert not problems
        self.inside = RecordingApp()
        self.app = BackendRatelimit(
            self.inside, settings, self.file, lambda: load_rates(own, self.file), now=lambda: self.now
        )

    def write(self, text):
        self.file.write_text(text)
        os.utime(self.file, ns=(len(text), len(text)))

    def statuses(self, count, method="PUT", path="/sda/7/a/c/o"):
        return [send(self.app, method, path).status for _ in range(count)]


def test_without_rates_nothing_is_refused(tmp_path):
    assert World(tmp_path).statuses(100) == [200] * 100


def test_a_device_is_asked_so_often_and_no_more(tmp_path):
    world = World(tmp_path, requests_per_device_per_second="5", requests_per_device_rate_buffer="0")
    assert world.statuses(2) == [200, 529]
    world.now += 0.2
    assert world.statuses(2, "GET") == [200, 529]
    assert world.statuses(1, path="/sdb/7/a/c/o") == [200]
    assert len(world.inside.seen) == 3


def test_a_quiet_device_may_be_asked_more_for_a_moment(tmp_path):
    world = World(tmp_path, requests_per_device_per_second="4", requests_per_device_rate_buffer="2")
    for _ in range(2):
        assert world.statuses(12).count(200) == 9
        world.now += 100


def test_methods_have_rates_of_their_own(tmp_path):
    world = World(tmp_path, put_requests_per_device_per_second="1", requests_per_device_rate_buffer="0")
    assert world.statuses(2) == [200, 529] and world.statuses(3, "GET") == [200] * 3


def test_what_is_refused_by_one_rate_does_not_count_for_another(tmp_path):
    rates = {"requests_per_device_per_second": "2", "put_requests_per_device_per_second": "1"}
    world = World(tmp_path, requests_per_device_rate_buffer="0", **rates)
    assert world.statuses(1) == [200]
    world.now += 0.5
    assert world.statuses(5) == [529] * 5 and world.statuses(2, "GET") == [200, 529]


@pytest.mark.parametrize("path", ["/healthcheck", "/recon/load/x", "/", "/sda", "/sda/"])
def test_what_goes_to_no_device_is_not_counted(tmp_path, path):
    world = World(tmp_path, requests_per_device_per_second="1", requests_per_device_rate_buffer="0")
    assert world.statuses(5, "GET", path) == [200] * 5


def test_rates_follow_their_file_and_survive_a_bad_one(tmp_path):
    world = World(tmp_path, requests_per_device_rate_buffer="0")
    strict = "[backend_ratelimit]\nrequests_per_device_per_second = 1\n"
    for text, refused in ((strict, True), ("broken", True), ("[x]\na = 1\n", True), (strict + "x = 1", True)):
        world.write(text)
        world.now += 61
        assert (world.statuses(2)[1] == 529) == refused
    world.file.unlink()
    world.now += 61
    assert world.statuses(5) == [200] * 5


def test_many_devices_take_no_more_memory():
    clocks = Clocks({"": 1000.0}, 0)
    for number in range(20_000):
        assert clocks.admits(f"d{number}", "GET", float(number))
    assert len(clocks._due_s) < 5000


def test_a_server_does_not_start_with_a_file_that_it_cannot_use(tmp_path):
    (tmp_path / FILE_NAME).write_text("[backend_ratelimit]\nput_requests_per_device_per_second = many\n")
    with pytest.raises(ConfigError, match=FILE_NAME):
        filter_factory({"swift_dir": str(tmp_path)})
