"""middleware/keystone/authtoken.py and what it stands on, against a Keystone that speaks over real sockets."""

import json
import logging
import socket
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.cache.memory import MemoryCache
from objstore.config.errors import ConfigError, located
from objstore.http import environ as keys
from objstore.http.identity import IDENTITY, IDENTITY_HEADERS, SERVICE_IDENTITY
from objstore.http.outgoing import Outgoing
from objstore.http.response import page
from objstore.http.tls import server_context
from objstore.middleware.keystone.authtoken import Authtoken, filter_factory
from objstore.middleware.keystone.authtoken_settings import AuthtokenSettings
from objstore.middleware.keystone.service import Keystone, api_url
from objstore.middleware.keystone.tokens import NotAToken, identity_of
from objstore.proxy.headers import object_headers
from objstore.runtime import green
from tests.support.certificates import make_authority
from tests.support.clock import SimClock
from tests.support.http import wait_until
from tests.support.keystone import SERVICE_PASSWORD, FakeKeystone, running_keystone
from tests.support.pipeline import RecordingApp, make_environ, send

FIELDS = ("token", "user", "project", "domain", "roles", "id", "name", "expires_at", "system", "application_credential")
OPTIONS = {
    "username": "swift",
    "password": SERVICE_PASSWORD,
    "project_name": "service",
    "delay_auth_decision": "yes",
    "http_connect_timeout": "20",
    "http_request_timeout": "20",
}


def parsed(pairs):
    settings, problems = AuthtokenSettings.from_pairs(pairs)
    assert not problems, problems
    return settings


class World:
    def __init__(self, keystone, clock, **options):
        self.keystone = keystone
        self.clock = clock
        self.set_back_s = 0.0
        self.inner = RecordingApp()
        self.settings = parsed({"auth_url": keystone.url, **OPTIONS, **options})
        self.outgoing = Outgoing(
            trust=self.settings.trust,
            connect_timeout_s=self.settings.http_connect_timeout,
            timeout_s=self.settings.http_request_timeout,
        )
        self.filter = self.worker()

    def worker(self):
        """A filter of another worker or machine, with the same settings."""
        service = Keystone(
            self.outgoing,
            self.settings.auth_url,
            self.settings.credentials,
            timeout_s=self.settings.http_request_timeout,
            now=self.wall,
            monotonic=self.clock.monotonic,
        )
        return Authtoken(self.inner, self.settings, service, now=self.wall, monotonic=self.clock.monotonic)

    def wall(self):
        return self.clock.monotonic() - self.set_back_s

    def ask(self, token=None, service=None, *, worker=None, headers=(), **extra):
        headers = dict(headers)
        if token is not None:
            headers["X-Auth-Token"] = token
        if service is not None:
            headers["X-Service-Token"] = service
        return send(worker or self.filter, headers=headers, **extra)

    def whose(self, *arguments, **options):
        """The Identity with which a request goes on; None for nobody's."""
        assert self.ask(*arguments, **options).status == 200
        return self.inner.last.get(IDENTITY)


@contextmanager
def world(tls=None, **options):
    clock = SimClock()
    with running_keystone(tls=tls, now=clock.monotonic) as keystone:
        made = World(keystone, clock, **options)
        try:
            yield made
        finally:
            made.outgoing.close()


def test_a_token_tells_who_asks():
    with world() as w:
        identity = w.whose(w.keystone.issue("alice", "p1", ("admin", "Member")))
    assert (identity.user_id, identity.user_name, identity.user_domain_id) == ("alice-id", "alice", "default")
    assert (identity.project_id, identity.project_domain_name) == ("p1-id", "Default")
    assert identity.roles == ("Member", "admin") and not identity.is_system
    told = w.inner.last
    assert told["HTTP_X_IDENTITY_STATUS"] == "Confirmed"
    assert (told["HTTP_X_USER_ID"], told["HTTP_X_PROJECT_ID"], told["HTTP_X_ROLES"]) == (
        "alice-id",
        "p1-id",
        "Member,admin",
    )


def test_keystone_may_speak_tls(tmp_path):
    authority = make_authority(tmp_path)
    with world(server_context(authority.issue("127.0.0.1"), None), cafile=authority.ca_file) as w:
        assert w.whose(w.keystone.issue()).user_name == "alice"


def test_cve_2013_6396_a_keystone_that_nobody_vouches_for_is_not_believed(tmp_path):
    authority = make_authority(tmp_path)
    with world(server_context(authority.issue("127.0.0.1"), None)) as w:
        assert w.ask(w.keystone.issue()).status == 503
    assert w.keystone.asked == [] and not w.inner.seen


