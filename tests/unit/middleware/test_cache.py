"""middleware/cache.py."""

import pytest

from objstore.cache.memcached import MemcachedCache
from objstore.cache.memory import MemoryCache
from objstore.config.errors import ConfigError
from objstore.http.environ import CACHE
from objstore.middleware.cache import filter_factory
from tests.support.pipeline import RecordingApp, send


def service(global_conf, **options):
    app = RecordingApp()
    send(filter_factory(global_conf, **options)(app))
    return app.last[CACHE]


def test_without_servers_each_worker_has_its_own(tmp_path):
    cache = service({"swift_dir": str(tmp_path)})
    assert isinstance(cache, MemoryCache) and not cache.is_shared


def test_servers_of_the_filter(tmp_path):
    cache = service({"swift_dir": str(tmp_path)}, memcache_servers="127.0.0.1:1, 127.0.0.1:2")
    assert isinstance(cache, MemcachedCache) and cache.is_shared


def test_memcache_conf_beside_swift_conf_counts_where_the_filter_names_none(tmp_path):
    (tmp_path / "memcache.conf").write_text("[memcache]\nmemcache_servers = 127.0.0.1:1\nunknown_of_swift = 1\n")
    assert isinstance(service({"swift_dir": str(tmp_path)}), MemcachedCache)
    assert isinstance(service({"swift_dir": str(tmp_path)}, memcache_servers=""), MemoryCache)


@pytest.mark.parametrize("options", [{"memcache_servers": "a:b"}, {"memcache_serialization_support": "0"}])
def test_bad_settings_are_reported(tmp_path, options):
    with pytest.raises(ConfigError):
        filter_factory({"swift_dir": str(tmp_path)}, **options)
