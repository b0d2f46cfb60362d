"""middleware/ldap/: logins and rights out of a directory, which is a stand-in over real sockets."""

import logging
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from objstore.config.errors import ConfigError, located
from objstore.core.info import AccountInfo
from objstore.http import environ as keys
from objstore.http.request import Request
from objstore.http.tls import server_context
from objstore.middleware.ldap.filter import filter_factory
from objstore.middleware.ldap.people import People
from objstore.middleware.ldap.settings import LdapauthSettings
from objstore.middleware.ldap.wire import LdapServer
from objstore.middleware.tempauth import Tempauth
from objstore.middleware.tempauth_throttle import Throttle
from objstore.runtime import green
from tests.support.certificates import make_authority
from tests.support.clock import SimClock
from tests.support.directory import (
    BUSY,
    GROUPS,
    OPTIONS,
    PEOPLE,
    SERVICE,
    SERVICE_PASSWORD,
    person,
    running_directory,
)
from tests.support.http_script import scripted_server
from tests.support.pipeline import RecordingApp, send

PASSWORD = "planted-pass w\xf6rd"


def entries():
    people = {
        person(name): {"uid": [name], "entryUUID": [f"uuid-{name}"], "pwdChangedTime": ["1"]}
        for name in ("ann", "bob", "root", "eye", "lone", "*", "m\xf6we", "(x)(y")
    }
    groups = {
        "test-admins": ["ann", "m\xf6we"],
        "test": ["bob", "*", "(x)(y"],
        "staff": ["root", "eye"],
        "AUTH_test": ["lone", "bob"],
        "swift-admins": ["root"],
        "swift-readers": ["eye"],
        "glance": ["bob"],
    }
    return people | {
        f"cn={name},{GROUPS}": {"cn": [name], "member": list(map(person, members))} for name, members in groups.items()
    }


def parsed(pairs):
    settings, problems = LdapauthSettings.from_pairs(pairs)
    assert not problems, problems
    return settings


class World:
    """The filter over an app that asks for authorization like the proxy does."""

    def __init__(self, directory, **options):
        self.directory = directory
        self.clock = SimClock()
        self.inner = RecordingApp()
        self.acl = None
        settings = parsed({"ldap_url": f"ldap://{directory.host}:{directory.port}", **OPTIONS, **options})
        server = LdapServer(
            *settings.address,
            settings.trust.context() if settings.has_tls else None,
            settings.start_tls and not settings.is_ldaps,
            settings.connect_timeout,
            settings.timeout,
        )
        self.people = People(settings, server, self.clock.monotonic)
        self.auth = Tempauth(
            self._proxy,
            settings,
            default_key=lambda: bytes(32),
            now=self.clock.monotonic,
            throttle=Throttle(lambda seconds: None, self.clock.monotonic),
            users=self.people,
        )

    def account(self, environ, account, *, fresh=False):
        return AccountInfo(204)

    def _proxy(self, environ, start_response):
        environ[keys.INFO] = self
        environ[keys.ACL] = self.acl
        refusal = environ[keys.AUTHORIZE](Request(environ))
        return (refusal or self.inner)(environ, start_response)

    def login(self, user="test:ann", password=PASSWORD):
        headers = {"X-Auth-User": user, "X-Auth-Key": password}
        headers = {name: value.encode().decode("latin-1") for name, value in headers.items()}
        return send(self.auth, path="/auth/v1.0", headers=headers)

    def token(self, user="test:ann", password=PASSWORD):
        reply = self.login(user, password)
        assert reply.status == 200, reply.body
        return reply.headers["x-auth-token"]

    def status(self, token=None, method="GET", path="/v1/AUTH_test/c"):
        return send(self.auth, method, path, headers={"X-Auth-Token": token} if token else {}).status


@contextmanager
def world(tls=None, *, starts_tls=False, **options):
    passwords = {dn: PASSWORD for dn in entries()} | {SERVICE: SERVICE_PASSWORD}
    with running_directory(tls, starts_tls=starts_tls, entries=entries(), passwords=passwords) as directory:
        made = World(directory, **options)
        try:
            yield made
        finally:
            made.people.close()


def test_a_password_buys_a_token_that_opens_the_account():
    with world() as w:
        reply = w.login()
        assert (reply.status, reply.headers["x-storage-url"]) == (200, "http://127.0.0.1:8080/v1/AUTH_test")
        assert w.status(reply.headers["x-auth-token"], "PUT") == 200
        assert w.inner.last[keys.OWNER] is True


