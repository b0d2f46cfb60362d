"""crossdomain, name_check, read_only, domain_remap, etag_quoter: features A5.9, A5.13, A5.12, A5.7, A3.12."""

import pytest

from objstore.core.info import AccountInfo, ContainerInfo
from objstore.http.environ import INFO
from objstore.http.response import Response
from objstore.middleware.crossdomain import Crossdomain, CrossdomainSettings
from objstore.middleware.domain_remap import DomainRemap, DomainRemapSettings
from objstore.middleware.etag_quoter import EtagQuoter, EtagQuoterSettings
from objstore.middleware.name_check import NameCheck, NameCheckSettings
from objstore.middleware.read_only import ReadOnly, ReadOnlySettings
from tests.support.infos import FixedInfos
from tests.support.pipeline import RecordingApp, send


def made(filter_, settings, **pairs):
    found, problems = settings.from_pairs(pairs)
    assert not problems
    return filter_(RecordingApp(), found)


def test_crossdomain_answers_get_of_its_path_alone():
    app = made(Crossdomain, CrossdomainSettings, cross_domain_policy='<allow-access-from domain="x" />')
    reply = send(app, path="/crossdomain.xml")
    assert reply.headers["content-type"] == "application/xml" and b'domain="x"' in reply.body
    assert send(app, "HEAD", "/crossdomain.xml").body == send(app, path="/crossdomain.xm").body == b"inside"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/a/c/o", 200),
        ("/v1/a/c/o'", 400),
        ("/v1/a/<c>/o", 400),
        ("/v1/a/c/./o", 400),
        ("/v1/a/c/..", 400),
        ("/v1/a/c/.x", 200),
        ("/v1/a/c/" + "x" * 247, 200),
        ("/v1/a/c/" + "x" * 248, 400),
        ("/v1/a/c/" + "\xc3\xa9" * 247, 200),
    ],
)
def test_names_that_may_not_come_into_being(path, status):
    app = made(NameCheck, NameCheckSettings)
    assert send(app, "PUT", path).status == status
    assert send(app, "GET", path).status == send(app, "DELETE", path).status == 200


def test_a_copy_is_checked_where_it_writes():
    app = made(NameCheck, NameCheckSettings)
    assert send(app, "COPY", "/v1/a/c/o", headers={"Destination": "/c/%3Cx%3E"}).status == 400
    assert send(app, "COPY", "/v1/a/c/o", headers={"Destination": "c/x"}).status == 200


def test_an_expression_that_is_none_is_told():
    assert NameCheckSettings.from_pairs({"forbidden_regexp": "("})[1]
    app = made(NameCheck, NameCheckSettings, forbidden_regexp="", forbidden_chars="")
    assert send(app, "PUT", "/v1/a/c/../<").status == 200


READ_ONLY = FixedInfos(
    {
        "a": AccountInfo(204),
        "frozen": AccountInfo(204, sysmeta={"read-only": "true"}),
        "open": AccountInfo(204, sysmeta={"read-only": "false"}),
    },
    {
        ("a", "c"): ContainerInfo(204),
        ("a", "cold"): ContainerInfo(204, sysmeta={"read-only": "yes"}),
        ("frozen", "warm"): ContainerInfo(204, sysmeta={"read-only": "no"}),
    },
)


