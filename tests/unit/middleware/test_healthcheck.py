"""middleware/healthcheck.py: feature A5.18."""

import pytest

from objstore.middleware.healthcheck import filter_factory
from tests.support.pipeline import RecordingApp, send


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_it_answers_ok(method):
    reply = send(filter_factory({})(RecordingApp()), method, "/healthcheck")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"OK", "text/plain")


@pytest.mark.parametrize("path", ["/healthcheck/", "/healthcheckx", "/", "/v1/a"])
def test_other_paths_go_on(path):
    assert send(filter_factory({})(RecordingApp()), path=path).body == b"inside"


def test_a_file_takes_the_server_out_of_rotation(tmp_path):
    marker = tmp_path / "drain"
    app = filter_factory({}, disable_path=str(marker))(RecordingApp())
    assert send(app, path="/healthcheck").status == 200
    marker.touch()
    assert send(app, path="/healthcheck").status == 503
    assert send(app, path="/v1/a").status == 200
