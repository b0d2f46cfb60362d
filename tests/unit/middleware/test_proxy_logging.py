"""middleware/proxy_logging.py and access_line.py: features B5.12, B5.13."""

import hashlib
import logging

import pytest

from objstore.config.errors import ConfigError
from objstore.http.environ import SOURCE, TRANSACTION_ID
from objstore.http.response import Response
from objstore.http.subrequest import call, child_environ
from objstore.middleware.access_line import LOG_INFO, Disclosure, LineTemplate
from objstore.middleware.proxy_logging import ProxyLogging, ProxyLoggingSettings, filter_factory
from tests.support.pipeline import RecordingApp, finish, make_environ, send

TOKEN = "AUTH_tk0123456789abcdef0123456789abcdef"


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture
def log():
    logger, handler = logging.Logger("access"), Lines()
    logger.addHandler(handler)
    logger.lines = handler.lines
    return logger


def build(log, app=None, **settings):
    text = {key: str(value) for key, value in settings.items()}
    parsed, problems = ProxyLoggingSettings.from_pairs(text)
    assert not problems
    return ProxyLogging(app or RecordingApp(), parsed, logger=log, now=lambda: 1_800_000_000.5)


def line(log, template, path="/v1/a/c/o", outcome=None, app=None, settings=None, **options):
    reply = send(build(log, app, log_msg_template=template, **(settings or {})), path=path, **options)
    finish(reply.environ, **(outcome or {}))
    assert len(log.lines) == 1
    return log.lines[0]


def test_the_default_line(log):
    app = RecordingApp(Response(200, {"x-backend-storage-policy-index": "1"}, b"x"))
    environ = make_environ(
        "PUT",
        "/v1/a/c/o",
        "marker=a",
        headers={"X-Auth-Token": TOKEN, "User-Agent": "rclone v1", "Referer": "http://a/", "Etag": "e"},
        **{TRANSACTION_ID: "tx1", LOG_INFO: ["x", "y"]},
    )
    for _ in build(log, app)(environ, lambda *_: None):
        pass
    assert log.lines == []
    finish(environ, status=201, bytes_received=10, bytes_sent=20)
    assert log.lines == [
        "127.0.0.1 127.0.0.1 15/Jan/2027/08/00/00 PUT /v1/a/c/o?marker=a HTTP/1.1 201 http://a/ rclone%20v1 "
        "AUTH_tk012345678... 10 20 e tx1 - 0.2500 - x,y 1800000000.500000000 1800000000.750000000 1"
    ]


def test_a_newline_cannot_forge_a_line(log):
    text = line(
        log,
        "{method} {path} {user_agent} {referer} {transaction_id} {object} {container}",
        "/v1/a/c\n1.2.3.4/o\r\nGET /forged",
        headers={"User-Agent": "x\nforged", "Referer": "\x0b\x85\u00a0"},
        **{"objstore.raw_target": "/v1/a/c\n1.2.3.4/o\r\nGET /forged"},
    )
    assert len(text.splitlines()) == 1 and len(text.split()) == 7 and "%0D%0AGET%20/forged" in text


def test_cve_2017_8761_tokens_and_signatures_are_cut(log):
    query = (
        "temp_url_sig=0123456789abcdef0123456789abcdef&temp_url_expires=1&Signature=0123456789abcdef0123456789abcdef"
        "&X-Amz-Signature=0123456789abcdef0123456789abcdef&X-Amz-Security-Token=0123456789abcdef0123456789abcdef"
    )
    text = line(
        log,
        "{path} {auth_token} {headers}",
        query=query,
        settings={"access_log_headers": "yes", "reveal_sensitive_prefix": "8"},
        headers={
            "X-Auth-Token": TOKEN,
            "X-Storage-Token": TOKEN,
            "X-Service-Token": TOKEN,
            "Authorization": "AWS4 " + TOKEN,
            "X-Auth-Key": "the key",
            "X-Storage-Pass": "the key",
        },
    )
    assert "9abcdef" not in text and "the%20key" not in text and "temp_url_expires=1" in text
    assert "temp_url_sig=01234567..." in text and "AUTH_tk0..." in text and "X-Auth-Key:%20..." in text


SIGNATURE = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "query", [f"temp%5Furl%5fsig={SIGNATURE}", f"TEMP_URL_SIG={SIGNATURE}", f"a=b&temp_url_%73ig={SIGNATURE}&c=d"]
)
def test_a_signature_is_cut_however_its_name_is_quoted(log, query):
    text = line(log, "{path}", query=query)
    assert SIGNATURE not in text and SIGNATURE[:16] in text


def test_a_page_that_was_reached_by_a_signed_link_does_not_tell_it(log):
    url = f"http://host/v1/a/c/page?temp_url_sig={SIGNATURE}&temp_url_expires=5"
    settings = {"access_log_headers": "yes"}
    text = line(log, "{referer} {headers}", headers={"Referer": url}, settings=settings)
    assert SIGNATURE not in text and "temp_url_expires=5" in text


