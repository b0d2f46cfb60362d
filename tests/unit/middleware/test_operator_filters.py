"""operator_access, list_endpoints, xprofile: features A5.19, B5.14. Who may ask, and what is answered."""

import json
import pstats

import pytest

from objstore.core.hashing import HashSecrets
from objstore.core.info import ContainerInfo
from objstore.http.environ import INFO, RESELLER
from objstore.middleware.list_endpoints import ListEndpoints, ListEndpointsSettings
from objstore.middleware.operator_access import refusal
from objstore.middleware.pipeline import problems
from objstore.middleware.xprofile import Xprofile, XprofileSettings
from objstore.ring.fileformat import RingFileError
from objstore.runtime.sampling import Sampling
from tests.support.infos import FixedInfos
from tests.support.pipeline import RecordingApp, make_environ, send
from tests.support.rings import make_ring

SECRETS = HashSecrets(b"", b"changeme")
INFOS = FixedInfos({}, {("a", "c"): ContainerInfo(204), ("a", "silver"): ContainerInfo(204, policy_index=2)})
RINGS = {"account": make_ring(), "container": make_ring(), "object": make_ring(), "object-2": make_ring(devices=3)}


def environ_of(address="127.0.0.1", host="127.0.0.1:8080", **more):
    return make_environ(**{"REMOTE_ADDR": address, "HTTP_HOST": host, **more})


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.1", "127.0.0.1:8080"),
        ("127.1.2.3", "localhost"),
        ("::1", "[::1]:8080"),
        ("::ffff:127.0.0.1", "LOCALHOST:80"),
    ],
)
def test_the_machine_itself_is_answered(address, host):
    assert refusal(environ_of(address, host)) is None


@pytest.mark.parametrize(
    ("address", "host", "more"),
    [
        ("10.0.0.1", "127.0.0.1", {}),
        ("::ffff:10.0.0.1", "127.0.0.1", {}),
        ("", "127.0.0.1", {}),
        ("junk", "127.0.0.1", {}),
        ("127.0.0.1", "storage.example.com", {}),
        ("127.0.0.1", "127.0.0.1.evil.example", {}),
        ("127.0.0.1", "", {}),
        ("127.0.0.1", "localhost", {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}),
        ("127.0.0.1", "localhost", {"HTTP_FORWARDED": "for=127.0.0.1"}),
        ("127.0.0.1", "localhost", {"HTTP_VIA": "1.1 balancer"}),
        ("10.0.0.1", "localhost", {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}),
    ],
)
def test_nobody_else_is_not_even_who_claims_to_be(address, host, more):
    assert refusal(environ_of(address, host, **more)).status == 403


def test_a_reseller_administrator_is_answered_from_anywhere():
    assert refusal(environ_of("10.0.0.1", "storage.example.com", **{RESELLER: True})) is None


@pytest.mark.parametrize("name", ["list-endpoints", "xprofile"])
def test_they_stand_behind_the_auth_filter(name):
    pipeline = ["catch_errors", name, "tempauth", "proxy"]
    assert any("reseller administrator" in problem for problem in problems(pipeline))


def endpoints(path, method="GET", **more):
    app = ListEndpoints(RecordingApp(), ListEndpointsSettings(), SECRETS, RINGS.__getitem__)
    return send(app, method, path, **{INFO: INFOS, **more})


@pytest.mark.parametrize("version", ["", "/v1", "/v1.0"])
@pytest.mark.parametrize(
    ("names", "ring"),
    [
        (("a",), "account"),
        (("a", "c"), "container"),
        (("a", "new"), "container"),
        (("a", "c", "o/p q"), "object"),
        (("a", "silver", "o"), "object-2"),
    ],
)
def test_the_first_version_lists_the_primaries(version, names, ring):
    reply = endpoints(f"/endpoints{version}/" + "/".join(names))
    partition = RINGS[ring].partition(SECRETS.digest(*names))
    tail = "/".join(names).replace(" ", "%20")
    assert reply.status == 200 and reply.headers["content-type"].startswith("application/json")
    assert json.loads(reply.body) == [
        f"http://127.0.0.1:{node.address[1]}/{node.name}/{partition}/{tail}"
        for node in RINGS[ring].primaries(partition)
    ]


