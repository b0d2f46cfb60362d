"""middleware/tempauth*.py: features A5.20, A2.6, A1.6; formats 7; doc/decisions/0006-tokens.md."""

import base64
import hmac
import inspect
import json
import logging
import os
import re
import zlib

import pytest
from cryptography.fernet import Fernet

from objstore.cache.memory import MemoryCache
from objstore.config.errors import ConfigError
from objstore.core.info import AccountInfo
from objstore.http import environ as keys
from objstore.http.request import Request
from objstore.http.response import Response
from objstore.middleware.tempauth import Tempauth, filter_factory
from objstore.middleware.tempauth_settings import TempauthSettings
from objstore.middleware.tempauth_throttle import Throttle
from objstore.middleware.tempauth_tokens import TokenKeys
from objstore.middleware.tempauth_users import Source, option_for, parse_users
from tests.support.clock import SimClock
from tests.support.pipeline import RecordingApp, make_environ, send

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.urlsafe_b64encode(bytes(32)).decode()
USERS = {
    "user_test_tester": "testing .admin",
    "user_test_tester3": "testing3",
    "user_test_tester6": "testing6 .reseller_admin",
    "user_test2_tester2": "testing2 .admin",
    "user_test5_tester5": "testing5 service",
    "user_admin_auditor": "secret .reseller_reader",
}


class World:
    """A tempauth with a clock, over an app that asks for authorization like the proxy does."""

    def __init__(self, clock=None, source=None, info=None, acl=None, **options):
        self.clock = clock or SimClock()
        self.slept = []
        self.acl = acl
        self.info = info or {}
        self.inner = RecordingApp()
        self.auth = Tempauth(
            self._proxy,
            parsed({"fernet_keys": KEY, **USERS, **options}),
            default_key=lambda: bytes(32),
            source=source,
            now=self.clock.monotonic,
            throttle=Throttle(self.slept.append, self.clock.monotonic),
        )

    def account(self, environ, account):
        return AccountInfo(204, sysmeta=self.info.get(account, {}))

    def _proxy(self, environ, start_response):
        environ[keys.INFO] = self
        environ[keys.ACL] = self.acl
        refusal = environ[keys.AUTHORIZE](Request(environ))
        return (refusal or self.inner)(environ, start_response)

    def login(self, user="test:tester", key="testing", **headers):
        return send(self.auth, path="/auth/v1.0", headers={"X-Auth-User": user, "X-Auth-Key": key, **headers})

    def token(self, user="test:tester", key="testing", **headers):
        reply = self.login(user, key, **headers)
        assert reply.status == 200
        return reply.headers["x-auth-token"]

    def ask(self, token=None, method="GET", path="/v1/AUTH_test", **headers):
        if token:
            headers["X-Auth-Token"] = token
        return send(self.auth, method, path, headers=headers)

    def status(self, *arguments, **headers):
        return self.ask(*arguments, **headers).status


def parsed(pairs):
    settings, problems = TempauthSettings.from_pairs(pairs)
    assert not problems, problems
    return settings


# Tokens


def test_a_key_buys_a_token_that_opens_the_account():
    world = World()
    reply = world.login()
    assert reply.status == 200 and reply.body == b"" and reply.headers["content-type"] == "text/html; charset=UTF-8"
    assert re.fullmatch(r"AUTH_z?ftk[\w-]+=*", reply.headers["x-auth-token"])
    assert reply.headers["x-storage-token"] == reply.headers["x-auth-token"]
    assert reply.headers["x-storage-url"] == "http://127.0.0.1:8080/v1/AUTH_test"
    assert 75600 <= int(reply.headers["x-auth-token-expires"]) <= 86400
    assert world.status(reply.headers["x-auth-token"]) == 200
    assert world.inner.last[keys.REMOTE_USER] == "test,test:tester,AUTH_test"


def test_the_token_is_a_fernet_token_that_others_with_the_key_can_read():
    token = World().token()
    text = Fernet(KEY).decrypt_at_time(token.removeprefix("AUTH_ftk").encode(), 86400, 1_800_000_000).decode()
    assert text.startswith("test,test:tester,AUTH_test,.key:") and "testing" not in text.replace("test,test:tester", "")