@pytest.mark.parametrize(
    "header",
    ["X-Account-Meta-Temp-URL-Key", "X-Account-Meta-Temp-Url-Key-2", "X-Container-Meta-Temp-URL-Key",
     "X-Container-Meta-Temp-URL-Key-2", "X-Container-Sync-Key", "X-Container-Sync-Auth"],
)  # fmt: skip
def test_keys_that_are_set_are_not_logged(log, header):
    value = f"realm {SIGNATURE} {SIGNATURE}"
    text = line(log, "{headers}", headers={header: value}, settings={"access_log_headers": "yes"})
    assert SIGNATURE not in text and header.title() in text


def test_a_secret_no_longer_than_the_prefix_is_not_shown_at_all(log):
    assert line(log, "{auth_token}", headers={"X-Auth-Token": "short"}) == "..."


def test_absent_fields_are_dashes(log):
    text = line(
        log, "{referer} {user_agent} {auth_token} {client_etag} {transaction_id} {source} {log_info} {object}", "/"
    )
    assert text == "- - - - - - - -"


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({}, "127.0.0.1"),
        ({"X-Forwarded-For": "10.0.0.1, 10.0.0.2"}, "10.0.0.1"),
        ({"X-Forwarded-For": "10.0.0.1", "X-Cluster-Client-Ip": "10.0.0.9"}, "10.0.0.9"),
    ],
)
def test_client_ip(log, headers, shown):
    assert line(log, "{client_ip} {remote_addr}", headers=headers) == f"{shown} 127.0.0.1"


def test_a_broken_exchange_is_a_499(log):
    assert line(log, "{status_int} {wire_status_int}", outcome={"is_complete": False}) == "499 200"


def test_times(log):
    text = line(log, "{start_time.s} {end_time.ms} {start_time.iso8601} {end_time.asctime} {ttfb} {request_time}")
    assert text == "1800000000 1800000000750 2027-01-15T08:00:00 Fri%20Jan%2015%2008:00:00%202027 0.1250 0.2500"


def test_anonymized_fields(log):
    text = line(
        log,
        "{client_ip.anonymized} {path.anonymized} {referer.anonymized}",
        settings={"log_anonymization_method": "sha256", "log_anonymization_salt": "pepper"},
    )
    digest = hashlib.sha256(b"pepper127.0.0.1").hexdigest()
    assert text.startswith(f"{{SSHA256}}{digest} {{SSHA256}}") and text.endswith(" -")


@pytest.mark.parametrize(
    "template", ["{nothing}", "{path.datetime}", "{start_time.anonymized}", "{path!r}", "{path", "{path:5}"]
)
def test_a_bad_template_is_a_problem_of_the_configuration(template):
    with pytest.raises(ValueError):
        LineTemplate(template, Disclosure())
    with pytest.raises(ConfigError):
        filter_factory({}, log_msg_template=template)


def test_a_request_is_logged_once_though_two_filters_stand_there(log):
    app = build(log, build(log))
    reply = send(app)
    finish(reply.environ)
    assert len(log.lines) == 1


def test_a_subrequest_is_logged_on_its_own_with_its_source(log):
    inner = build(log, RecordingApp(Response(206, {"content-length": "6"}, [b"abc", b"def"])), log_msg_template=SHORT)

    def copying(environ, start_response):
        child = child_environ(environ, "GET", "/v1/a/source", source="COPY")
        call(inner, child).read(100)
        return Response(201)(environ, start_response)

    reply = send(build(log, copying, log_msg_template=SHORT), "PUT", "/v1/a/target")
    assert log.lines == ["GET /v1/a/source 206 6 COPY"]
    finish(reply.environ, status=201)
    assert log.lines[1:] == ["PUT /v1/a/target 201 - -"]


SHORT = "{method} {path} {status_int} {bytes_sent} {source}"


class Transfer:
    """A body that can send itself."""

    def __init__(self):
        self.sent = []

    def transfer(self, sink):
        sink.send(b"abcdef")

    def __iter__(self):
        yield b"abcdef"

    def close(self):
        pass


def test_a_clients_body_is_handed_on_untouched(log):
    body = Transfer()
    assert build(log, lambda environ, start: (start("200 OK", []), body)[1])(make_environ(), lambda *_: None) is body


def test_a_subrequests_body_can_still_send_itself(log):
    body = Transfer()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "6")])
        return body

    class Sink:
        data = b""

        def send(self, data):
            self.data += data

    sink = Sink()
    watched = build(log, app, log_msg_template=SHORT)(make_environ(**{SOURCE: "SLO"}), lambda *_: None)
    watched.transfer(sink)
    watched.close()
    assert sink.data == b"abcdef" and log.lines == ["GET /v1/AUTH_test 200 6 SLO"]


def test_nothing_is_done_when_the_level_is_off(log):
    log.setLevel(logging.WARNING)
    reply = send(build(log))
    assert "objstore.finish" not in reply.environ
