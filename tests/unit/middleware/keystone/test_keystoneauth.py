"""middleware/keystone/access.py and keystoneauth.py: features A5.21, A2.6."""

import dataclasses

import pytest

from objstore.core.info import AccountInfo
from objstore.http import environ as keys
from objstore.http.identity import IDENTITY, SERVICE_IDENTITY, Identity
from objstore.http.request import Request
from objstore.middleware.keystone.keystoneauth import Keystoneauth, filter_factory
from objstore.middleware.keystone.keystoneauth_settings import KeystoneauthSettings
from objstore.middleware.tempauth import Tempauth
from objstore.middleware.tempauth_settings import TempauthSettings
from tests.support.infos import FixedInfos
from tests.support.pipeline import RecordingApp, send

DOMAIN = "x-account-sysmeta-project-domain-id"


def parsed(pairs):
    settings, problems = KeystoneauthSettings.from_pairs(pairs)
    assert not problems, problems
    return settings


def user(*roles, name="alice", project="p1", domain="default", **more):
    """Ids are the names with -id."""
    facts = {
        "user_id": f"{name}-id",
        "user_name": name,
        "user_domain_id": domain,
        "user_domain_name": domain.title(),
        "roles": roles,
        "expires": 2e9,
    }
    if project:
        facts |= {
            "project_id": f"{project}-id",
            "project_name": project,
            "project_domain_id": domain,
            "project_domain_name": domain.title(),
        }
    return Identity(**{**facts, **more})


class World:
    """keystoneauth over an app that asks for authorization like the proxy does."""

    def __init__(self, acl=None, domain=None, behind=None, **options):
        self.acl = acl
        sysmeta = {"project-domain-id": domain} if domain else {}
        self.infos = FixedInfos({"AUTH_p1-id": AccountInfo(204, sysmeta=sysmeta)})
        self.inner = RecordingApp()
        app = behind(self._proxy) if behind else self._proxy
        self.auth = Keystoneauth(app, parsed(options))

    def _proxy(self, environ, start_response):
        environ[keys.ACL] = self.acl
        refusal = None if environ.get(keys.AUTHORIZE_OVERRIDE) else environ[keys.AUTHORIZE](Request(environ))
        return (refusal or self.inner)(environ, start_response)

    def ask(self, who=None, method="GET", path="/v1/AUTH_p1-id/c", service=None, headers=(), **extra):
        facts = {keys.INFO: self.infos, **extra}
        if who is not None:
            facts[IDENTITY] = who
        if service is not None:
            facts[SERVICE_IDENTITY] = service
        return send(self.auth, method, path, headers=headers, **facts)

    def status(self, *arguments, **options):
        return self.ask(*arguments, **options).status


ACCOUNT, CONTAINER, OBJECT = "/v1/AUTH_p1-id", "/v1/AUTH_p1-id/c", "/v1/AUTH_p1-id/c/o"
SYSTEM = "/v1/AUTH_.system/c"


@pytest.mark.parametrize(
    ("who", "method", "path", "status"),
    [
        (user("admin"), "PUT", OBJECT, 200),
        (user("SwiftOperator"), "POST", ACCOUNT, 200),
        (user("admin"), "GET", ACCOUNT, 200),
        (user("admin"), "DELETE", CONTAINER, 200),
        (user("admin"), "PUT", ACCOUNT, 403),
        (user("admin"), "DELETE", ACCOUNT, 403),
        (user("Member"), "GET", OBJECT, 403),
        (user(), "GET", OBJECT, 403),
        (user("admin", project="p2"), "GET", OBJECT, 403),
        (user("admin", project="p1-id", project_id="p1"), "GET", OBJECT, 403),
        (user("admin", project=None), "GET", OBJECT, 403),
        (user("admin", project=None, domain_id="default", domain_name="D"), "GET", OBJECT, 403),
        (user("x,admin"), "GET", OBJECT, 403),
        (user("auditor"), "GET", OBJECT, 200),
        (user("auditor"), "HEAD", ACCOUNT, 200),
        (user("auditor"), "PUT", OBJECT, 403),
        (user("auditor"), "POST", CONTAINER, 403),
        (user("auditor", project="p2"), "GET", OBJECT, 403),
        (user("SystemReader", project="p2"), "GET", OBJECT, 200),
        (user("SystemReader", project=None, is_system=True), "HEAD", ACCOUNT, 200),
        (user("SystemReader", project="p2"), "PUT", OBJECT, 403),
        (user("SystemReader", project="p2"), "POST", ACCOUNT, 403),
        (user("ResellerAdmin", project="p2"), "PUT", OBJECT, 200),
        (user("ReSellerAdmin", project="p2"), "DELETE", ACCOUNT, 200),
        (user("ResellerAdmin", project="p2"), "PUT", ACCOUNT, 200),
        (user("ResellerAdmin", project="p2"), "GET", SYSTEM, 403),
        (user("SystemReader", project="p2"), "GET", SYSTEM, 403),
        (user("admin"), "GET", "/v1/OTHER_p1-id/c", 401),
        (user("admin"), "GET", "/v1/AUTH_/c", 403),
        (user("admin"), "GET", "/v1", 404),
        (None, "GET", OBJECT, 401),
        (None, "OPTIONS", OBJECT, 200),
        (user(), "OPTIONS", OBJECT, 200),
    ],
    ids=lambda value: f"{value.user_name} {value.roles} {value.project_id}" if isinstance(value, Identity) else value,
)
def test_rights_of_roles(who, method, path, status):
    world = World(project_reader_roles="auditor", system_reader_roles="SystemReader")
    assert world.status(who, method, path) == status