def test_whoever_asks_again_gets_the_same_token_from_every_worker():
    clock = SimClock(1_800_000_000 - 1_800_000_000 % 10800)
    first = World(clock).token()
    clock.advance(10799)
    assert World(clock).token() == first
    clock.advance(1)
    second = World(clock).token()
    assert second != first and World(clock).status(first) == 200


def test_a_new_token_on_request_leaves_the_old_one_alive():
    world = World()
    old, new = world.token(), world.token(**{"X-Auth-New-Token": "true"})
    assert old != new and world.token() == old
    assert world.status(old) == world.status(new) == 200


def test_tokens_work_on_another_worker_and_after_a_restart():
    assert World().status(World().token()) == 200


def test_a_token_ends_when_its_life_is_over():
    world = World(token_life="600")
    reply = world.login()
    token, seconds = reply.headers["x-auth-token"], int(reply.headers["x-auth-token-expires"])
    world.clock.advance(seconds - 1)
    assert world.status(token) == 200 and World(world.clock, token_life="600").status(token) == 200
    world.clock.advance(2)
    assert world.status(token) == 401 and World(world.clock, token_life="600").status(token) == 401


def test_keys_can_be_rotated():
    old = World().token()
    assert World(fernet_keys=f"{OTHER_KEY}, {KEY}").status(old) == 200
    new = World(fernet_keys=f"{OTHER_KEY},{KEY}").token()
    assert new != old and World(fernet_keys=OTHER_KEY).status(new) == 200
    assert World(fernet_keys=OTHER_KEY).status(old) == 401


def test_swifts_way_to_name_keys():
    ids = {"fernet_keys": "", "fernet_key_a": OTHER_KEY, "fernet_key_b": KEY}
    token = World(**ids, active_fernet_key_id="b").token()
    assert token == World().token() and World(**ids, active_fernet_key_id="a").status(token) == 200


def test_without_keys_one_comes_from_the_cluster():
    assert World(fernet_keys="").token() == World(fernet_keys=OTHER_KEY).token()


@pytest.mark.parametrize(
    "change",
    [
        {"user_test_tester": "changed .admin"},
        {"user_test_tester": "testing2 .admin"},
    ],
)
def test_a_changed_key_ends_the_token(change):
    token = World().token()
    assert World(**change).status(token) == 401


def test_a_removed_user_ends_the_token():
    token = World(user_test_gone="k .admin").token("test:gone", "k")
    assert World(user_test_gone="k .admin").status(token) == 200 and World().status(token) == 401


def test_groups_are_those_of_now_not_of_the_token():
    token = World().token()
    world = World(user_test_tester="testing")
    assert world.status(token) == 403
    assert World(user_test_tester3="testing3 .admin").status(World().token("test:tester3", "testing3")) == 200


def test_a_token_of_a_swift_proxy_is_not_bound_to_a_key_and_refused_unless_allowed():
    foreign = "AUTH_ftk" + Fernet(KEY).encrypt_at_time(b"test,test:tester,AUTH_test", 1_800_000_000).decode()
    assert World().status(foreign) == 401
    assert World(accept_unbound_tokens="yes").status(foreign) == 200
    zipped = zlib.compress(b"test,test:tester,AUTH_test")
    foreign = "AUTH_zftk" + Fernet(KEY).encrypt_at_time(zipped, 1_800_000_000).decode()
    assert World(accept_unbound_tokens="yes").status(foreign) == 200


def test_a_group_list_of_a_swift_proxy_gives_nobody_more_than_the_configuration():
    foreign = (
        "AUTH_ftk" + Fernet(KEY).encrypt_at_time(b"x,test:tester3,AUTH_test,.reseller_admin", 1_800_000_000).decode()
    )
    assert World(accept_unbound_tokens="yes").status(foreign) == 403