@pytest.mark.parametrize(
    ("path", "is_frozen", "is_frozen_by_cluster"),
    [
        ("/v1/a/c/o", False, True),
        ("/v1/a/cold/o", True, True),
        ("/v1/frozen/c/o", True, True),
        ("/v1/frozen/warm/o", False, False),
        ("/v1/open/c/o", False, False),
        ("/v1/frozen", True, True),
        ("/v1/a", False, True),
        ("/v1/a/cold", True, True),
        ("/info", False, False),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_what_is_read_only(path, is_frozen, is_frozen_by_cluster, method):
    for setting, expected in (("no", is_frozen), ("yes", is_frozen_by_cluster)):
        app = made(ReadOnly, ReadOnlySettings, read_only=setting)
        assert (send(app, method, path, **{INFO: READ_ONLY}).status == 405) == expected
        assert send(app, "GET", path, **{INFO: READ_ONLY}).status == 200


def test_deleting_may_be_allowed():
    app = made(ReadOnly, ReadOnlySettings, read_only="yes", allow_deletes="yes")
    assert send(app, "DELETE", "/v1/a/c/o", **{INFO: READ_ONLY}).status == 200
    assert send(app, "PUT", "/v1/a/c/o", **{INFO: READ_ONLY}).status == 405


@pytest.mark.parametrize(
    ("path", "headers", "refused"),
    [
        ("/v1/frozen/c/o", {"Destination": "c/p", "Destination-Account": "a"}, False),
        ("/v1/a/c/o", {"Destination": "c/p", "Destination-Account": "frozen"}, True),
        ("/v1/a/c/o", {"Destination": "/cold/p"}, True),
        ("/v1/a/cold/o", {"Destination": "c/p"}, False),
    ],
)
def test_a_copy_writes_where_it_goes(path, headers, refused):
    app = made(ReadOnly, ReadOnlySettings)
    assert (send(app, "COPY", path, headers=headers, **{INFO: READ_ONLY}).status == 405) == refused


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("c.AUTH-a.example.com", "/o", "/v1/AUTH_a/c/o"),
        ("auth-a.example.com", "/c/o", "/v1/AUTH_a/c/o"),
        ("c.auth_a.example.com:8080", "/o", "/v1/AUTH_a/c/o"),
        ("AUTH_a-b.example.com", "/", "/v1/AUTH_a-b/"),
        ("a.EXAMPLE.com", "/c", "/v1/PRE_a/c"),
        ("c.a.s.example.org", "/v1/o", "/v1/PRE_a/c/v1/o"),
        ("example.com", "/x", "/x"),
        ("127.0.0.1:8080", "/v1/a", "/v1/a"),
        ("[::1]:8080", "/v1/a", "/v1/a"),
        ("notexample.com", "/x", "/x"),
    ],
)
def test_hosts_become_paths(host, path, expected):
    app = made(
        DomainRemap, DomainRemapSettings, storage_domain="example.com, s.example.org", default_reseller_prefix="PRE"
    )
    assert send(app, path=path, headers={"Host": host}).environ["PATH_INFO"] == expected


@pytest.mark.parametrize("host", ["x.c.a.example.com", ".example.com", "c..example.com"])
def test_hosts_that_name_too_much(host):
    assert send(made(DomainRemap, DomainRemapSettings), headers={"Host": host}).status == 400


@pytest.mark.parametrize(
    ("path", "expected"), [("/v1/o", "/v1/AUTH_a/c/o"), ("/v1", "/v1/AUTH_a/c/"), ("/v10/o", "/v1/AUTH_a/c/v10/o")]
)
def test_old_clients_paths_are_mangled_where_asked(path, expected):
    app = made(DomainRemap, DomainRemapSettings, mangle_client_paths="yes")
    assert send(app, path=path, headers={"Host": "c.AUTH-a.example.com"}).environ["PATH_INFO"] == expected


def quoter(etag="abc", default="no", account="", container=""):
    settings, _ = EtagQuoterSettings.from_pairs({"enable_by_default": default})
    said = [{"rfc-compliant-etags": value} if value else {} for value in (account, container)]
    infos = FixedInfos({"a": AccountInfo(204, sysmeta=said[0])}, {("a", "c"): ContainerInfo(204, sysmeta=said[1])})
    return EtagQuoter(RecordingApp(Response(200, {"etag": etag})), settings), {INFO: infos}


@pytest.mark.parametrize(
    ("default", "account", "container", "is_quoted"),
    [
        ("no", "", "", False),
        ("yes", "", "", True),
        ("no", "True", "", True),
        ("yes", "False", "", False),
        ("no", "True", "False", False),
        ("no", "False", "True", True),
    ],
)
def test_what_is_said_nearest_to_the_object_counts(default, account, container, is_quoted):
    app, services = quoter(default=default, account=account, container=container)
    assert send(app, path="/v1/a/c/o", **services).headers["etag"] == ('"abc"' if is_quoted else "abc")


@pytest.mark.parametrize("etag", ['"abc"', 'W/"abc"'])
def test_an_etag_in_quotes_stays_as_it_is(etag):
    app, services = quoter(etag, default="yes")
    assert send(app, path="/v1/a/c/o", **services).headers["etag"] == etag


@pytest.mark.parametrize(("value", "kept"), [("true", "True"), ("junk", "False"), ("", "")])
def test_owners_say_whether_etags_are_quoted(value, kept):
    app, services = quoter()
    reply = send(app, "POST", "/v1/a/c", headers={"X-Container-Rfc-Compliant-Etags": value}, **services)
    assert reply.environ["HTTP_X_CONTAINER_SYSMETA_RFC_COMPLIANT_ETAGS"] == kept
