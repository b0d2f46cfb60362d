"""middleware/catch_errors.py: feature A5.22."""

import logging
import re

import pytest

from objstore.core.errors import ClientDisconnected, InvalidName
from objstore.http.environ import TRANSACTION_ID
from objstore.middleware.catch_errors import CatchErrors, CatchErrorsSettings, filter_factory
from tests.support.pipeline import RecordingApp, send

ID = re.compile(r"tx[0-9a-f]{21}-[0-9a-f]{10}")


def build(app, **settings):
    return CatchErrors(app, CatchErrorsSettings(**settings), now=lambda: 1_800_000_000.9)


def test_every_answer_has_both_ids_and_the_request_knows_it():
    reply = send(build(RecordingApp()))
    assert ID.fullmatch(reply.headers["x-trans-id"]) and reply.headers["x-trans-id"].endswith("-006b49d200")
    assert reply.headers["x-openstack-request-id"] == reply.headers["x-trans-id"] == reply.environ[TRANSACTION_ID]


def test_ids_differ_and_end_with_the_suffix():
    app = build(RecordingApp(), trans_id_suffix="-east")
    ids = {send(app).headers["x-trans-id"] for _ in range(50)}
    assert len(ids) == 50 and all(one.endswith("-east") for one in ids)


@pytest.mark.parametrize(
    ("extra", "shown"),
    [("mytag", "-mytag"), ("a b/c?" + "z" * 50, "-a%20b/c%3F" + "z" * 26), ("\xff\n", "-%FF%0A"), ("", "")],
)
def test_client_extra_is_bounded_and_quoted(extra, shown):
    identity = send(build(RecordingApp()), headers={"X-Trans-Id-Extra": extra}).headers["x-trans-id"]
    assert ID.sub("", identity) == shown


def test_a_failure_is_logged_and_leaks_nothing(caplog):
    def app(environ, start_response):
        raise RuntimeError("secret path /srv/node/sdb1")

    with caplog.at_level(logging.ERROR):
        reply = send(build(app), path="/v1/a\nforged line")
    assert reply.status == 500 and reply.body == b"An error occurred" and ID.match(reply.headers["x-trans-id"])
    assert "secret path" in caplog.text and "a\\nforged line" in caplog.text


def test_a_failure_after_the_head_was_announced_is_still_a_500():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        raise RuntimeError

    assert send(build(app)).status == 500


@pytest.mark.parametrize(("error", "status"), [(InvalidName("Invalid UTF8"), 412), (ClientDisconnected(), 499)])
def test_what_the_client_did_is_its_own_status(error, status):
    def app(environ, start_response):
        raise error

    assert send(build(app)).status == status


def test_factory():
    reply = send(filter_factory({}, trans_id_suffix="x")(RecordingApp()))
    assert reply.status == 200 and reply.headers["x-trans-id"].endswith("x")