def test_a_token_in_memcached_is_accepted():
    world, cache = World(), MemoryCache()
    name = "AUTH_tk0123456789abcdef0123456789abcdef"
    cache.set(f"AUTH_/token/{name}", [world.clock.seconds + 10, "test,test:tester,AUTH_test"])

    def status():
        return send(world.auth, headers={"X-Auth-Token": name}, **{keys.CACHE: cache}).status

    assert status() == 200
    world.clock.advance(11)
    assert status() == 401


@pytest.mark.parametrize(
    "value", [None, 5, [], ["x", "y"], [1e99, "a"], [float("inf"), "a,b:c"], [2e9, ["a"]], [2e9, "a"]]
)
def test_nonsense_in_memcached_is_no_token(value):
    cache = MemoryCache()
    cache.set("AUTH_/token/AUTH_tkx", value)
    assert send(World().auth, headers={"X-Auth-Token": "AUTH_tkx"}, **{keys.CACHE: cache}).status == 401


@pytest.mark.parametrize(
    "token",
    [
        "AUTH_",
        "AUTH_tkbogus",
        "AUTH_ftk",
        "AUTH_ftkgAAAA",
        "AUTH_zftk" + "A" * 200,
        "AUTH_ftk\xff",
        "AUTH_ftk" + "=" * 9,
    ],
)
def test_a_broken_token_is_401_even_where_anybody_may_read(token):
    assert World(acl=".r:*").status(token, path="/v1/AUTH_test/c/o") == 401


def test_a_token_changed_in_any_bit_is_worth_nothing():
    world = World()
    token = world.token()
    raw = bytearray(base64.urlsafe_b64decode(token.removeprefix("AUTH_ftk")))
    for index in range(0, len(raw), 3):
        changed = raw.copy()
        changed[index] ^= 1
        assert world.status("AUTH_ftk" + base64.urlsafe_b64encode(changed).decode()) == 401


def test_a_deflated_token_cannot_blow_up():
    bomb = zlib.compress(b"a," * 10_000_000)
    token = "AUTH_zftk" + Fernet(KEY).encrypt_at_time(bomb, 1_800_000_000).decode()
    assert World(accept_unbound_tokens="yes").status(token) == 401


def test_what_is_remembered_of_tokens_is_bounded():
    world = World()
    for _ in range(20):
        world.status(world.token(**{"X-Auth-New-Token": "true"}))
    assert len(world.auth._known) == 20
    keys_ = TokenKeys([bytes(range(32))], 86400)
    for _ in range(5000):
        world.auth._remember(os.urandom(8).hex(), keys_)
    assert len(world.auth._known) <= 4096


def test_long_group_lists_are_deflated():
    groups = " ".join(f"group{number}" for number in range(100))
    world = World(user_test_many=f"k {groups}")
    token = world.token("test:many", "k")
    assert token.startswith("AUTH_zftk") and world.status(token, path="/v1/AUTH_test") == 403


# Asking for tokens


@pytest.mark.parametrize(
    ("path", "headers", "status", "realm"),
    [
        ("/auth/v1.0", {"X-Auth-User": "test:tester", "X-Auth-Key": "wrong"}, 401, "test"),
        ("/auth/v1.0", {"X-Auth-User": "test:nobody", "X-Auth-Key": "testing"}, 401, "test"),
        ("/auth/v1.0", {"X-Auth-User": "nocolon", "X-Auth-Key": "testing"}, 401, "unknown"),
        ("/auth/v1.0", {"X-Auth-Key": "testing"}, 401, "unknown"),
        ("/auth/v1.0", {"X-Auth-User": "test:tester", "X-Auth-Key": ""}, 401, "test"),
        ("/auth/v1.0", {"X-Auth-User": "test:tester", "X-Storage-Pass": "testing"}, 200, None),
        ("/auth/v1.0/x", {"X-Auth-User": "test:tester", "X-Auth-Key": "testing"}, 200, None),
        ("/auth/v1/test/auth", {"X-Storage-User": "tester", "X-Storage-Pass": "testing"}, 200, None),
        ("/auth/v1/test/auth", {"X-Auth-User": "test:tester", "X-Auth-Key": "testing"}, 200, None),
        ("/auth/v1/test/auth", {"X-Auth-User": "tester", "X-Auth-Key": "testing"}, 401, "test"),
        ("/auth/v1/test2/auth", {"X-Auth-User": "test:tester", "X-Auth-Key": "testing"}, 401, "test2"),
        ("/auth/v1", {"X-Auth-User": "test:tester", "X-Auth-Key": "testing"}, 400, None),
        ("/auth/v2.0", {"X-Auth-User": "test:tester", "X-Auth-Key": "testing"}, 400, None),
        ("/auth/", {}, 404, None),
    ],
)
def test_who_gets_a_token(path, headers, status, realm):
    reply = send(World().auth, path=path, headers=headers)
    assert reply.status == status
    assert reply.headers.get("www-authenticate") == (f'Swift realm="{realm}"' if realm else None)


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "DELETE"])
def test_tokens_are_asked_for_with_get(method):
    assert send(World().auth, method, "/auth/v1.0").status == 405


