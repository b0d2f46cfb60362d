"""middleware/ratelimit.py and core/rates.py: feature A5.11."""

import pytest

from objstore.cache.memory import MemoryCache
from objstore.config.errors import ConfigError
from objstore.core.info import AccountInfo, ContainerInfo
from objstore.core.rates import RateTable, wait_ms
from objstore.http.environ import CACHE, INFO, SOURCE
from objstore.middleware.ratelimit import Ratelimit, RatelimitSettings, filter_factory
from tests.support.infos import FixedInfos
from tests.support.pipeline import RecordingApp, send

TABLE = RateTable.of([(100, 100.0), (200, 50.0), (500, 10.0)])


@pytest.mark.parametrize(
    ("objects", "rate"),
    [(0, None), (99, None), (100, 100.0), (150, 75.0), (200, 50.0), (350, 30.0), (500, 10.0), (9999, 10.0)],
)
def test_rates_lie_on_lines_between_the_points(objects, rate):
    assert TABLE.rate(objects) == rate
    assert RateTable(()).rate(objects) is None


@pytest.mark.parametrize(
    ("running", "wait"), [(1000, None), (4899, None), (5100, 0), (10_100, 0), (10_101, 1), (10_600, 500)]
)
def test_a_turn_comes_after_those_before_it(running, wait):
    assert wait_ms(running, 10_000, 100, 5000) == wait


class World:
    """Time that only sleeping moves."""

    def __init__(self, objects=0, sysmeta=None, **pairs):
        settings, problems = RatelimitSettings.from_pairs(pairs)
        assert not problems and not list(settings.problems())
        self.now, self.slept = 1000.0, []
        self.cache = MemoryCache(100, monotonic=lambda: self.now)
        infos = FixedInfos(
            {"a": AccountInfo(204, sysmeta=sysmeta or {})}, {("a", "c"): ContainerInfo(204, object_count=objects)}
        )
        self.services = {INFO: infos, CACHE: self.cache}
        self.app = Ratelimit(RecordingApp(), settings, now=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds):
        self.slept.append(round(seconds, 3))
        self.now += seconds

    def send(self, method="PUT", path="/v1/a/c/o", **more):
        return send(self.app, method, path, **self.services, **more)


def test_writes_to_a_container_wait_for_their_turn():
    world = World(150, container_ratelimit_100="100", container_ratelimit_200="50", rate_buffer_seconds="0")
    begun = world.now
    for _ in range(76):
        assert world.send().status == 200
    assert world.now - begun == pytest.approx(75 * 0.013, abs=0.01)


def test_small_containers_and_reads_do_not_wait():
    world = World(99, container_ratelimit_100="1")
    for method in ("PUT", "DELETE", "GET", "HEAD", "GET"):
        assert world.send(method).status == 200
    world = World(1000, container_ratelimit_100="1")
    for _ in range(3):
        world.send("GET")
    assert not world.slept


def test_a_quiet_client_may_spend_what_it_saved():
    world = World(100, container_ratelimit_100="10", rate_buffer_seconds="2")
    world.send()
    world.now += 1.9
    for _ in range(19):
        world.send()
    assert not world.slept
    world.send(), world.send()
    assert world.slept


def test_whoever_would_wait_too_long_is_refused_and_does_not_count():
    world = World(100, container_ratelimit_100="1", max_sleep_time_seconds="2")
    world.app._sleep = world.slept.append  # Nobody's time passes: all come at once.
    statuses = [world.send().status for _ in range(6)]
    assert statuses == [200, 200, 200, 498, 498, 498] and world.slept == [1.0, 2.0]


def test_containers_of_an_account():
    world = World(account_ratelimit="2", rate_buffer_seconds="0")
    for method in ("PUT", "DELETE", "POST", "GET"):
        world.send(method, "/v1/a/c")
    assert world.slept == [0.5]


def test_listings_have_their_own_rates():
    world = World(100, container_listing_ratelimit_0="4", rate_buffer_seconds="0")
    world.send("GET", "/v1/a/c"), world.send("GET", "/v1/a/c")
    world.send("PUT"), world.send("PUT"), world.send("GET")
    assert world.slept == [0.25]


@pytest.mark.parametrize(
    ("said", "conf", "status"),
    [
        ("WHITELIST", {}, 200),
        ("BLACKLIST", {}, 497),
        ("", {"account_whitelist": "a"}, 200),
        ("", {"account_blacklist": "x, a"}, 497),
    ],
)
def test_lists_of_accounts(said, conf, status):
    world = World(
        100, {"global-write-ratelimit": said}, container_ratelimit_0="0.001", max_sleep_time_seconds="0", **conf
    )
    assert [world.send().status for _ in range(3)] == [status] * 3
    assert world.send("GET").status == 200


def test_an_account_may_have_a_rate_of_its_own():
    world = World(0, {"global-write-ratelimit": "5"}, rate_buffer_seconds="0")
    world.send(), world.send("POST", "/v1/a/d")
    assert world.slept == [0.2]
    world = World(0, {"global-write-ratelimit": "many"}, rate_buffer_seconds="0")
    assert world.send().status == 200


def test_what_filters_ask_is_not_counted_twice():
    world = World(100, container_ratelimit_0="0.1", max_sleep_time_seconds="0")
    assert [world.send(**{SOURCE: "SLO"}).status for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("source", ["BD", "EA", "FP"])
def test_what_a_client_asks_for_many_at_once_counts_one_by_one(source):
    world = World(100, container_ratelimit_0="0.1", max_sleep_time_seconds="0", rate_buffer_seconds="0")
    assert [world.send(**{SOURCE: source}).status for _ in range(3)] == [200, 498, 498]


@pytest.mark.parametrize(
    ("key", "value"),
    [("container_ratelimit_x", "1"), ("container_ratelimit_1", "0"), ("container_listing_ratelimit_1", "nan")],
)
def test_a_rate_that_is_none_is_told(key, value):
    with pytest.raises(ConfigError, match=key):
        filter_factory({}, **{key: value})