@pytest.mark.parametrize(
    ("user", "method", "path", "status"),
    [
        ("test:ann", "DELETE", "/v1/AUTH_test/c", 200),
        ("test:ann", "GET", "/v1/AUTH_other/c", 403),
        ("test:ann", "PUT", "/v1/AUTH_test", 403),
        ("test:bob", "GET", "/v1/AUTH_test/c", 403),
        ("staff:root", "PUT", "/v1/AUTH_test", 200),
        ("staff:eye", "GET", "/v1/AUTH_test/c", 200),
        ("staff:eye", "PUT", "/v1/AUTH_test/c", 403),
        ("test:m\xf6we", "PUT", "/v1/AUTH_test/c", 200),
        ("test:*", "GET", "/v1/AUTH_test/c", 403),
        ("test:(x)(y", "GET", "/v1/AUTH_test/c", 403),
    ],
)
def test_rights_are_those_of_the_directorys_groups(user, method, path, status):
    with world() as w:
        assert w.status(w.token(user), method, path) == status


def test_members_are_let_in_where_acls_name_them():
    with world(extra_groups="glance") as w:
        bob = w.token("test:bob")
        for acl in ("test", "test:bob", "glance"):
            w.acl = acl
            assert w.status(bob) == 200
        for acl in ("staff", "test:ann", "swift-admins", "AUTH_test"):
            w.acl = acl
            assert w.status(bob) == 403


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("test:ann", "wrong"),
        ("test:ann", ""),
        ("test:ann", "\0"),
        ("test:nobody", PASSWORD),
        ("test:lone", PASSWORD),
        ("other:ann", PASSWORD),
        ("AUTH_test:lone", PASSWORD),
        ("AUTH_test:bob", PASSWORD),
        ("swift-readers:ann", PASSWORD),
        ("test:", PASSWORD),
        (":ann", PASSWORD),
        ("ann", PASSWORD),
        ("test:ann,x", PASSWORD),
        ("test:a\nnn", PASSWORD),
        ("test:" + "a" * 300, PASSWORD),
        ("test:.ann", PASSWORD),
    ],
    ids=repr,
)
def test_who_gets_no_token(user, password):
    with world() as w:
        reply = w.login(user, password)
    assert reply.status == 401 and "x-auth-token" not in reply.headers


def test_an_empty_password_is_never_sent_to_the_directory():
    """It would say yes to it, as to nobody's."""
    with world() as w:
        assert w.login("test:ann", "").status == 401
        assert person("ann") not in w.directory.questions("bind")


@pytest.mark.parametrize("user", ["*", "ann)(uid=root", "ann\\", "ann)(|(uid=*", "\\2a"])
def test_a_name_cannot_become_part_of_a_filter(user):
    with world() as w:
        w.login(f"test:{user}")
        (search, *_) = w.directory.questions("search")
    assert search == f"{PEOPLE} {[('uid', user)]}"


def test_bytes_that_are_no_text_are_no_password():
    with world() as w:
        headers = {"X-Auth-User": "test:ann", "X-Auth-Key": "\xff"}
        assert send(w.auth, path="/auth/v1.0", headers=headers).status == 401


def test_two_entries_for_one_name_are_nobody():
    with world() as w:
        w.directory.entries[f"uid=ann,ou=temps,{PEOPLE}"] = {"uid": ["ann"]}
        assert w.login().status == 401


# What ends a token


def change(world, dn, **attributes):
    world.directory.entries[dn].update(attributes)


@pytest.mark.parametrize(
    "hurt",
    [
        lambda w: w.directory.entries.pop(person("ann")),
        lambda w: change(w, person("ann"), pwdChangedTime=["2"]),
        lambda w: change(w, person("ann"), entryUUID=["another of that name"]),
        lambda w: change(w, f"cn=test-admins,{GROUPS}", member=[person("bob")]),
    ],
    ids=["removed", "another password", "another user", "no member any more"],
)
def test_what_ends_a_token_once_the_directory_is_asked_again(hurt):
    with world() as w:
        token = w.token()
        hurt(w)
        assert w.status(token) == 200
        w.clock.advance(61)
        assert w.status(token) == 401


def test_who_has_just_joined_may_log_in():
    with world() as w:
        assert w.login("staff:bob").status == 401
        change(w, f"cn=staff,{GROUPS}", member=[person("bob")])
        assert w.login("staff:bob").status == 200


