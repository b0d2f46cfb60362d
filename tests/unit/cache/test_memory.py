"""cache/memory.py."""

from objstore.cache.memory import MemoryCache
from tests.support.clock import SimClock


def test_values_end_when_their_time_is_over():
    clock = SimClock()
    cache = MemoryCache(monotonic=clock.monotonic)
    cache.set("a", {"x": 1}, 10)
    cache.set("b", 2)
    clock.advance(9.9)
    assert cache.get("a") == {"x": 1}
    clock.advance(0.1)
    assert cache.get("a") is None and cache.get("b") == 2


def test_the_least_recently_used_entry_goes_first():
    cache = MemoryCache(2)
    cache.set("a", 1)
    cache.set("b", 2)
    cache.get("a")
    cache.set("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


def test_delete():
    cache = MemoryCache()
    cache.set("a", 1)
    cache.delete("a")
    cache.delete("a")
    assert cache.get("a") is None


def test_counters_never_fall_below_zero_and_keep_their_first_life():
    clock = SimClock()
    cache = MemoryCache(monotonic=clock.monotonic)
    assert [cache.incr("n", 5, 10), cache.incr("n"), cache.incr("n", -9)] == [5, 6, 0]
    clock.advance(8)
    cache.incr("n", 1, 10)
    clock.advance(3)
    assert cache.get("n") is None and cache.incr("n", -1) == 0


def test_what_is_no_counter_cannot_be_counted():
    cache = MemoryCache()
    cache.set("a", "text")
    assert cache.incr("a") is None and cache.get("a") == "text"
