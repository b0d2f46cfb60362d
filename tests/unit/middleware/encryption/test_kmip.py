"""kmip_keymaster against a stand-in that speaks KMIP over TLS, and against PyKMIP's server where that is installed."""

import importlib.util
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.config.errors import ConfigError
from objstore.http.environ import KEYRING
from objstore.middleware.encryption import ttlv
from objstore.middleware.encryption.crypto_meta import KeyId
from objstore.middleware.encryption.keyring import Keyring
from objstore.middleware.encryption.kmip_keymaster import filter_factory
from tests.replay.client import wait_for_port
from tests.support.certificates import make_authority
from tests.support.kmip import running_kmip
from tests.support.pipeline import RecordingApp, send
from tests.support.ports import PortBlock

KEYS = {"first": bytes(range(32)), "second": bytes(range(32, 64)), "short": b"planted"}
PASSWORD = "planted-password"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("127.0.0.1")


@pytest.fixture
def kmip(authority, certificate):
    with running_kmip(certificate, authority.ca_file, keys=dict(KEYS)) as server:
        yield server


@pytest.fixture
def options(kmip, authority, certificate):
    return {
        "host": "127.0.0.1", "port": str(kmip.port), "ca_certs": authority.ca_file, "certfile": certificate,
        "key_id": "first", "timeout": "20",
    }  # fmt: skip


def keyring(options):
    app = RecordingApp()
    send(filter_factory({}, **options)(app))
    return app.last[KEYRING]


def test_keys_are_those_of_the_key_manager(kmip, options):
    ring = keyring({**options, "key_id_new": "second", "active_root_secret_id": "new"})
    same = Keyring({None: KEYS["first"], "new": KEYS["second"]}, "new")
    for key_id in (KeyId("2", "/a/c/o"), KeyId("2", "/a/c/o", "new")):
        assert ring.object_key(key_id) == same.object_key(key_id)
    assert sorted(kmip.asked) == ["first", "second"]


def test_a_user_is_named_where_the_key_manager_wants_one(kmip, options):
    kmip.user = ("proxy", PASSWORD)
    assert keyring({**options, "username": "proxy", "password": PASSWORD})
    with pytest.raises(ConfigError, match="refused: 'wrong user'"):
        keyring({**options, "username": "proxy", "password": "planted-wrong"})


@pytest.mark.parametrize(
    "change, said",
    [
        ({"key_id": "gone"}, "key 'gone': refused: 'Could not locate object'"),
        ({"key_id": "short"}, "a key of 32 bytes or more; 'short' has 7"),
        ({"key_id": ""}, "expected key_id, or an active_root_secret_id"),
        ({"active_root_secret_id": "x"}, "one of the ids that key_id_<id> has: none"),
        ({"certfile": "/nowhere"}, "/nowhere"),
        ({"host": "localhost"}, "certificate is not trusted"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_without_secrets(kmip, options, change, said):
    with pytest.raises(ConfigError) as error:
        keyring({**options, "username": "u", "password": PASSWORD, **change})
    assert said in str(error.value)
    assert "planted" not in str(error.value)


def test_cve_2013_6396_a_key_manager_that_nobody_vouches_for_is_not_believed(kmip, options, tmp_path):
    with pytest.raises(ConfigError, match="not trusted"):
        keyring({**options, "ca_certs": make_authority(tmp_path).ca_file})
    assert kmip.asked == []


@pytest.mark.parametrize(
    "kind, key_format, said", [(0x420085, 1, "not a symmetric key"), (0x42008F, 2, "not in the raw format")]
)
def test_what_is_no_raw_symmetric_key_is_refused(kmip, options, kind, key_format, said):
    kmip.kind, kmip.key_format = kind, key_format
    with pytest.raises(ConfigError, match=said):
        keyring(options)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x42\x00\x7b\x01\x00\x00\x00\x00",
        b"\x42\x00\x7b\x01\xff\xff\xff\xff",
        b"\x42\x00\x7b\x01\x00\x00\x00\x10planted",
        ttlv.structure(0x42007B, ttlv.structure(0x42000F, ttlv.text(0x42007F, "planted"))),
    ],
    ids=["nothing", "HTTP", "empty", "huge", "cut", "no number"],
)
def test_an_answer_that_is_none_is_an_error(kmip, options, answer):
    kmip.answer = answer
    with pytest.raises(ConfigError, match="a key that can be had") as error:
        keyring(options)
    assert "planted" not in str(error.value)


@given(st.binary(max_size=64))
def test_bytes_that_are_no_ttlv_are_that_and_nothing_else(data):
    try:
        item = ttlv.parse(data)
        list(item.items())
        item.find(1, 2)
    except ttlv.NotTtlv as error:
        assert len(data) < 4 or data.hex() not in str(error)


def test_an_item_does_not_show_its_value():
    assert "planted" not in repr(ttlv.parse(ttlv.text(1, "planted")))


PYKMIP_SERVER = """
from kmip.services.server.server import KmipServer
server = KmipServer(
    hostname="127.0.0.1", port={port}, certificate_path="{pem}", key_path="{pem}", ca_path="{ca}", auth_suite="TLS1.2",
    config_path=None, log_path="{folder}/log", policy_path="{folder}", enable_tls_client_auth=False,
    logging_level="ERROR", database_path="{folder}/db",
)
with server:
    server.serve()
"""
PYKMIP_REGISTER = """
from kmip.core import enums
from kmip.pie import objects
from kmip.pie.client import ProxyKmipClient
key = objects.SymmetricKey(
    enums.CryptographicAlgorithm.AES, 256, bytes(range(32)), [enums.CryptographicUsageMask.ENCRYPT]
)
with ProxyKmipClient(
    hostname="127.0.0.1", port={port}, cert="{pem}", key="{pem}", ca="{ca}", ssl_version="PROTOCOL_TLSv1_2"
) as client:
    print(client.register(key))
"""


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("kmip") is None, reason="PyKMIP is not installed")
def test_pykmips_server_hands_out_its_keys(authority, certificate, tmp_path):
    ports = PortBlock()
    names = {"port": ports.first, "pem": certificate, "ca": authority.ca_file, "folder": tmp_path}
    server = subprocess.Popen([sys.executable, "-c", PYKMIP_SERVER.format(**names)])
    try:
        wait_for_port(("127.0.0.1", ports.first), 60)
        script = PYKMIP_REGISTER.format(**names)
        made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        ring = keyring(
            {
                "host": "127.0.0.1", "port": str(ports.first), "ca_certs": authority.ca_file, "certfile": certificate,
                "key_id": made.stdout.strip(),
            }
        )  # fmt: skip
        assert ring.object_key(KeyId("2", "/a/c/o")) == Keyring({None: bytes(range(32))}).object_key(
            KeyId("2", "/a/c/o")
        )
    finally:
        server.terminate()
        server.wait(60)
        ports.release()