@pytest.mark.parametrize("header", ["X-Auth-Token", "X-Storage-Token"])
def test_a_token_stands_in_either_header(header):
    with world() as w:
        assert w.whose(headers={header: w.keystone.issue()}).user_name == "alice"


@pytest.mark.parametrize("token", [None, "nonsense", "", "two words", "\xe9", "a\tb", "x" * 8000], ids=repr)
def test_who_has_no_good_token_is_nobody(token):
    with world() as w:
        assert w.whose(token) is None
        assert w.inner.last["HTTP_X_IDENTITY_STATUS"] == "Invalid"
        assert w.whose(w.keystone.issue()) is not None


@pytest.mark.parametrize("token", [None, "nonsense"])
def test_without_delay_who_has_no_good_token_is_refused_here(token):
    with world(delay_auth_decision="no", www_authenticate_uri="http://public.example:5000") as w:
        reply = w.ask(token)
        assert (reply.status, reply.headers["www-authenticate"]) == (
            401,
            'Keystone uri="http://public.example:5000"',
        )
        assert not w.inner.seen
        assert w.ask(w.keystone.issue()).status == 200


def test_who_is_refused_further_in_is_told_where_tokens_come_from():
    with world() as w:
        w.inner.answer = page(401)
        assert w.ask().headers["www-authenticate"].startswith("Keystone uri=")


def test_what_a_client_says_about_itself_is_removed():
    lies = {name.title(): "admin" for name in IDENTITY_HEADERS}
    with world() as w:
        w.ask(headers=lies)
    left = {key: value for key, value in w.inner.last.items() if key.startswith("HTTP_X_")}
    assert left == {"HTTP_X_IDENTITY_STATUS": "Invalid"}
    assert IDENTITY not in w.inner.last


def test_who_asks_is_never_told_to_storage_servers():
    with world() as w:
        w.ask(w.keystone.issue(), w.keystone.issue("glance", "service", ("service",)))
    assert not {name.lower() for name, _ in object_headers(w.inner.last)} & IDENTITY_HEADERS


@pytest.mark.parametrize("key", [keys.AUTHORIZE_OVERRIDE, keys.REMOTE_USER])
def test_keystone_is_not_asked_where_a_filter_before_knows_who_asks(key):
    with world(delay_auth_decision="no") as w:
        assert w.ask("a tempauth token", **{key: "known"}).status == 200
    assert w.keystone.asked == []


# How often Keystone is asked


def test_keystone_is_asked_once_about_a_token():
    with world() as w:
        token = w.keystone.issue()
        for _ in range(3):
            assert w.whose(token).user_name == "alice"
        assert w.keystone.validations() == 1
        w.clock.advance(301)
        assert w.whose(token).user_name == "alice"
        assert w.keystone.validations() == 2


def test_a_revoked_token_ends_when_its_time_in_the_cache_is_over():
    with world(token_cache_time="60") as w:
        token = w.keystone.issue()
        assert w.whose(token)
        w.keystone.revoke(token)
        w.clock.advance(61)
        assert w.whose(token) is None


def test_a_clock_that_is_set_back_prolongs_nothing():
    with world() as w:
        token = w.keystone.issue(life_s=100_000)
        assert w.whose(token)
        w.keystone.revoke(token)
        w.set_back_s = 10_000
        w.clock.advance(301)
        assert w.whose(token) is None


def test_a_clock_that_is_set_back_silences_nobody():
    with world() as w:
        w.keystone.password = "changed"
        assert w.ask(w.keystone.issue()).status == 503
        w.keystone.password = SERVICE_PASSWORD
        w.set_back_s = 10_000
        w.clock.advance(11)
        assert w.whose(w.keystone.issue())


def test_an_expired_token_ends_at_once_whatever_the_cache_holds():
    with world() as w:
        token = w.keystone.issue(life_s=100)
        assert w.whose(token)
        w.clock.advance(101)
        assert w.whose(token) is None


def test_bad_tokens_are_remembered_for_a_short_time():
    with world() as w:
        assert [w.whose("nonsense") for _ in range(3)] == [None] * 3
        assert w.keystone.validations() == 1
        w.clock.advance(31)
        assert w.whose("nonsense") is None
        assert w.keystone.validations() == 2


def test_no_number_of_bad_tokens_pushes_out_a_good_one():
    with world() as w:
        token = w.keystone.issue()
        assert w.whose(token)
        for number in range(10_000):
            w.filter._cache.keep(f"bad{number}", None, None, allow_expired=False)
        w.keystone.asked.clear()
        assert w.whose(token) and w.keystone.asked == []
        assert len(w.filter._cache._bad._entries) <= 8192