def test_rights_are_those_of_now():
    with world() as w:
        token = w.token("test:bob")
        assert w.status(token) == 403
        change(w, f"cn=test-admins,{GROUPS}", member=[person("bob")])
        w.clock.advance(61)
        assert w.status(token, "PUT") == 200


def test_the_directory_is_asked_once_for_all_who_come_at_once():
    with world() as w:
        token = w.token()
        w.clock.advance(61)
        w.directory.asked.clear()
        waiting = [green.spawn(w.status, token) for _ in range(20)]
        assert {task.join() for task in waiting} == {200}
        assert len(w.directory.questions("search")) == 2


def test_connections_are_used_again_and_replaced_when_they_die():
    with world() as w:
        for _ in range(3):
            w.clock.advance(61)
            assert w.people.find("test:ann")
        assert w.directory.connection_count == 1
        w.people._idle[0]._ldap.socket.stream.shut_down()
        w.clock.advance(61)
        assert w.people.find("test:ann")
        assert w.directory.connection_count == 2


# The directory away


def test_while_the_directory_is_away_known_users_go_on_and_others_are_told_to_come_back(caplog):
    with world() as w:
        token = w.token()
        assert w.status(token) == 200
        w.directory.result = BUSY
        assert w.status(token) == 200
        reply = w.login("test:bob")
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        w.clock.advance(61)
        assert w.status(token) == 503
        w.directory.result = None
        assert w.status(token) == 200
    assert "users cannot be looked up" in caplog.text


def test_nobody_listening_is_503():
    with world() as w:
        pass
    assert w.login().status == 503


def test_a_slow_directory_holds_up_nobody_who_is_known():
    with world() as w:
        token = w.token()
        assert w.status(token) == 200
        w.directory.hold = threading.Event()
        waiting = green.spawn(w.login, "test:bob")
        green.sleep(0)
        for _ in range(3):
            assert w.status(token) == 200
        assert not waiting.is_done
        w.directory.hold.set()
        assert waiting.join().status == 200


def test_a_directory_that_is_silent_is_given_up():
    with scripted_server(lambda peer, index: peer.read_to_end()) as server:
        assert World(server, timeout="0.2").login().status == 503


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x84\xff\xff\xff\xff" + bytes(5_000_000),
        b"\x30\x03\x02\x01\x01",
        b"\x30\x05\x02\x01\x01\x61\x00",
        b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x05",
        b"\x30\x0c\x02\x01\x01\x7f\x07\x0a\x01\x00\x04\x00\x04\x00",
        b"\x30\x80\x00\x00",
        b"\x30\x00",
        b"\x04\x03abc",
        b"\x30\x0c\x02\x01\x63\x61\x07\x0a\x01\x00\x04\x00\x04\x00",
        b"",
    ],
    ids=lambda said: said[:16].hex(),
)
def test_who_answers_in_another_language_is_no_directory(said):
    """Another protocol, an endless message, broken ones, and an answer to another question."""

    def play(peer, index):
        peer.read()
        peer.send(said)

    with scripted_server(play) as server:
        assert World(server).login().status == 503


def test_a_wrong_bind_password_is_the_operators_and_said_so(caplog):
    with world(bind_password="changed-planted") as w:
        assert w.login().status == 503
    assert f"refuses bind_dn '{SERVICE}'" in caplog.text and "changed-planted" not in caplog.text


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize("starts_tls", [False, True], ids=["ldaps", "StartTLS"])
def test_passwords_go_over_tls(authority, starts_tls):
    context = server_context(authority.issue("127.0.0.1"), None)
    with world(context, starts_tls=starts_tls, cafile=authority.ca_file, start_tls="yes", allow_plaintext="no") as w:
        if not starts_tls:
            w = World(w.directory, ldap_url=f"ldaps://127.0.0.1:{w.directory.port}", cafile=authority.ca_file)
        assert w.status(w.token()) == 200
        kinds = [what for what, _ in w.directory.asked]
        assert ("extended" in kinds) is starts_tls
        assert not starts_tls or kinds[0] == "extended"
        w.people.close()


@pytest.mark.parametrize("starts_tls", [False, True], ids=["ldaps", "StartTLS"])
def test_cve_2013_6396_no_password_goes_to_a_directory_that_nobody_vouches_for(authority, starts_tls):
    context = server_context(authority.issue("elsewhere.example"), None)
    with world(context, starts_tls=starts_tls, cafile=authority.ca_file, start_tls="yes", allow_plaintext="no") as w:
        if not starts_tls:
            w = World(w.directory, ldap_url=f"ldaps://127.0.0.1:{w.directory.port}", cafile=authority.ca_file)
        assert w.login().status == 503
        assert w.directory.questions("bind") == []