@pytest.mark.parametrize(
    ("who", "owner", "reseller"),
    [
        (user("admin"), True, None),
        (user("ResellerAdmin", project="p2"), True, True),
        (user("auditor"), False, None),
        (user("SystemReader", project="p2"), False, None),
    ],
)
def test_owners_and_resellers_are_marked(who, owner, reseller):
    """A reader is shown no keys: with them it could sign links for writing."""
    world = World(project_reader_roles="auditor", system_reader_roles="SystemReader")
    assert world.status(who) == 200
    assert (world.inner.last[keys.OWNER], world.inner.last.get(keys.RESELLER)) == (owner, reseller)


@pytest.mark.parametrize("path", [ACCOUNT, "/endpoints/v1/AUTH_a/c/o", "/info"])
def test_filters_behind_know_reseller_administrators_before_the_proxy_asks(path):
    world = World()
    world.auth._app = world.inner
    world.ask(user("ResellerAdmin", project="p2"), path=path)
    assert world.inner.last[keys.RESELLER] is True
    world.ask(user("admin"), path=path)
    assert keys.RESELLER not in world.inner.last


@pytest.mark.parametrize("service", [None, user("service", name="glance", project="service"), user("Member")])
@pytest.mark.parametrize("roles", [("admin",), ("Member",)])
def test_service_accounts_need_the_user_and_the_service(roles, service):
    world = World(reseller_prefix="AUTH, SERVICE", SERVICE_service_roles="service")
    who = user(*roles)
    expected = 200 if "admin" in roles and service is not None and "service" in service.roles else 403
    assert world.status(who, "PUT", "/v1/SERVICE_p1-id/c/o", service=service) == expected
    assert world.status(who, "PUT", OBJECT, service=service) == (200 if "admin" in roles else 403)


def test_a_service_alone_owns_nothing_of_a_users():
    world = World(reseller_prefix="AUTH, SERVICE", SERVICE_service_roles="service")
    service = user("service", "admin", name="glance", project="service")
    assert world.status(service, "GET", "/v1/SERVICE_p1-id/c/o", service=service) == 403
    assert world.status(None, "GET", "/v1/SERVICE_p1-id/c/o", service=service) == 401


def test_a_prefix_has_roles_of_its_own():
    world = World(
        **{
            "reseller_prefix": "AUTH, SPECIAL, ''",
            "SPECIAL_operator_roles": "special",
            "SPECIAL_project_reader_roles": "looker",
            "''operator_roles": "plain",
        }
    )
    assert world.status(user("special"), path="/v1/SPECIAL_p1-id/c") == 200
    assert world.status(user("admin"), path="/v1/SPECIAL_p1-id/c") == 403
    assert world.status(user("looker"), path="/v1/SPECIAL_p1-id/c") == 200
    assert world.status(user("looker")) == 403
    assert world.status(user("plain"), path="/v1/p1-id/c") == 200
    assert world.status(user("admin"), path="/v1/p1-id/c") == 403
    assert world.status(user("admin")) == 200


def test_under_an_empty_prefix_the_systems_accounts_are_nobodys():
    world = World(reseller_prefix="''", system_reader_roles="reader")
    for role in ("ResellerAdmin", "reader"):
        assert world.status(user(role), path="/v1/.expiring_objects/1") == 403
        assert world.status(user(role), path="/v1/p7/c") == 200


# ACLs