def test_those_who_come_at_once_with_one_token_make_one_question():
    with world() as w:
        token = w.keystone.issue()
        waiting = [green.spawn(w.whose, token) for _ in range(20)]
        assert {task.join().user_name for task in waiting} == {"alice"}
        assert w.keystone.asked.count(("GET", token)) == 1


class SharedCache(MemoryCache):
    is_shared = True


def test_workers_share_what_keystone_said_sealed():
    shared = SharedCache()
    with world() as w:
        token = w.keystone.issue("alice")
        assert w.whose(token, **{keys.CACHE: shared})
        assert w.whose(token, worker=w.worker(), **{keys.CACHE: shared}).user_name == "alice"
        assert w.keystone.validations() == 1
    stored = repr(shared._entries)
    assert "alice" not in stored and token not in stored


@pytest.mark.parametrize("forgery", ["other key", "nonsense", "copied", 5, None, {"identity": {}}, "gAAAAA=="])
def test_nobody_becomes_somebody_by_writing_the_cache(forgery):
    """What is not sealed by us, or was sealed for another token, is no answer."""
    shared = SharedCache()
    with world() as w, world(password="another") as stranger:
        admin, mine = w.keystone.issue("root"), w.keystone.issue("mallory", roles=())
        w.whose(admin, **{keys.CACHE: shared})
        (key,) = shared._entries
        own_key = "objstore/keystone/" + w.filter._cache.name(mine, allow_expired=False)
        if forgery == "copied":
            shared.set(own_key, shared.get(key), 100)
        elif forgery == "other key":
            shared.set(own_key, stranger.filter._cache._sealed(own_key.rpartition("/")[2], w.whose(admin), 2e9), 100)
        else:
            shared.set(own_key, forgery, 100)
        assert w.whose(mine, worker=w.worker(), **{keys.CACHE: shared}).user_name == "mallory"


# Our own token


def test_our_own_token_is_got_once_and_renewed_before_it_ends():
    with world() as w:
        for _ in range(3):
            assert w.whose(w.keystone.issue())
        assert [method for method, _ in w.keystone.asked].count("POST") == 1
        w.clock.advance(w.keystone.life_s - 30)
        assert w.whose(w.keystone.issue())
        assert [method for method, _ in w.keystone.asked].count("POST") == 2


def test_our_own_token_is_renewed_when_keystone_does_not_know_it_any_more():
    with world() as w:
        assert w.whose(w.keystone.issue())
        w.keystone.tokens.clear()
        assert w.whose(w.keystone.issue()).user_name == "alice"
        assert [method for method, _ in w.keystone.asked] == ["POST", "GET", "GET", "POST", "GET"]


def test_a_refused_password_is_said_once_and_not_tried_again_at_once(caplog):
    with world() as w, caplog.at_level(logging.INFO):
        w.keystone.password = "changed"
        for _ in range(5):
            assert w.ask(w.keystone.issue()).status == 503
        assert len(w.keystone.asked) == 1
        assert len(caplog.records) == 1 and "username, password and project_name" in caplog.text
        w.keystone.password = SERVICE_PASSWORD
        w.clock.advance(11)
        assert w.whose(w.keystone.issue())
        assert "answers again" in caplog.text


def test_a_service_user_without_the_role_is_named_in_the_log(caplog):
    with world() as w:
        w.keystone.service_roles = ("Member",)
        assert w.ask(w.keystone.issue()).status == 503
    assert "it needs a role for that" in caplog.text


# Keystone away


def test_while_keystone_is_away_cached_tokens_go_on_and_others_are_told_to_come_back():
    with world() as w:
        known, unknown = w.keystone.issue(), w.keystone.issue()
        assert w.whose(known)
        w.keystone.answer = (500, [], b"broken")
        assert w.whose(known).user_name == "alice"
        reply = w.ask(unknown)
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        assert w.ask(unknown, method="HEAD").body == b""
        w.keystone.answer = None
        assert w.whose(unknown).user_name == "alice"


def test_nobody_listening_is_503_and_soon_better():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        made = World(FakeKeystone(url=f"http://127.0.0.1:{bound.getsockname()[1]}"), SimClock())
        assert made.ask("token").status == 503
        assert made.ask("token").status == 503
        made.outgoing.close()


