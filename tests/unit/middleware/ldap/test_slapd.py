"""ldapauth against a real directory: OpenLDAP's slapd. `long`: the package is installed where it is missing."""

import base64

import pytest

from objstore.middleware.ldap.wire import ldap3  # Imported there without its warnings.
from tests.support.certificates import make_authority
from tests.support.directory import GROUPS, PEOPLE, person
from tests.support.packages import ToolsMissing
from tests.support.slapd import ROOT_DN, ROOT_PASSWORD, running_slapd
from tests.unit.middleware.ldap.test_ldapauth import PASSWORD, World

pytestmark = pytest.mark.long
SERVICE = "cn=objstore,dc=example"
NAMES = ("ann", "bob", "*", "(x)(y", "m\xf6we", "back\\slash")


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def dn_of(name):
    """RFC 4514: what has a meaning in a DN is escaped."""
    return f"uid={name.replace(chr(92), chr(92) * 2)},{PEOPLE}"


def ldif():
    entries = [
        "dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example",
        f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people",
        f"dn: {GROUPS}\nobjectClass: organizationalUnit\nou: groups",
        f"dn: {SERVICE}\nobjectClass: person\ncn: objstore\nsn: x\nuserPassword: service",
    ]
    for name in NAMES:
        entries.append(
            f"dn:: {encoded(dn_of(name))}\nobjectClass: inetOrgPerson\nuid:: {encoded(name)}\ncn: x\nsn: x\n"
            f"userPassword:: {encoded(PASSWORD)}"
        )
    for group, members in {"test-admins": ("ann", "m\xf6we", "*", "(x)(y", "back\\slash"), "test": ("bob",)}.items():
        listed = "\n".join(f"member:: {encoded(dn_of(name))}" for name in members)
        entries.append(f"dn: cn={group},{GROUPS}\nobjectClass: groupOfNames\ncn: {group}\n{listed}")
    return "\n\n".join(entries) + "\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def slapd(tmp_path, authority):
    try:
        with running_slapd(tmp_path, ldif(), authority.ca_file, authority.issue("127.0.0.1")) as running:
            yield running
    except ToolsMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def world(slapd, authority):
    made = []

    def make(scheme="ldap", **options):
        port = slapd.port if scheme == "ldap" else slapd.secure_port
        base = {
            "ldap_url": f"{scheme}://127.0.0.1:{port}",
            "cafile": authority.ca_file,
            "start_tls": "yes",
            "allow_plaintext": "no",
            "bind_dn": SERVICE,
            "bind_password": "service",
        }
        made.append(World(Address(port), **{**base, **options}))
        return made[-1]

    yield make
    for w in made:
        w.people.close()


class Address:
    host = "127.0.0.1"

    def __init__(self, port):
        self.port = port


def change(slapd, call):
    """Do something to the directory as its administrator."""
    server = ldap3.Server("127.0.0.1", slapd.port, get_info=ldap3.NONE)
    admin = ldap3.Connection(server, ROOT_DN, ROOT_PASSWORD, auto_bind=True)
    try:
        assert call(admin), admin.result
    finally:
        admin.unbind()


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "bob"])
def test_users_log_in_over_tls_and_own_their_account(world, scheme, name):
    w = world(scheme)
    assert w.status(w.token(f"test:{name}"), "PUT") == 200


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("test:ann", "wrong"),
        ("test:ann", ""),
        ("test:ann*", PASSWORD),
        ("test:a*", PASSWORD),
        ("test:nobody", PASSWORD),
        ("other:ann", PASSWORD),
        ("test:ann)(uid=*", PASSWORD),
    ],
)
def test_who_gets_no_token(world, user, password):
    assert world().login(user, password).status == 401


def test_members_own_nothing_and_acls_let_them_in(world):
    w = world()
    bob = w.token("test:bob")
    assert w.status(bob) == 403
    w.acl = "test"
    assert w.status(bob) == 200


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_a_directory_that_nobody_vouches_for_gets_no_password(world, scheme, tmp_path):
    (tmp_path / "other").mkdir()
    assert world(scheme, cafile=make_authority(tmp_path / "other").ca_file).login().status == 503


def test_users_may_be_looked_up_by_nobody_in_particular(world):
    w = world(bind_dn="", bind_password="")
    assert w.status(w.token()) == 200


def test_a_wrong_bind_password_is_503(world):
    assert world(bind_password="wrong").login().status == 503


@pytest.mark.parametrize(
    "hurt",
    [
        lambda admin: admin.delete(person("ann")),
        lambda admin: admin.modify(person("ann"), {"userPassword": [(ldap3.MODIFY_REPLACE, ["another"])]}),
        lambda admin: admin.modify(f"cn=test-admins,{GROUPS}", {"member": [(ldap3.MODIFY_DELETE, [person("ann")])]}),
        lambda admin: admin.modify_dn(person("ann"), "uid=anna"),
    ],
    ids=["removed", "another password", "no admin any more", "renamed"],
)
def test_what_ends_a_token(world, slapd, hurt):
    w = world()
    token = w.token()
    assert w.status(token) == 200
    change(slapd, hurt)
    assert w.status(token) == 200
    w.clock.advance(61)
    assert w.status(token) == 401


def test_a_directory_that_comes_back_is_asked_again(world, slapd):
    w = world()
    token = w.token()
    slapd.stop()
    assert w.status(token) == 200
    assert w.login().status == 503
    w.clock.advance(61)
    assert w.status(token) == 503
    slapd.start()
    assert w.status(token) == 200
    assert w.login().status == 200