def test_wrong_keys_slow_the_address_down_but_no_other():
    world = World()
    for _ in range(5):
        world.login(key="wrong")
    assert world.slept == []
    for _ in range(8):
        world.login(key="wrong")
    assert world.slept[:3] == [0.1, 0.2, 0.4] and max(world.slept) == 2.0
    count = len(world.slept)
    send(world.auth, path="/auth/v1.0", headers={"X-Auth-User": "test:tester"}, REMOTE_ADDR="10.0.0.1")
    assert len(world.slept) == count
    world.clock.advance(61)
    assert world.login().status == 200 and len(world.slept) == count


@pytest.mark.parametrize("function", [Tempauth._is_right, Tempauth._groups])
def test_cve_2014_0006_secrets_are_compared_in_constant_time(function):
    source = inspect.getsource(function)
    assert "hmac.compare_digest(" in source and "==" not in source


def test_an_unknown_user_is_compared_too(monkeypatch):
    """Or the time would tell which users there are."""
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or False)
    assert World().login("no:body", "k").status == 401 and compared == [(b"\0", b"k")]


def test_keys_and_tokens_are_never_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        world = World()
        token = world.token()
        world.login(key="a wrong key")
        world.status(token)
        world.status(token + "x")
    assert not any(secret in caplog.text for secret in ("testing", "a wrong key", token, KEY))


@pytest.mark.parametrize(
    ("options", "environ", "url"),
    [
        ({}, {"HTTP_HOST": "swift.example.net"}, "http://swift.example.net/v1/AUTH_test"),
        ({"storage_url_scheme": "https"}, {}, "https://127.0.0.1:8080/v1/AUTH_test"),
        ({}, {"wsgi.url_scheme": "https"}, "https://127.0.0.1:8080/v1/AUTH_test"),
        ({"user_test_tester": "testing .admin http://x/v1/AUTH_y"}, {}, "http://x/v1/AUTH_y"),
        ({"reseller_prefix": "''"}, {}, "http://127.0.0.1:8080/v1/test"),
    ],
)
def test_storage_urls(options, environ, url):
    headers = {"X-Auth-User": "test:tester", "X-Auth-Key": "testing"}
    reply = send(World(**options).auth, path="/auth/v1.0", headers=headers, **environ)
    assert reply.headers["x-storage-url"] == url


# Authorization


def test_cve_2014_3497_the_realm_cannot_carry_markup():
    reply = World().ask(path='/v1/weird"acct<script>,x\r\nSet-Cookie: a')
    assert reply.headers["www-authenticate"] == 'Swift realm="weird%22acct%3Cscript%3E%2Cx%0D%0ASet-Cookie%3A%20a"'
    assert reply.status == 401 and b"<script>" not in reply.body