def test_what_comes_in_the_clear_behind_starttls_ends_it(authority):
    context = server_context(authority.issue("127.0.0.1"), None)
    with world(context, starts_tls=True, cafile=authority.ca_file, start_tls="yes", allow_plaintext="no") as w:
        w.directory.injects = b"\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00"
        assert w.login().status == 503
        assert w.directory.questions("bind") == []


def test_a_directory_without_starttls_gets_no_password(authority):
    with world(None, cafile=authority.ca_file, start_tls="yes", allow_plaintext="no") as w:
        w.directory.result = 2
        assert w.login().status == 503
        assert w.directory.questions("bind") == []


def test_a_process_whose_libraries_have_green_sockets_asks_over_tls(authority):
    """As proxies do: ldap3 is imported after that, and would wait in those sockets without a deadline."""
    context = server_context(authority.issue("127.0.0.1"), None)
    passwords = {dn: PASSWORD for dn in entries()} | {SERVICE: SERVICE_PASSWORD}
    with running_directory(context, entries=entries(), passwords=passwords) as directory:
        section = {
            **OPTIONS,
            "ldap_url": f"ldaps://127.0.0.1:{directory.port}",
            "cafile": authority.ca_file,
            "fernet_keys": "A" * 43 + "=",
        }
        script = f"""
import objstore.http.server
from objstore.runtime import green
green.patch_sockets()
from objstore.middleware.ldap.filter import filter_factory
from tests.support.pipeline import send
filter_ = filter_factory({{}}, **{section!r})(None)
headers = {{"X-Auth-User": "test:ann", "X-Auth-Key": {PASSWORD!r}.encode().decode("latin-1")}}
assert send(filter_, path="/auth/v1.0", headers=headers).status == 200
headers["X-Auth-Key"] = "wrong"
assert send(filter_, path="/auth/v1.0", headers=headers).status == 401
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


# Settings and secrets


@pytest.mark.parametrize(
    ("pairs", "key"),
    [
        ({"ldap_url": ""}, "ldap_url"),
        ({"ldap_url": "http://x"}, "ldap_url"),
        ({"ldap_url": "ldap://u:planted-secret@x"}, "ldap_url"),
        ({"user_base": ""}, "user_base"),
        ({"group_base": ""}, "group_base"),
        ({"user_filter": "(uid=x)"}, "user_filter"),
        ({"user_filter": "(uid={name})"}, "user_filter"),
        ({"user_filter": "(uid={user}"}, None),
        ({"admin_group": "admins"}, "admin_group"),
        ({"start_tls": "no"}, "start_tls"),
        ({"bind_dn": "cn=x"}, "bind_dn"),
        ({"accept_unbound_tokens": "yes"}, "accept_unbound_tokens"),
        ({"user_a_b": "planted-secret"}, "user_a_b"),
        ({"cafile": "/nowhere"}, "cafile"),
    ],
    ids=str,
)
def test_bad_settings_are_reported_without_secrets(pairs, key):
    complete = {"ldap_url": "ldap://h", "user_base": "x", "group_base": "x"}
    _, problems = LdapauthSettings.from_pairs({**complete, **pairs})
    assert key is None or key in [problem.key for problem in problems]
    assert not problems or "planted-secret" not in str(ConfigError(located(problems, "f", "s")))


def test_a_filter_that_is_none_is_found_before_anybody_logs_in():
    section = {"ldap_url": "ldaps://h", "user_base": "x", "group_base": "x", "user_filter": "((uid={user}"}
    with pytest.raises(ConfigError, match="RFC 4515"):
        filter_factory({}, **section)


def test_cve_2017_8761_no_password_is_ever_logged_or_answered(caplog):
    said = []
    with caplog.at_level(logging.DEBUG), world() as w:
        said.append(w.login())
        said.append(w.login("test:ann", "planted-wrong"))
        w.directory.result = BUSY
        said.append(w.login("test:ann", "planted-busy"))
        w.directory.result = 1
        said.append(w.login("test:ann", "planted-error"))
    text = caplog.text + repr([(reply.headers, reply.body) for reply in said])
    assert "planted" not in text