@pytest.mark.parametrize(
    ("acl", "who", "status"),
    [
        ("p2-id:bob-id", user(name="bob", project="p2"), 200),
        ("p2-id:*", user(name="bob", project="p2"), 200),
        ("*:bob-id", user(name="bob", project="p2"), 200),
        ("*:*", user(name="bob", project="p2"), 200),
        ("*:*", user(name="bob", project=None), 200),
        ("*:bob-id", user(name="bob", project=None), 200),
        ("p2-id:*", user(name="bob", project=None), 403),
        ("*:*", None, 401),
        ("p2-id:bob-id", user(name="bob", project="p3"), 403),
        ("p2-id:bob-id", user(name="eve", project="p2"), 403),
        ("p2-id", user(name="bob", project="p2"), 403),
        ("bob-id", user(name="bob", project="p2"), 403),
        ("reader", user("reader"), 200),
        ("Reader", user("reader"), 200),
        ("reader", user("reader", project="p2"), 403),
        (".rlistings", user(".rlistings"), 403),
        ("x,admin2", user("x,admin2"), 403),
        (".r:*,.rlistings", None, 200),
        (".r:*,.rlistings", user(name="bob", project="p2"), 200),
        (".r:*", None, 401),
        (".r:example.com,.rlistings", None, 401),
        ("", user(name="bob", project="p2"), 403),
    ],
    ids=str,
)
def test_container_acls(acl, who, status):
    assert World(acl=acl).status(who) == status


def test_an_acl_never_makes_an_owner():
    world = World(acl="*:*")
    assert world.status(user(name="bob", project="p2")) == 200
    assert world.inner.last[keys.OWNER] is False


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_no_acl_makes_or_deletes_accounts(method):
    assert World(acl="*:*").status(user(name="bob", project="p2"), method, ACCOUNT) == 403


@pytest.mark.parametrize("acl", ["p2:bob", "p2-id:bob", "p2:bob-id", "*:bob", "p2:*"])
@pytest.mark.parametrize(
    ("who", "stored", "options", "status"),
    [
        (user(name="bob", project="p2"), "default", {}, 200),
        (user(name="bob", project="p2"), None, {}, 200),
        (user(name="bob", project="p2"), "other", {}, 403),
        (user(name="bob", project="p2", domain="other"), "default", {}, 403),
        (user(name="bob", project="p2", project_domain_id="other"), "default", {}, 403),
        (user(name="bob", project="p2", user_domain_id="other"), "default", {}, 403),
        (user(name="bob", project="p2"), "default", {"allow_names_in_acls": "no"}, 403),
        (user(name="bob", project="p2", domain="d0"), "d0", {"default_domain_id": "d0"}, 200),
        (user(name="bob", project="p2"), "d0", {"default_domain_id": "d0"}, 403),
    ],
    ids=[
        "all default",
        "old account",
        "account elsewhere",
        "all of user elsewhere",
        "project elsewhere",
        "user elsewhere",
        "no names",
        "another default",
        "not the default",
    ],
)
def test_names_count_only_among_the_default_domain(acl, who, stored, options, status):
    assert World(acl=acl, domain=stored, **options).status(who) == status


@pytest.mark.parametrize(
    ("acl", "who"),
    [
        ("a:b:c", user(name="b:c", project="a")),
        ("a:b:c", user(name="c", project="a:b")),
        ("*:victim-id", user(name="bob", project="*")),
        ("p9-id:*", user(name="*", project="p9")),
        ("p9:*", user(name="*", project="*")),
    ],
    ids=str,
)
def test_a_name_that_could_be_read_in_two_ways_means_nobody(acl, who):
    who = dataclasses.replace(who, project_id="p8-id")
    assert World(acl=acl, domain="default").status(who) == 403


def test_is_admin_compares_names_within_a_domain():
    same = user("any", name="demo", project="demo", project_id="p1-id")
    assert World().status(same, "PUT", OBJECT) == 403
    assert World(is_admin="yes").status(same, "PUT", OBJECT) == 200
    assert World(is_admin="yes").status(dataclasses.replace(same, roles=()), "PUT", OBJECT) == 403
    assert World(is_admin="yes").status(dataclasses.replace(same, user_domain_id="evil"), "PUT", OBJECT) == 403


# The domain of a project


@pytest.mark.parametrize(
    ("who", "method", "path", "stored", "said"),
    [
        (user("admin", domain="d7"), "POST", ACCOUNT, None, "d7"),
        (user("admin", domain="d7"), "PUT", CONTAINER, None, "d7"),
        (user("admin", domain="d7"), "POST", ACCOUNT, "d7", None),
        (user("admin", domain="d8"), "POST", ACCOUNT, "d7", None),
        (user("admin", domain="d7"), "PUT", OBJECT, None, None),
        (user("admin", domain="d7"), "GET", ACCOUNT, None, None),
        (user("ResellerAdmin", project="p2", domain="d7"), "POST", ACCOUNT, None, None),
    ],
)
def test_an_account_is_told_the_domain_of_its_project_once(who, method, path, stored, said):
    world = World(domain=stored)
    assert world.status(who, method, path) == 200
    assert world.inner.last.get("HTTP_" + DOMAIN.upper().replace("-", "_")) == said