@pytest.mark.parametrize(
    ("user", "key", "method", "path", "status"),
    [
        ("test:tester", "testing", "GET", "/v1/AUTH_test", 200),
        ("test:tester", "testing", "PUT", "/v1/AUTH_test/c", 200),
        ("test:tester", "testing", "PUT", "/v1/AUTH_test", 403),
        ("test:tester", "testing", "DELETE", "/v1/AUTH_test", 403),
        ("test:tester", "testing", "GET", "/v1/AUTH_test2", 403),
        ("test:tester", "testing", "GET", "/v1/NOPE_test", 403),
        ("test:tester", "testing", "GET", "/v1/test", 403),
        ("test:tester", "testing", "HEAD", "/v1/AUTH_", 403),
        ("test:tester3", "testing3", "GET", "/v1/AUTH_test", 403),
        ("test:tester6", "testing6", "PUT", "/v1/AUTH_new", 200),
        ("test:tester6", "testing6", "DELETE", "/v1/AUTH_test2", 200),
        ("test:tester6", "testing6", "GET", "/v1/AUTH_.hidden", 403),
        ("test:tester6", "testing6", "GET", "/v1/AUTH_", 403),
        ("admin:auditor", "secret", "GET", "/v1/AUTH_test/c/o", 200),
        ("admin:auditor", "secret", "HEAD", "/v1/AUTH_test", 200),
        ("admin:auditor", "secret", "PUT", "/v1/AUTH_test/c/o", 403),
        ("admin:auditor", "secret", "GET", "/v1/AUTH_.hidden", 403),
    ],
)
def test_rights_of_groups(user, key, method, path, status):
    world = World()
    assert world.status(world.token(user, key), method, path) == status


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("GET", 401), ("PUT", 401)])
def test_preflight_needs_no_token(method, status):
    assert World().status(None, method, "/v1/AUTH_test/c/o") == status


def test_owners_and_resellers_are_marked():
    world = World()
    world.ask(world.token(), path="/v1/AUTH_test/c")
    assert world.inner.last[keys.OWNER] is True and keys.RESELLER not in world.inner.last
    world.ask(world.token("test:tester6", "testing6"), path="/v1/AUTH_test/c")
    assert world.inner.last[keys.OWNER] is True and world.inner.last[keys.RESELLER] is True
    world.ask(world.token("admin:auditor", "secret"), path="/v1/AUTH_test/c")
    assert world.inner.last[keys.OWNER] is False


def test_under_an_empty_prefix_only_admins_own_the_account():
    world = World(reseller_prefix="''")
    plain, admin = world.token("test:tester3", "testing3"), world.token()
    assert world.status(plain, path="/v1/test") == 403 and world.status(admin, path="/v1/test") == 200
    assert world.inner.last[keys.REMOTE_USER] == "test,test:tester"


def test_service_tokens():
    options = {"reseller_prefix": "AUTH, SERVICE", "SERVICE_require_group": "service"}
    world = World(**options)
    mine, service = world.token(), world.token("test5:tester5", "testing5")
    assert world.status(mine, "GET", "/v1/SERVICE_test") == 403
    assert world.status(mine, "GET", "/v1/SERVICE_test", **{"X-Service-Token": service}) == 200
    assert world.status(mine, "GET", "/v1/AUTH_test", **{"X-Service-Token": service}) == 200
    assert world.status(mine, "GET", "/v1/SERVICE_test", **{"X-Service-Token": "AUTH_tkbogus"}) == 403
    assert world.status(service, "GET", "/v1/SERVICE_test5") == 403
    assert world.status(service, "GET", "/v1/SERVICE_test", **{"X-Service-Token": mine}) == 200


def test_override_lets_through_but_leaves_authorization_in_place():
    world = World()
    app = RecordingApp()
    world.auth._app = app
    environ = make_environ(**{keys.AUTHORIZE_OVERRIDE: True})
    assert send(world.auth, **{keys.AUTHORIZE_OVERRIDE: True}).status == 200
    assert app.last[keys.AUTHORIZE](Request(environ)).status == 401


def test_an_override_that_is_not_allowed_counts_for_nothing():
    left = {keys.AUTHORIZE_OVERRIDE: True, keys.AUTHORIZE: lambda request: None, keys.REMOTE_USER: "AUTH_test"}
    for allowed, seen in (("yes", True), ("no", None)):
        world = World(allow_overrides=allowed)
        reply = send(world.auth, path="/v1/AUTH_test/c", **left)
        assert (reply.environ.get(keys.AUTHORIZE_OVERRIDE), reply.status) == (seen, 200 if seen else 401)


