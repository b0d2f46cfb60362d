"""kms_keymaster against a stand-in for Keystone and Barbican over real sockets."""

import os

import pytest

from objstore.config.errors import ConfigError
from objstore.http.environ import KEYRING
from objstore.http.tls import server_context
from objstore.middleware.encryption.crypto_meta import KeyId
from objstore.middleware.encryption.keyring import Keyring
from objstore.middleware.encryption.kms_keymaster import filter_factory
from tests.support.barbican import PASSWORD, running_barbican
from tests.support.certificates import make_authority
from tests.support.pipeline import RecordingApp, send

FIRST, SECOND, SHORT = (f"0000000{index}-0000-4000-8000-000000000000" for index in range(3))
PAYLOADS = {FIRST: bytes(range(32)), SECOND: bytes(range(40)), SHORT: b"planted"}


@pytest.fixture
def barbican():
    with running_barbican(payloads=dict(PAYLOADS)) as server:
        yield server


@pytest.fixture
def options(barbican):
    return {
        "auth_endpoint": barbican.url, "barbican_endpoint": barbican.url, "username": "swift", "password": PASSWORD,
        "project_name": "service", "key_id": FIRST, "timeout": "20",
    }  # fmt: skip


def keyring(options):
    app = RecordingApp()
    send(filter_factory({}, **options)(app))
    return app.last[KEYRING]


def test_keys_are_those_of_the_key_manager(barbican, options):
    ring = keyring({**options, "key_id_new": SECOND, "active_root_secret_id": "new", "api_class": "barbican"})
    same = Keyring({None: PAYLOADS[FIRST], "new": PAYLOADS[SECOND]}, "new")
    for key_id in (KeyId("2", "/a/c/o"), KeyId("2", "/a/c/o", "new")):
        assert ring.object_key(key_id) == same.object_key(key_id)
    assert barbican.asked.count("/v3/auth/tokens") == 1


def test_settings_may_stand_in_a_file_of_their_own(options, tmp_path):
    path = tmp_path / "keymaster.conf"
    path.write_text("[kms_keymaster]\n" + "".join(f"{key} = {value}\n" for key, value in options.items()))
    os.chmod(path, 0o600)
    assert keyring({"keymaster_config_path": str(path)})


def test_the_catalog_says_where_the_key_manager_is(barbican, options):
    del options["barbican_endpoint"]
    assert keyring({**options, "barbican_region_name": "one"})
    assert barbican.asked[-1] == f"/v1/secrets/{FIRST}/payload"


@pytest.mark.parametrize(
    "catalog",
    [[], {}, [{"type": "key-manager"}], "x", [{"type": "key-manager", "endpoints": [{"interface": "public"}]}]],
)
def test_a_catalog_without_it_is_told(barbican, options, catalog):
    del options["barbican_endpoint"]
    barbican.catalog = catalog
    with pytest.raises(ConfigError, match="catalog"):
        keyring(options)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"key_id": "0" * 8}, "there is no such secret"),
        ({"key_id": "../../admin"}, "expected the UUID at the end of its reference"),
        ({"key_id": SHORT}, "a key of 32 bytes or more"),
        ({"password": "planted-wrong"}, "our user or password is wrong"),
        ({"auth_endpoint": "http://user:planted@127.0.0.1"}, "a user name or password may not stand in it"),
        ({"auth_endpoint": ""}, "key_id"),
        ({"cafile": "/nowhere"}, "/nowhere"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_without_secrets(options, change, said):
    with pytest.raises(ConfigError) as error:
        keyring({**options, **change})
    assert said in str(error.value)
    assert "planted" not in str(error.value)


@pytest.mark.parametrize("status, said", [(403, "role creator"), (406, "octet-stream"), (503, "503")])
def test_a_refusal_is_told_with_what_it_means(barbican, options, status, said):
    barbican.status = status
    with pytest.raises(ConfigError, match=said) as error:
        keyring(options)
    assert "planted" not in str(error.value)


def test_cve_2013_6396_a_key_manager_over_tls_is_known_by_its_certificate(options, tmp_path):
    authority = make_authority(tmp_path)
    certificate = authority.issue("127.0.0.1")
    with running_barbican(tls=server_context(certificate, None), payloads=PAYLOADS) as barbican:
        here = {**options, "auth_endpoint": barbican.url, "barbican_endpoint": barbican.url}
        assert keyring({**here, "cafile": authority.ca_file})
        with pytest.raises(ConfigError, match="not trusted"):
            keyring(here)
