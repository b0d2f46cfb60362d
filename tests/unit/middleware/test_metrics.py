"""What StatsD is told of requests: access_metrics.py (clients), request_metrics.py (storage servers)."""

import logging

import pytest

from objstore.http.response import Response
from objstore.middleware.proxy_logging import ProxyLogging, ProxyLoggingSettings, filter_factory
from objstore.middleware.request_metrics import RequestMetrics
from objstore.middleware.statsd import sender_of
from tests.support.pipeline import RecordingApp, finish, send
from tests.support.statsd import statsd_server


@pytest.fixture
def server():
    with statsd_server() as found:
        yield found


def settings_of(server, **pairs):
    given = {"log_statsd_host": "127.0.0.1", "log_statsd_port": str(server.port), **pairs}
    settings, problems = ProxyLoggingSettings.from_pairs(given)
    assert not problems
    return settings


def proxy(server, app=None, **pairs):
    settings = settings_of(server, **pairs)
    logger = logging.Logger("access", logging.CRITICAL)  # Nobody reads the log: metrics do not depend on it.
    return ProxyLogging(app or RecordingApp(), settings, logger=logger, statsd=sender_of(settings.statsd))


def told(server, pipeline, method="GET", path="/v1/a/c/o", outcome=None, **options):
    reply = send(pipeline, method, path, **options)
    finish(reply.environ, **(outcome or {}))
    return server.event()


def test_a_get_of_an_object(server):
    app = RecordingApp(Response(200, {"x-backend-storage-policy-index": "1"}, b"x"))
    found = told(server, proxy(server, app), outcome={"bytes_sent": 5, "bytes_received": 2})
    assert found == {
        f"proxy-server.object{policy}.GET.200.{name}": value
        for policy in ("", ".policy.1")
        for name, value in (("timing", "250|ms"), ("first-byte.timing", "125|ms"), ("xfer", "7|c"))
    }


@pytest.mark.parametrize(
    "method, path, outcome, name",
    [
        ("PUT", "/v1/a/c/o", {"status": 201}, "object.PUT.201"),
        ("DELETE", "/v1/a/c", {"status": 409}, "container.DELETE.409"),
        ("HEAD", "/v1/a", {"status": 204}, "account.HEAD.204"),
        ("GET", "/v1/a/c/o", {"is_complete": False}, "object.GET.499"),
        ("BREW.x", "/v1/a/c/o", {"status": 405}, "object.BAD_METHOD.405"),
    ],
)
def test_the_names_of_other_requests(server, method, path, outcome, name):
    found = told(server, proxy(server), method, path, outcome)
    assert {f"proxy-server.{name}.timing", f"proxy-server.{name}.xfer"} <= set(found)


def test_a_request_that_names_no_account_is_not_told(server):
    pipeline = proxy(server)
    for path in ("/healthcheck", "/info", "/v1/a/%ff\xff"):
        finish(send(pipeline, "GET", path).environ)
    assert set(told(server, pipeline, "HEAD", "/v1/a")) == {
        "proxy-server.account.HEAD.200.timing",
        "proxy-server.account.HEAD.200.xfer",
    }


def test_a_policy_that_is_no_number_makes_no_name(server):
    app = RecordingApp(Response(200, {"x-backend-storage-policy-index": "1.x|c"}))
    assert not any("policy" in name for name in told(server, proxy(server, app)))


def test_requests_may_be_told_elsewhere_than_the_rest():
    with statsd_server() as requests, statsd_server() as other:
        pairs = {"access_log_statsd_port": str(requests.port), "access_log_statsd_metric_prefix": "edge"}
        found = told(requests, proxy(other, **pairs), "HEAD", "/v1/a")
        assert set(found) == {"edge.proxy-server.account.HEAD.200.timing", "edge.proxy-server.account.HEAD.200.xfer"}


def test_it_stands_twice_in_a_pipeline_and_tells_once(server):
    told(server, proxy(server, proxy(server)), "HEAD", "/v1/a")
    assert set(told(server, proxy(server), "HEAD", "/v1/b/c")) == {
        "proxy-server.container.HEAD.200.timing",
        "proxy-server.container.HEAD.200.xfer",
    }


def test_without_a_host_there_is_no_sender():
    assert filter_factory({})(RecordingApp())._statsd is None


def test_a_host_without_an_address_is_said_and_no_reason_to_stay_down(caplog):
    settings, _ = ProxyLoggingSettings.from_pairs({"log_statsd_host": "x" * 64})
    assert sender_of(settings) is None
    assert "no metrics are sent until the next start" in caplog.text


@pytest.mark.parametrize(
    "role, method, outcome, expected",
    [
        ("object-server", "GET", {"status": 404}, {"GET.timing": "250|ms"}),
        ("object-server", "GET", {"status": 200, "is_complete": False}, {"GET.timing": "250|ms"}),
        ("container-server", "PUT", {"status": 507}, {"PUT.errors.timing": "250|ms"}),
        ("account-server", "REPLICATE", {"status": 200}, {"REPLICATE.timing": "250|ms"}),
        (
            "object-server",
            "PUT",
            {"status": 201, "bytes_received": 500},
            {"PUT.timing": "250|ms", "PUT.sd_b1.timing": "500|ms"},
        ),
        ("object-server", "PUT", {"status": 507, "bytes_received": 500}, {"PUT.errors.timing": "250|ms"}),
        ("object-server", "PUT", {"status": 201}, {"PUT.timing": "250|ms"}),
    ],
)
def test_what_a_storage_server_tells(server, role, method, outcome, expected):
    pipeline = RequestMetrics(RecordingApp(), sender_of(settings_of(server)), role)
    found = told(server, pipeline, method, "/sd.b1/12/a/c/o", outcome)
    assert found == {f"{role}.{name}": value for name, value in expected.items()}


def test_a_method_that_a_storage_server_does_not_know_makes_no_name(server):
    pipeline = RequestMetrics(RecordingApp(), sender_of(settings_of(server)), "object-server")
    finish(send(pipeline, "BREW", "/sdb1/12/a/c/o").environ)
    assert set(told(server, pipeline, "HEAD", "/sdb1/12/a/c/o")) == {"object-server.HEAD.timing"}


@pytest.mark.parametrize(
    "key, value",
    [
        ("log_statsd_port", "0"),
        ("log_statsd_default_sample_rate", "1.5"),
        ("log_statsd_metric_prefix", "a:b"),
        ("access_log_statsd_port", "x"),
        ("access_log_statsd_sample_rate_factor", "-1"),
    ],
)
def test_what_is_wrong_is_said(key, value):
    assert [problem.key for problem in ProxyLoggingSettings.from_pairs({key: value})[1]] == [key]