def test_a_path_that_is_no_name_is_refused_before_anything():
    world = World()
    assert world.status(world.token(), path="/v1") == 404


# Account ACLs


def account_world(**levels):
    return World(info={"AUTH_test": {"core-access-control": json.dumps(levels)}})


@pytest.mark.parametrize(
    ("level", "method", "path", "status", "is_owner"),
    [
        ("read-only", "GET", "/v1/AUTH_test", 200, False),
        ("read-only", "HEAD", "/v1/AUTH_test/c/o", 200, False),
        ("read-only", "PUT", "/v1/AUTH_test/c/o", 403, False),
        ("read-only", "POST", "/v1/AUTH_test", 403, False),
        ("read-write", "PUT", "/v1/AUTH_test/c", 200, False),
        ("read-write", "GET", "/v1/AUTH_test", 200, False),
        ("read-write", "POST", "/v1/AUTH_test", 403, False),
        ("admin", "POST", "/v1/AUTH_test", 200, True),
        ("admin", "DELETE", "/v1/AUTH_test", 403, False),
        ("admin", "GET", "/v1/AUTH_test/c/o", 200, True),
    ],
)
def test_account_acls(level, method, path, status, is_owner):
    world = account_world(**{level: ["test2:tester2"]})
    assert world.status(world.token("test2:tester2", "testing2"), method, path) == status
    if status == 200:
        assert world.inner.last[keys.OWNER] is is_owner
    assert world.status(world.token("test:tester3", "testing3"), method, path) == 403


def test_setting_an_account_acl_stores_it_as_system_metadata():
    world = World()
    given = '{"read-only": ["b"], "admin": ["\xc3\xa9"]}'
    assert world.status(world.token(), "POST", "/v1/AUTH_test", **{"X-Account-Access-Control": given}) == 200
    stored = world.inner.last["HTTP_X_ACCOUNT_SYSMETA_CORE_ACCESS_CONTROL"]
    assert stored == '{"admin":["\\u00e9"],"read-only":["b"]}'
    assert "HTTP_X_ACCOUNT_ACCESS_CONTROL" not in world.inner.last
    for header in ({"X-Account-Access-Control": ""}, {"X-Remove-Account-Access-Control": "x"}):
        world.ask(world.token(), "POST", "/v1/AUTH_test", **header)
        assert world.inner.last["HTTP_X_ACCOUNT_SYSMETA_CORE_ACCESS_CONTROL"] == ""


def test_a_bad_account_acl_is_a_bad_request():
    world = World()
    reply = world.ask(world.token(), "POST", "/v1/AUTH_test", **{"X-Account-Access-Control": "junk"})
    assert (reply.status, reply.headers["content-type"]) == (400, "text/plain; charset=UTF-8")


def test_an_account_acl_on_a_container_means_nothing():
    world = World()
    world.ask(world.token(), "PUT", "/v1/AUTH_test/c", **{"X-Account-Access-Control": '{"admin":["b"]}'})
    assert "HTTP_X_ACCOUNT_SYSMETA_CORE_ACCESS_CONTROL" not in world.inner.last


def test_only_owners_see_the_account_acl():
    world = account_world(**{"read-only": ["test2:tester2"]})
    world.inner.answer = Response(204, {"x-account-sysmeta-core-access-control": '{"read-only":["test2:tester2"]}'})
    shown = world.ask(world.token()).headers
    assert shown["x-account-access-control"] == '{"read-only":["test2:tester2"]}'
    assert "x-account-access-control" not in world.ask(world.token("test2:tester2", "testing2")).headers


# Users


