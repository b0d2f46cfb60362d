"""Every filter that an ini file can name: it is found by its egg name, has typed settings, and builds a pipeline."""

from importlib.metadata import entry_points

import pytest

from objstore.config.settings import Settings
from objstore.middleware.pipeline import MANDATORY, canonical
from tests.support.pipeline import RecordingApp, send

FILTERS = {
    point.name: point for point in entry_points(group="paste.filter_factory") if point.value.startswith("objstore.")
}
ORDER = (
    "catch_errors gatekeeper healthcheck proxy-logging cache listing_formats tempauth copy proxy-logging proxy-server"
)

# Options without which a filter is of no use.
NEEDED = {
    "authtoken": {"auth_url": "http://127.0.0.1:5000", "username": "swift", "password": "x"},
    "ldapauth": {"ldap_url": "ldaps://127.0.0.1", "user_base": "ou=people", "group_base": "ou=groups"},
    "keymaster": {"encryption_root_secret": "A" * 44},
}
ASKS_A_SERVICE = ("kmip_keymaster", "kms_keymaster")
"""Made only with a service that answers (tests/unit/middleware/encryption)."""


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = changeme\n")
    return {"swift_dir": str(tmp_path)}


@pytest.mark.parametrize("name", FILTERS)
def test_a_factory_has_settings_and_makes_a_filter(name, conf):
    factory = FILTERS[name].load()
    assert issubclass(factory.settings_class, Settings)
    assert all(item.metadata["doc"] for item in factory.settings_class.keys().values())
    if name not in ASKS_A_SERVICE:
        assert callable(factory(conf, **NEEDED.get(name, {}))(RecordingApp()))


def test_mandatory_filters_exist():
    assert {filter_.name for filter_ in MANDATORY} <= set(FILTERS)


def test_a_whole_pipeline_logs_in_and_reads(conf):
    app = inner = RecordingApp()
    for name in reversed(ORDER.split()[:-1]):
        options = {"user_test_tester": "testing .admin"} if name == "tempauth" else {}
        app = FILTERS[canonical(name)].load()(conf, **options)(app)
    reply = send(app, path="/auth/v1.0", headers={"X-Auth-User": "test:tester", "X-Auth-Key": "testing"})
    assert reply.status == 200 and reply.headers["x-trans-id"].startswith("tx")
    token = reply.headers["x-auth-token"]
    reply = send(app, path="/v1/AUTH_test/c/o", headers={"X-Auth-Token": token, "X-Backend-Forged": "1"})
    assert reply.body == b"inside" and "HTTP_X_BACKEND_FORGED" not in inner.last
    assert send(app, path="/healthcheck").body == b"OK"
    assert send(app, path="/v1/AUTH_test", headers={"X-Auth-Token": "AUTH_tkx"}).status == 401
