"""Root secrets from ini files: what is accepted, and that no problem shows one."""

import base64
import os

import pytest

from objstore.config.errors import ConfigError
from objstore.http.environ import KEYRING
from objstore.middleware.encryption.crypto_meta import KeyId
from objstore.middleware.encryption.keymaster import filter_factory
from tests.support.pipeline import RecordingApp, send

SECRET = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(40))).decode()


def keyring(**options):
    app = RecordingApp()
    send(filter_factory({}, **options)(app))
    return app.last[KEYRING]


def test_one_secret_is_enough():
    assert keyring(encryption_root_secret=SECRET).object_key(KeyId("2", "/a/c/o"))


def test_the_active_one_of_several_is_written_with():
    ring = keyring(encryption_root_secret=SECRET, encryption_root_secret_2026=OTHER, active_root_secret_id="2026")
    assert ring.object_key(KeyId("2", "/a/c/o")) != ring.object_key(KeyId("2", "/a/c/o", "2026"))


@pytest.mark.parametrize(
    "options, said",
    [
        ({}, "encryption_root_secret, or an active_root_secret_id"),
        ({"encryption_root_secret": "planted!"}, "openssl rand -base64 32"),
        ({"encryption_root_secret": base64.b64encode(b"planted").decode()}, "base64 of 32 bytes or more"),
        ({"encryption_root_secret": SECRET, "encryption_root_secret_x": "planted"}, "encryption_root_secret_x"),
        ({"encryption_root_secret": SECRET, "active_root_secret_id": "x"}, "none"),
        ({"encryption_root_secret_y": SECRET, "active_root_secret_id": "x"}, "'y'"),
        ({"encryption_root_secret_y": SECRET}, "encryption_root_secret, or an active_root_secret_id"),
        ({"encryption_root_secret": SECRET, "meta_version_to_write": "4"}, "one of 1, 2, 3"),
        ({"encryption_rot_secret": "planted"}, "a known setting"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_told_without_its_value(options, said):
    with pytest.raises(ConfigError) as error:
        keyring(**options)
    assert said in str(error.value)
    for value in ("planted", SECRET, options.get("encryption_root_secret") or SECRET):
        assert value not in str(error.value)


def secret_file(tmp_path, text, mode=0o640):
    path = tmp_path / "keymaster.conf"
    path.write_text(text)
    os.chmod(path, mode)
    return str(path)


def test_secrets_may_stand_in_a_file_of_their_own(tmp_path):
    path = secret_file(tmp_path, f"[keymaster]\nencryption_root_secret = {SECRET}\n")
    assert keyring(keymaster_config_path=path).object_key(KeyId("2", "/a/c/o"))


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o641])
def test_a_file_of_secrets_that_others_can_read_or_change_is_refused(tmp_path, mode):
    path = secret_file(tmp_path, f"[keymaster]\nencryption_root_secret = {SECRET}\n", mode)
    with pytest.raises(ConfigError, match="chmod 640"):
        keyring(keymaster_config_path=path)


@pytest.mark.parametrize(
    "text, options, said",
    [
        (
            f"[keymaster]\nencryption_root_secret = {SECRET}\n",
            {"encryption_root_secret": OTHER},
            "because keymaster_conf",
        ),
        ("[other]\n", {}, "a section \\[keymaster\\]"),
        (
            "[keymaster]\nencryption_root_secret = planted\n",
            {},
            "keymaster.conf: \\[keymaster\\] encryption_root_secret",
        ),
        ("[keymaster]\nencryption_root_scret = planted\n", {}, "a known setting"),
        (f"[keymaster]\nencryption_rot_secret = {SECRET}\n", {}, "did you mean 'encryption_root_secret'"),
    ],
    ids=["both", "no section", "bad secret", "misspelt", "nearly"],
)
def test_a_wrong_file_of_secrets_is_told(tmp_path, text, options, said):
    with pytest.raises(ConfigError, match=said) as error:
        keyring(keymaster_config_path=secret_file(tmp_path, text), **options)
    assert "planted" not in str(error.value) and SECRET not in str(error.value) and OTHER not in str(error.value)


def test_a_file_of_secrets_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="a file that can be read"):
        keyring(keymaster_config_path=str(tmp_path / "none"))
