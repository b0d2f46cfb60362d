"""middleware/container_sync.py, core/sync_realms.py, config/sync_realms.py: feature A2.9."""

import os

import pytest

from objstore.config.errors import ConfigError
from objstore.config.sync_realms import FILE_NAME, LiveRealms, load_realms
from objstore.core.errors import BadRequest
from objstore.core.info import ContainerInfo
from objstore.core.sync_realms import Realms, SignedMessage, SyncAuth, signature
from objstore.http import capabilities
from objstore.http import environ as keys
from objstore.http.environ import INFO
from objstore.middleware.container_sync import ContainerSync, ContainerSyncSettings, filter_factory
from tests.support.infos import FixedInfos
from tests.support.pipeline import RecordingApp, send

TEXT = "[r]\nkey = new\nkey2 = old\ncluster_one = http://one:8080/v1/\ncluster_Two = https://two/v1\n"
PATH, STAMP = "/v1/a/c/o", "1500000000.00000"
INFOS = FixedInfos({}, {("a", "c"): ContainerInfo(204, sync_key="user"), ("a", "d"): ContainerInfo(204)})


@pytest.fixture
def realms(tmp_path):
    (tmp_path / FILE_NAME).write_text(TEXT)
    return load_realms(tmp_path / FILE_NAME)


def go(realms, method="PUT", path=PATH, headers=None, **conf):
    settings, problems = ContainerSyncSettings.from_pairs(conf)
    assert not problems
    app = ContainerSync(RecordingApp(), settings, lambda: realms)
    return send(app, method, path, headers=headers or {}, **{INFO: INFOS})


def auth(key="new", user="user", method="PUT", path=PATH, realm="r", stamp=STAMP):
    signed = signature(key, SignedMessage(method, path, stamp), "nonce", user)
    return {"X-Container-Sync-Auth": f"{realm} nonce {signed}", "X-Backend-Inbound-X-Timestamp": stamp}


def test_the_signature_is_that_of_the_protocol():
    found = signature("changeme", SignedMessage("PUT", "/v1/a/c/o", "1.0"), "n", "k")
    assert found == "a5d96192491143c52630d7e896b9372b5843ab43"  # by openssl dgst -sha1 -hmac


@pytest.mark.parametrize(("key", "realm"), [("new", "r"), ("old", "R")])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_signed_request_is_let_in_with_its_own_time(realms, key, realm, method):
    reply = go(realms, method, headers=auth(key, realm=realm, method=method))
    assert reply.status == 200 and reply.environ[keys.AUTHORIZE_OVERRIDE] and reply.environ[keys.SYNCED]
    assert reply.environ["HTTP_X_TIMESTAMP"] == STAMP


@pytest.mark.parametrize(
    "headers",
    [
        auth("other"),
        auth(user="other"),
        auth(method="DELETE"),
        auth(path="/v1/a/c/p"),
        auth(realm="s"),
        {**auth(), "X-Backend-Inbound-X-Timestamp": "1600000000.00000"},
        {"X-Container-Sync-Auth": "junk"},
        {"X-Container-Sync-Auth": "r n s"},
        {"X-Container-Sync-Auth": ""},
        {"X-Container-Sync-Auth": "r n \xe9"},
    ],
)
def test_any_other_is_refused(realms, headers):
    reply = go(realms, headers=headers)
    assert reply.status == 401 and reply.headers["www-authenticate"] == 'SwiftContainerSync realm="a"'
    assert reply.headers["content-type"] == "text/plain"


def test_a_container_without_a_key_takes_nothing(realms):
    assert go(realms, path="/v1/a/d/o", headers=auth(path="/v1/a/d/o", user="")).status == 401


@pytest.mark.parametrize(
    ("target", "status"),
    [("//r/one/a/c", 200), ("//r/nope/a/c", 400), ("//s/one/a/c", 400), ("http://x/v1/a/c", 200), ("", 200)],
)
def test_where_a_container_may_be_synced_to(realms, target, status):
    assert go(realms, "POST", "/v1/a/c", {"X-Container-Sync-To": target}).status == status