def test_users64_and_storage_urls():
    users, problems = parse_users(
        {
            option_for("te st", "u_s\u00e9r"): "k .admin g http://h/v1/AUTH_x",
            "user64_" + base64.b64encode(b"a_b").decode() + "_" + base64.b64encode(b"c").decode().rstrip("="): "k2",
            "user_test_with_underscore": "k3",
            "other": "x",
        }
    )
    assert not problems and set(users) == {"te st:u_s\u00e9r", "a_b:c", "test:with_underscore"}
    user = users["te st:u_s\u00e9r"]
    assert (user.key, user.groups, user.storage_url) == ("k", (".admin", "g"), "http://h/v1/AUTH_x")
    assert user.granted(["AUTH_", "S_"]) == "te st,te st:u_s\u00e9r,g,AUTH_te st,S_te st,AUTH_x"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("user_test", "k"),
        ("user__x", "k"),
        ("user_a_", "k"),
        ("user_a_b", ""),
        ("user64_!_b", "k"),
        ("user64_YSxi_YQ", "k"),
    ],
)
def test_a_line_that_declares_no_user_is_a_problem_that_shows_no_key(option, value):
    users, problems = parse_users({option: value})
    assert not users and len(problems) == 1 and problems[0].value == "***"


def test_non_ascii_names_log_in_and_own_their_account():
    world = World(**{option_for("t\u00e9", "\u2603"): "k\u00e9y .admin"})
    token = world.token("t\xc3\xa9:\xe2\x98\x83", "k\xc3\xa9y")
    assert world.status(token, "GET", "/v1/AUTH_t\xc3\xa9") == 200
    world = World(acl="t\xc3\xa9:\xe2\x98\x83", **{option_for("t\u00e9", "\u2603"): "key"})
    assert world.status(world.token("t\xc3\xa9:\xe2\x98\x83", "key"), "GET", "/v1/AUTH_test/c/o") == 200


@pytest.mark.parametrize(
    "pairs",
    [
        {"fernet_keys": "short"},
        {"fernet_key_a": "short"},
        {"active_fernet_key_id": "nope"},
        {"OTHER_require_group": "x"},
        {"user_a": "k"},
        {"token_lief": "5"},
        {"token_life": "5"},
        {"storage_url_scheme": "ftp"},
    ],
)
def test_bad_settings_are_reported_without_secrets(pairs):
    with pytest.raises(ConfigError) as caught:
        filter_factory({}, **pairs)
    assert len(caught.value.problems) == 1 and "short" not in str(caught.value)


INI = """[DEFAULT]
log_level = INFO
[filter:other]
use = egg:objstore#cache
[filter:tempauth]
use = egg:objstore#tempauth
fernet_keys = {key}
{users}
"""


def write(path, users, age):
    path.write_text(INI.format(key=KEY, users="\n".join(f"{name} = {value}" for name, value in users.items())))
    os.utime(path, (age, age))


def test_users_follow_the_file_while_the_server_runs(tmp_path, caplog):
    path = tmp_path / "proxy-server.conf"
    write(path, USERS, 1)
    world = World(source=Source.find(str(path), {"fernet_keys": KEY, **USERS}))
    token = world.token()
    write(path, {**USERS, "user_new_one": "k .admin"}, 2)
    assert world.login("new:one", "k").status == 401, "looked at once a second"
    world.clock.advance(1)
    assert world.login("new:one", "k").status == 200 and world.status(token) == 200
    del (changed := dict(USERS))["user_test_tester"]
    write(path, changed, 3)
    world.clock.advance(1)
    assert world.status(token) == 401
    with caplog.at_level(logging.ERROR):
        for age in (4, 5):
            path.write_text("[filter:tempauth]\nuser_x_y =\n" if age == 4 else "not an ini file")
            os.utime(path, (age, age))
            for _ in range(3):
                world.clock.advance(1)
                assert world.status(world.token("test:tester3", "testing3")) == 403
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 2 and "testing" not in caplog.text
    path.unlink()
    world.clock.advance(1)
    assert world.login("test:tester3", "testing3").status == 200


def test_a_section_is_found_by_its_content(tmp_path):
    path = tmp_path / "proxy-server.conf"
    write(path, USERS, 1)
    assert Source.find(str(path), {"fernet_keys": KEY, **USERS}).section == "filter:tempauth"
    assert Source.find(str(path), {}).section == "filter:tempauth", "a section without any option yet"
    assert Source.find(str(path), {"fernet_keys": "x"}) is None and Source.find("", {}) is None
    assert Source.find(str(tmp_path / "none"), {"a": "b"}) is None