# Beside other filters


def test_an_acl_of_the_account_is_refused_rather_than_ignored():
    world = World()
    given = {"X-Account-Access-Control": '{"read-only":["bob"]}'}
    assert world.status(user("admin"), "POST", ACCOUNT, headers=given) == 501
    assert world.status(user("admin"), "POST", CONTAINER, headers=given) == 200
    assert len(world.inner.seen) == 1


def test_override_lets_through_but_leaves_authorization_in_place():
    world = World()
    assert world.status(**{keys.AUTHORIZE_OVERRIDE: True}) == 200
    assert world.inner.last[keys.AUTHORIZE](Request(world.inner.last)).status == 401


def let_in(environ_authorize=lambda request: None):
    """What a temporary URL leaves in the environ."""
    return {keys.AUTHORIZE_OVERRIDE: True, keys.AUTHORIZE: environ_authorize, keys.REMOTE_USER: "AUTH_p1-id"}


def test_an_override_that_is_not_allowed_counts_for_nothing():
    world = World(allow_overrides="no")
    assert world.status(**let_in()) == 401
    assert World().status(**let_in()) == 200
    assert world.status(user("admin")) == 200


def test_an_override_for_an_account_of_others_leaves_what_follows_to_them():
    world = World(behind=tempauth)
    assert world.status(path="/v1/TEMP_a/c", **{keys.AUTHORIZE_OVERRIDE: True}) == 200
    follows = Request({**world.inner.last, keys.REMOTE_USER: "a,a:b,TEMP_a", keys.AUTHORIZE_OVERRIDE: False})
    assert world.inner.last[keys.AUTHORIZE](follows) is None


def test_who_has_let_a_request_in_already_judges_what_is_asked_on_its_behalf():
    world = World()
    scope = lambda request: None  # noqa: E731
    world.ask(**{keys.AUTHORIZE: scope})
    assert world.inner.last[keys.AUTHORIZE] is scope


def test_staticweb_and_the_log_hear_who_asks_by_an_id_that_is_no_group():
    world = World()
    world.ask(user("admin", user_id=".reseller_admin,x"))
    assert world.inner.last[keys.REMOTE_USER] == "keystone:.reseller_admin%2Cx"


def tempauth(app):
    settings, problems = TempauthSettings.from_pairs({"reseller_prefix": "TEMP", "user_a_b": "planted .admin"})
    assert not problems
    return Tempauth(app, settings, default_key=lambda: bytes(32))


def test_accounts_of_another_prefix_are_left_to_the_filter_behind():
    world = World(behind=tempauth, acl=".r:*,.rlistings")
    login = send(world.auth, path="/auth/v1.0", headers={"X-Auth-User": "a:b", "X-Auth-Key": "planted"})
    token = {"X-Auth-Token": login.headers["x-auth-token"]}
    assert world.status(path="/v1/TEMP_a/c", headers=token) == 200
    assert world.status(path="/v1/TEMP_a/c") == 200
    assert world.status(path=CONTAINER) == 200
    world.acl = None
    assert world.status(path="/v1/TEMP_a/c", headers=token) == 200
    assert world.status(path="/v1/TEMP_a/c") == 401
    assert world.status(path=CONTAINER, headers=token) == 403
    assert world.status(user("admin")) == 200
    assert world.status(user("admin", "ResellerAdmin", user_id=".reseller_admin"), path="/v1/TEMP_a/c") == 401
    assert world.status(user("admin"), path="/v1/NOBODYS_a/c") == 401


def test_a_name_that_is_no_utf8_is_left_to_whoever_parses_it():
    world = World()
    world._proxy = None
    world.auth._app = world.inner
    assert send(world.auth, path="/v1/AUTH_\xff/c").status == 200
    assert keys.AUTHORIZE in world.inner.last


# Settings


@pytest.mark.parametrize(
    ("pairs", "key"),
    [
        ({"OTHER_service_roles": "x"}, "OTHER_service_roles"),
        ({"operator_role": "x"}, "operator_role"),
        ({"allow_names_in_acls": "perhaps"}, "allow_names_in_acls"),
    ],
)
def test_bad_settings_are_reported(pairs, key):
    assert [problem.key for problem in KeystoneauthSettings.from_pairs(pairs)[1]] == [key]


def test_the_factory_makes_a_filter_of_a_section():
    inner = RecordingApp()
    send(filter_factory({}, operator_roles="boss")(inner), **{IDENTITY: user("boss")})
    assert keys.AUTHORIZE in inner.last