@pytest.mark.parametrize(
    "answer",
    [
        (404, [], b"<html>not found"),
        (404, [], b'{"detail": "Not Found"}'),
        (200, [], b"[]"),
        (200, [], b'{"token": {}}'),
        (200, [], b"{" * 100_000),
        (302, [("Location", "http://elsewhere/")], b""),
        (403, [], b""),
        (503, [], b""),
    ],
    ids=["other server", "other api", "list", "empty", "deep", "redirect", "forbidden", "unavailable"],
)
def test_what_does_not_speak_of_the_token_is_no_verdict_about_it(answer):
    with world() as w:
        assert w.whose(w.keystone.issue())
        token = w.keystone.issue()
        w.keystone.answer = answer
        assert w.ask(token).status == 503
        w.keystone.answer = None
        assert w.whose(token).user_name == "alice"


def test_a_slow_keystone_holds_up_nobody_whose_token_is_known():
    with world() as w:
        known, unknown = w.keystone.issue(), w.keystone.issue()
        assert w.whose(known)
        open_ = green.Future()
        w.keystone.hold = open_.wait
        waiting = green.spawn(w.ask, unknown)
        wait_until(lambda: w.keystone.asked[-1] == ("GET", unknown))
        for _ in range(3):
            assert w.ask(known).status == 200
        assert not waiting.is_done
        open_.set()
        assert waiting.join().status == 200


def test_how_many_wait_for_a_slow_keystone_is_bounded():
    with world() as w:
        assert w.whose(w.keystone.issue())
        open_ = green.Future()
        w.keystone.hold = open_.wait
        waiting = [green.spawn(w.ask, f"token{number}") for number in range(64)]
        wait_until(lambda: len(w.keystone.asked) == 66)
        assert w.ask("one-more").status == 503
        open_.set()
        assert {task.join().status for task in waiting} == {200}


def test_a_keystone_that_is_silent_is_given_up():
    with world(http_request_timeout="0.3") as w:
        never = green.Future()
        w.keystone.hold = never.wait
        assert w.ask("token").status == 503
        never.set()


# Service tokens


def test_a_service_token_tells_for_whom_the_user_asks():
    with world() as w:
        w.ask(w.keystone.issue(), w.keystone.issue("glance", "service", ("service",)))
        assert w.inner.last[SERVICE_IDENTITY].user_name == "glance"
        assert w.inner.last["HTTP_X_SERVICE_IDENTITY_STATUS"] == "Confirmed"
        w.ask(w.keystone.issue(), "nonsense")
        assert SERVICE_IDENTITY not in w.inner.last
        assert w.inner.last["HTTP_X_SERVICE_IDENTITY_STATUS"] == "Invalid"


def test_a_bad_service_token_is_refused_without_delay():
    with world(delay_auth_decision="no") as w:
        assert w.ask(w.keystone.issue(), "nonsense").status == 401


@pytest.mark.parametrize(("roles", "is_let_in"), [(("service",), True), (("Service",), True), (("Member",), False)])
def test_a_service_may_go_on_with_a_token_that_is_over(roles, is_let_in):
    with world() as w:
        token = w.keystone.issue(life_s=10)
        service = w.keystone.issue("glance", "service", roles)
        w.clock.advance(11)
        assert w.whose(token) is None
        assert (w.whose(token, service) is not None) is is_let_in
        assert w.whose(token) is None


def test_a_service_token_may_have_to_have_a_role():
    with world(service_token_roles_required="yes") as w:
        w.ask(w.keystone.issue(), w.keystone.issue("bob", "p2", ("Member",)))
        assert SERVICE_IDENTITY not in w.inner.last


# What an answer may say


@pytest.mark.parametrize(
    "change",
    [
        {"user": None},
        {"user": {"id": "", "name": "x", "domain": {"id": "d", "name": "D"}}},
        {"user": {"id": "a\nb", "name": "x", "domain": {"id": "d", "name": "D"}}},
        {"expires_at": "soon"},
        {"expires_at": 5},
        {"roles": [{"id": "x"}]},
        {"roles": "admin"},
        {"project": {"id": "p"}},
        {"application_credential": {"id": "x", "access_rules": []}},
    ],
    ids=str,
)
def test_a_description_that_is_none_is_refused(change):
    keystone = FakeKeystone()
    token = keystone.issue()
    description = keystone.tokens[token].description | change
    with pytest.raises(NotAToken):
        identity_of(json.dumps({"token": description}).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON | st.fixed_dictionaries({"token": st.dictionaries(st.sampled_from(FIELDS), JSON)}))
@settings(deadline=None, max_examples=60)
def test_any_answer_is_a_description_or_is_none(document):
    try:
        identity_of(json.dumps(document).encode())
    except NotAToken:
        pass


