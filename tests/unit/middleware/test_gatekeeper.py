"""middleware/gatekeeper.py: formats 6.1, features A5.14, A5.15, A3.11."""

import pytest

from objstore.http.response import Response
from objstore.middleware.gatekeeper import Gatekeeper, GatekeeperSettings
from tests.support.pipeline import RecordingApp, send

PRIVATE = [
    "X-Account-Sysmeta-Core-Access-Control",
    "x-container-sysmeta-a",
    "X-Object-Sysmeta-Slo-Etag",
    "X-Object-Transient-Sysmeta-Crypto",
    "X-Backend-Storage-Policy-Index",
    "X-Backend",
    "X-Account-Host",
    "X-Account-Device",
    "X-Account-Partition",
    "X-Container-Host",
    "X-Container-Device",
    "X-Container-Partition",
    "X-Container-Root-Db-State",
    "X-Delete-At-Host",
    "X-Delete-At-Device",
    "X-Delete-At-Partition",
    "X-Delete-At-Container",
]
PUBLIC = ["X-Container-Meta-Host", "X-Object-Meta-Sysmeta-A", "X-Delete-At", "X-Container-Hosts", "X-Account-Meta-A"]


def build(app, **settings):
    return Gatekeeper(app, GatekeeperSettings(**settings))


@pytest.mark.parametrize("name", PRIVATE)
def test_cve_2026_50221_cluster_headers_of_a_client_never_get_in(name):
    app = RecordingApp()
    send(build(app), headers={name: "forged"})
    assert "forged" not in app.last.values()


@pytest.mark.parametrize("name", PRIVATE)
def test_cluster_headers_never_get_out(name):
    app = RecordingApp(Response(200, {name.lower(): "secret", "x-object-meta-a": "b"}))
    reply = send(build(app))
    assert reply.headers == {"x-object-meta-a": "b", "content-length": "0"}


@pytest.mark.parametrize("name", PUBLIC)
def test_others_pass_both_ways(name):
    app = RecordingApp(Response(200, {name.lower(): "v"}))
    assert send(build(app), headers={name: "w"}).headers[name.lower()] == "v"
    assert "w" in app.last.values()


def test_cve_2013_4155_a_clients_timestamp_is_moved_aside():
    app = RecordingApp()
    send(build(app), headers={"X-Timestamp": "1.0"})
    assert app.last["HTTP_X_BACKEND_INBOUND_X_TIMESTAMP"] == "1.0" and "HTTP_X_TIMESTAMP" not in app.last


def test_a_client_cannot_forge_the_moved_timestamp():
    app = RecordingApp()
    send(build(app), headers={"X-Backend-Inbound-X-Timestamp": "1.0"})
    assert "HTTP_X_BACKEND_INBOUND_X_TIMESTAMP" not in app.last


def test_the_timestamp_stays_when_the_operator_says_so():
    app = RecordingApp()
    send(build(app, shunt_inbound_x_timestamp=False), headers={"X-Timestamp": "1.0"})
    assert app.last["HTTP_X_TIMESTAMP"] == "1.0"


class Body:
    """Ciphertext that is on its way."""

    is_closed = False

    def __iter__(self):
        yield b"ciphertext"

    def close(self):
        self.is_closed = True


@pytest.mark.parametrize("name", ["X-Object-Sysmeta-Crypto-Body-Meta", "X-Object-Transient-Sysmeta-Crypto-Meta"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_encrypted_never_goes_out_as_if_it_were_plain(name, method):
    body = Body()
    app = RecordingApp(Response(200, {name: "x", "content-length": "10", "etag": "of the ciphertext"}, body))
    reply = send(build(app), method, "/v1/a/c/o")
    assert reply.status == 501 and b"ciphertext" not in reply.body and "etag" not in reply.headers
    assert (b"encrypted" in reply.body) == (method == "GET")
    assert body.is_closed


@pytest.mark.parametrize("path", ["/v1/a/\0c", "/v1/a/c/\0o", "/v1/\0a", "/v1/a/x\0y"])
def test_reserved_names_are_refused(path):
    app = RecordingApp()
    assert send(build(app), path=path).status == 412 and not app.seen
    assert send(build(app), path=path, headers={"X-Allow-Reserved-Names": "true"}).status == 412
    assert send(build(app), path=path, headers={"X-Backend-Allow-Reserved-Names": "true"}).status == 412


def test_reserved_names_are_let_through_where_both_say_so():
    app = RecordingApp()
    tool = build(app, allow_reserved_names_header=True)
    assert send(tool, path="/v1/a/\0c", headers={"X-Allow-Reserved-Names": "yes"}).status == 200
    assert app.last["HTTP_X_BACKEND_ALLOW_RESERVED_NAMES"] == "true"
    assert send(tool, path="/v1/a/\0c").status == 412