@pytest.mark.parametrize("version", ["v2", "v2.0"])
def test_the_second_version_tells_the_policy_too(version):
    found = json.loads(endpoints(f"/endpoints/{version}/a/silver/o").body)
    assert found["headers"] == {"X-Backend-Storage-Policy-Index": "2"} and len(found["endpoints"]) == 3
    assert json.loads(endpoints(f"/endpoints/{version}/a/silver").body)["headers"] == {}


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/endpoints/v1/a/none/o", "GET", 404),
        ("/endpoints/v3/a", "GET", 400),
        ("/endpoints/v1/", "GET", 400),
        ("/endpoints/", "GET", 400),
        ("/endpoints/v1/a//o", "GET", 400),
        ("/endpoints/v1/a", "POST", 405),
        ("/endpointsx/v1/a", "GET", 200),
        ("/v1/a/c/o", "PUT", 200),
    ],
)
def test_what_is_no_question_about_a_place(path, method, status):
    assert endpoints(path, method).status == status


def test_strangers_learn_no_addresses():
    reply = endpoints("/endpoints/v1/a/c/o", REMOTE_ADDR="10.0.0.1")
    assert reply.status == 403 and b"127.0.0.1" not in reply.body


def test_a_ring_that_cannot_be_read_is_told():
    def no_ring(name):
        raise RingFileError(f"{name}.ring.gz", "not there")

    app = ListEndpoints(RecordingApp(), ListEndpointsSettings(), SECRETS, no_ring)
    assert send(app, path="/endpoints/v1/a", **{INFO: INFOS}).status == 503


def compute(seconds):
    """Some 0.1 s of processor time: twenty looks."""
    sum(number * number for number in range(1_500_000))


def profile(query, wait=compute, **more):
    settings, problems_ = XprofileSettings.from_pairs({"seconds_max": "20"})
    assert not problems_
    return send(Xprofile(RecordingApp(), settings, wait), path="/__profile__", query=query, **more)


def test_a_measurement_names_what_took_the_time():
    found = json.loads(profile("seconds=1&format=json&sort=cumtime").body)
    by_name = {row["function"]: row for row in found["functions"]}
    assert found["samples"] > 0 and by_name["compute"]["cumtime"] > 0
    assert by_name["compute"]["cumtime"] >= by_name["<genexpr>"]["tottime"] > 0


def test_a_measurement_can_be_read_by_other_tools(tmp_path):
    (tmp_path / "found").write_bytes(profile("seconds=1&format=pstats").body)
    assert any(name == "compute" for _, _, name in pstats.Stats(str(tmp_path / "found")).stats)


@pytest.mark.parametrize("format_", ["html", "text"])
def test_a_measurement_can_be_read_by_people(format_):
    body = profile(f"seconds=1&format={format_}&limit=100").body
    assert b"compute" in body and b"samples in 1 s" in body and (b"<genexpr>" not in body or format_ == "text")


def test_an_idle_worker_has_no_samples_to_show():
    for format_ in ("html", "text", "json", "pstats"):
        assert profile(f"seconds=0.5&format={format_}", wait=lambda seconds: None).status == 200


@pytest.mark.parametrize(
    "query", ["seconds=0", "seconds=x", "seconds=nan", "seconds=21", "seconds=1&sort=x", "seconds=1&format=x"]
)
def test_what_cannot_be_measured_is_told(query):
    assert profile(query, wait=pytest.fail).status == 400


def test_the_page_without_a_question_measures_nothing():
    reply = profile("", wait=pytest.fail)
    assert reply.status == 200 and b"<form" in reply.body
    assert send(Xprofile(RecordingApp(), XprofileSettings()), "POST", "/__profile__").status == 405
    assert send(Xprofile(RecordingApp(), XprofileSettings()), path="/v1/a").body == b"inside"


def test_one_measurement_at_a_time():
    with Sampling():
        assert profile("seconds=1", wait=pytest.fail).status == 409
    assert profile("seconds=1", wait=lambda seconds: None).status == 200


def test_strangers_cannot_measure():
    assert profile("seconds=1", wait=pytest.fail, REMOTE_ADDR="192.0.2.1").status == 403
