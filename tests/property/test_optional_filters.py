"""Filters that are off until configured, and what reads a connection's first line: any host, name and destination is
understood or refused with a 4xx (a host that nobody can look up, 503), within a second and in bounded memory."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objstore.core.info import AccountInfo, ContainerInfo
from objstore.core.limits import Limits
from objstore.http.environ import INFO
from objstore.http.head import HeadError
from objstore.http.proxy_line import client_address
from objstore.middleware.catch_errors import CatchErrors, CatchErrorsSettings
from objstore.middleware.cname_lookup import CnameLookup, CnameLookupSettings
from objstore.middleware.copy import Copy
from objstore.middleware.domain_remap import DomainRemap, DomainRemapSettings
from objstore.middleware.name_check import NameCheck, NameCheckSettings
from objstore.middleware.read_only import ReadOnly, ReadOnlySettings
from objstore.runtime.dns_query import Alias, CannotAsk
from tests.support import bounds
from tests.support.infos import FixedInfos
from tests.support.pipeline import RecordingApp, send

INFOS = FixedInfos(
    {"a": AccountInfo(204, sysmeta={"read-only": "true"})},
    {("a", "warm"): ContainerInfo(204, sysmeta={"read-only": "false"})},
)
fuzz = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=70)
wsgi_texts = st.text([chr(c) for c in range(256)], max_size=60)
labels = st.sampled_from(
    ["a", "AUTH-a", "auth_a", "c", "example.com", "other", "127.0.0.1", "[::1]", "-", "", "x" * 70]
)
hosts = st.lists(labels, max_size=6).map(".".join) | wsgi_texts | st.sampled_from([".", "x" * 8000, "a." * 2000])
paths = st.lists(
    st.sampled_from(["v1", "a", "warm", "o", "..", ".", "", "%00", "ü", "<"]) | wsgi_texts, max_size=6
).map(lambda parts: "/" + "/".join(parts))


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    with bounds.memory():
        yield


def made(filter_, settings_of, inner, *more, **pairs):
    found, problems = settings_of.from_pairs(pairs)
    assert not problems
    return CatchErrors(filter_(inner, found, *more), CatchErrorsSettings())


@fuzz
@given(hosts, paths)
@bounds.each_within_a_second
def test_hosts_that_are_accounts(host, path):
    inner = RecordingApp()
    reply = send(made(DomainRemap, DomainRemapSettings, inner), "GET", path, headers={"Host": host})
    assert reply.status < 500
    assert bool(inner.seen) == (reply.status == 200)


@fuzz
@given(hosts, hosts | st.none())
@bounds.each_within_a_second
def test_hosts_that_are_aliases(host, alias):
    def lookup(name):
        if alias is None:
            raise CannotAsk("nobody answers")
        return Alias(alias, 60)

    app = made(CnameLookup, CnameLookupSettings, RecordingApp(), lookup, lookup_depth="3")
    assert send(app, "GET", "/o", headers={"Host": host}).status in (200, 400, 503)


@fuzz
@given(paths, wsgi_texts, st.sampled_from(["PUT", "POST", "COPY", "DELETE", "GET"]))
@bounds.each_within_a_second
def test_names_and_destinations(path, destination, method):
    headers = {"Destination": destination}
    for filter_, settings_of in ((NameCheck, NameCheckSettings), (ReadOnly, ReadOnlySettings)):
        reply = send(made(filter_, settings_of, RecordingApp()), method, path, headers=headers, **{INFO: INFOS})
        assert reply.status < 500
        assert method in ("PUT", "POST", "COPY", "DELETE") or reply.status == 200


@fuzz
@given(wsgi_texts | st.sampled_from(["c/o", "/c/o", "c", "c/%00", "%ff/o", "c/" + "%" * 3000]), wsgi_texts)
@bounds.each_within_a_second
def test_sources_and_destinations_of_copies(name, account):
    inner = RecordingApp()
    for method, headers in (
        ("COPY", {"Destination": name, "Destination-Account": account}),
        ("PUT", {"X-Copy-From": name, "X-Copy-From-Account": account, "Content-Length": "0"}),
    ):
        reply = send(CatchErrors(Copy(inner, Limits()), CatchErrorsSettings()), method, "/v1/a/c/o", headers=headers)
        assert reply.status < 500


@fuzz
@given(
    st.lists(
        st.sampled_from([b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"1.2.3.4 ", b"::1 ", b"80 ", b"99999 ", b"\r\n"])
        | st.binary(max_size=20),
        max_size=10,
    ).map(b"".join)
)
@bounds.each_within_a_second
def test_lines_of_load_balancers(line):
    try:
        found = client_address(line)
    except HeadError as error:
        assert error.status == 400
    else:
        assert found is None or 0 <= int(found[1]) < 65536