def test_urls_may_be_forbidden(realms):
    assert go(realms, "POST", "/v1/a/c", {"X-Container-Sync-To": "http://x/v1/a/c"}, allow_full_urls="no").status == 400


def test_addresses(realms):
    assert realms.address("//r/one/a/c", ()) == "http://one:8080/v1/a/c"
    assert realms.address("//R/two/a/c/", ()) == "https://two/v1/a/c"
    with pytest.raises(BadRequest, match="host"):
        realms.address("http://x/v1/a/c", ("y",))


def test_words_that_are_no_signature():
    assert SyncAuth.parse("a b") is None and SyncAuth.parse("a b c d") is None


@pytest.mark.parametrize("text", ["[r]\ncluster_one = http://x/\n", "[r]\nkey = k\ncluster_one = x\n", "no section"])
def test_a_file_that_cannot_be_used_is_told(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(ConfigError, match=FILE_NAME):
        load_realms(tmp_path / FILE_NAME)


def test_realms_follow_their_file_and_survive_a_bad_one(tmp_path):
    now = [0.0]
    live = LiveRealms(tmp_path, lambda: now[0])
    assert live.current == Realms()
    for text, names in ((TEXT, {"R"}), ("broken", {"R"}), ("[s]\nkey = k\n", {"S"})):
        (tmp_path / FILE_NAME).write_text(text)
        os.utime(tmp_path / FILE_NAME, ns=(len(text), len(text)))
        now[0] += 10
        assert set(live.current.realms) == names


def test_info_shows_which_cluster_this_is(tmp_path):
    (tmp_path / FILE_NAME).write_text(TEXT)
    filter_factory({"swift_dir": str(tmp_path)}, current="//r/one")
    shown = capabilities.collect()["container_sync"]["realms"]
    assert shown == {"R": {"clusters": {"ONE": {"current": True}, "TWO": {}}}}


@pytest.mark.parametrize("value", ["r", "//r", "//r/c/d"])
def test_a_current_cluster_that_is_none(value):
    assert ContainerSyncSettings.from_pairs({"current": value})[1]


def by_key(realms, hosts="127.0.0.1", method="PUT", path=PATH, **headers):
    sent = {"X-Container-Sync-Key": "user", "X-Backend-Inbound-X-Timestamp": STAMP, **headers}
    return go(realms, method, path, {name: value for name, value in sent.items() if value}, allowed_sync_hosts=hosts)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
def test_a_host_that_is_allowed_needs_no_realm(realms, method):
    reply = by_key(realms, method=method)
    assert reply.environ[keys.AUTHORIZE_OVERRIDE] and reply.environ["HTTP_X_TIMESTAMP"] == STAMP


@pytest.mark.parametrize(
    "said",
    [
        {"hosts": ""},
        {"hosts": "127.0.0.2, ::1"},
        {"X-Container-Sync-Key": "other"},
        {"X-Container-Sync-Key": "us\xe9r"},
        {"X-Backend-Inbound-X-Timestamp": ""},
        {"path": "/v1/a/d/o"},
        {"path": "/v1/a/c", "method": "POST"},
    ],
    ids=str,
)
def test_whoever_only_says_a_key_is_a_client_like_others(realms, said):
    reply = by_key(realms, **said)
    assert keys.AUTHORIZE_OVERRIDE not in reply.environ and "HTTP_X_TIMESTAMP" not in reply.environ


def test_the_path_is_signed_as_it_stands_in_the_request_line(realms):
    name = "/v1/a/c/o \xc3\xa9%41"
    assert go(realms, path=name, headers=auth(path="/v1/a/c/o%20%C3%A9%2541")).status == 200
    assert go(realms, path=name, headers=auth(path=name)).status == 401