@pytest.mark.parametrize(
    ("options", "project_id", "domain_id", "is_system"),
    [
        ({"project": None}, "", "", False),
        ({"project": None, "domain": {"id": "d1", "name": "D1"}}, "", "d1", False),
        ({"project": None, "system": {"all": True}}, "", "", True),
        ({"application_credential": {"id": "x", "restricted": True}}, "p1-id", "", False),
    ],
)
def test_what_a_token_may_be_for(options, project_id, domain_id, is_system):
    keystone = FakeKeystone()
    token = keystone.issue(**options)
    identity = identity_of(json.dumps({"token": keystone.tokens[token].description}).encode())
    assert (identity.project_id, identity.domain_id, identity.is_system) == (project_id, domain_id, is_system)


def test_a_role_with_a_comma_does_not_become_two():
    with world() as w:
        identity = w.whose(w.keystone.issue(roles=("Member", "x,admin")))
        assert not identity.has_role(frozenset({"admin"}))
        assert w.inner.last["HTTP_X_ROLES"] == "Member"


# Settings


@pytest.mark.parametrize(
    ("pairs", "key"),
    [
        ({}, "auth_url"),
        ({"auth_url": "keystone:5000"}, "auth_url"),
        ({"auth_url": "http://user:planted-secret@k/"}, "auth_url"),
        ({"password": ""}, "password"),
        ({"username": ""}, "username"),
        ({"auth_type": "token"}, "auth_type"),
        ({"cafile": "/nowhere.pem"}, "cafile"),
        ({"pasword": "planted-secret"}, "pasword"),
        ({"memcache_secret_keys": "planted-secret"}, "memcache_secret_keys"),
        ({"token_cache_time": "-1"}, "token_cache_time"),
    ],
    ids=str,
)
def test_bad_settings_are_reported_without_secrets(pairs, key):
    complete = {"auth_url": "http://k:5000", "username": "u", "password": "planted-secret"} if pairs else {}
    _, problems = AuthtokenSettings.from_pairs({**complete, **pairs})
    assert key in [problem.key for problem in problems]
    assert "planted-secret" not in str(ConfigError(located(problems, "f", "filter:authtoken")))


def test_the_section_that_operators_have_from_the_installation_guide_will_do():
    section = parsed(
        {
            "www_authenticate_uri": "http://controller:5000",
            "auth_url": "http://controller:5000",
            "memcached_servers": "controller:11211",
            "auth_type": "password",
            "project_domain_id": "default",
            "user_domain_id": "default",
            "project_name": "service",
            "username": "swift",
            "password": "SWIFT_PASS",
            "delay_auth_decision": "True",
            "service_token_roles_required": "True",
        }
    )
    assert section.delay_auth_decision and section.service_token_roles_required


@pytest.mark.parametrize("url", ["http://k:5000", "http://k:5000/", "http://k:5000/v3", "http://k:5000/v3/"])
def test_auth_url_may_name_the_version(url):
    assert api_url(url) == "http://k:5000/v3"


def test_the_factory_makes_a_filter_of_a_section(tmp_path):
    with running_keystone() as keystone:
        local = {"auth_url": keystone.url + "/v3", **OPTIONS}
        inner = RecordingApp()
        assert send(filter_factory({}, **local)(inner), headers={"X-Auth-Token": keystone.issue()}).status == 200
    assert inner.last[IDENTITY].user_name == "alice"


def test_cve_2017_8761_no_token_and_no_password_is_ever_logged_or_answered(caplog):
    said = []
    with caplog.at_level(logging.DEBUG), world() as w:
        token = w.keystone.issue()
        said.append(w.ask(token))
        w.keystone.tokens.clear()
        for answer in (None, (500, [], b"x"), (404, [], b"x"), (200, [], b"x")):
            w.keystone.answer = answer
            said.append(w.ask("planted-token", "planted-service-token"))
        w.keystone.password = "changed"
        w.keystone.answer = None
        w.keystone.tokens.clear()
        said.append(w.ask("planted-token-2"))
        own = list(w.keystone.tokens)
    text = caplog.text + repr([(reply.headers, reply.body) for reply in said]) + repr(w.settings.credentials)
    for secret in (token, "planted-token", "planted-service", SERVICE_PASSWORD, *own):
        assert secret not in text


def test_an_environ_without_a_cache_will_do():
    with world() as w:
        environ = make_environ(headers={"X-Auth-Token": w.keystone.issue()})
        assert keys.CACHE not in environ
        assert w.whose(w.keystone.issue())
