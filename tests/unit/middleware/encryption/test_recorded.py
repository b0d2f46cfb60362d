"""What a reference system has encrypted: it decrypts, and what is written here has the same form."""

import hashlib
import json
import re

import pytest

from objstore.http.response import Response
from objstore.http.subrequest import IteratorInput
from objstore.middleware.encryption.crypto_meta import CryptoMeta, Sealed
from tests.support.encryption import body_of, encrypting, footers_of, headers_of, recorded
from tests.support.pipeline import RecordingApp, send

LINES = recorded()
SECRET, NAME = "/v1/AUTH_wire/encd/secret", "secret"
PLAIN = b"this is plain text\n"
ETAG = hashlib.md5(PLAIN).hexdigest()


def stored(line_id):
    """The answer of an object server, as the proxy hands it on."""
    answer = LINES[line_id]["response"]
    headers = {name: value.strip('"') if name == "Etag" else value for name, value in answer["headers"]}
    return Response(answer["status"], headers, body_of(answer))


def texts():
    """Every crypto metadata text and every sealed value that was recorded."""
    found = {}
    for line_id, line in LINES.items():
        for side in ("request", "response"):
            for name, value in line[side]["headers"]:
                if "swift_meta=" in value or "Crypto" in name:
                    found[f"{line_id}.{name}"] = (name, value)
    for line_id in ("footers.enc-put#2", "footers.enc-put-chunked#2"):
        for name, value in footers_of(LINES[line_id])[1].items():
            found[f"{line_id}.{name}"] = (name, value)
    return found


TEXTS = texts()


@pytest.mark.parametrize("name, value", TEXTS.values(), ids=TEXTS)
def test_recorded_texts_are_dumped_as_they_were_loaded(name, value):
    if "swift_meta=" in value:
        assert Sealed.load(value).dump() == value
    elif value.startswith("%7B"):
        assert CryptoMeta.load(value).dump() == value


@pytest.mark.parametrize("method, line", [("HEAD", "enc-head#2"), ("GET", "enc-get#2"), ("GET", "enc-get-if-match#2")])
def test_a_recorded_object_is_read_in_the_clear(method, line):
    inside = stored(f"footers.{line}")
    answer = send(encrypting(RecordingApp(inside)), method, SECRET)
    assert answer.body == (PLAIN if method == "GET" else b"")
    assert answer.headers["etag"] == ETAG
    assert answer.headers["x-object-meta-who"] == "me"
    assert answer.headers["x-object-sysmeta-container-update-override-etag"] == ETAG
    assert not [name for name in answer.headers if "crypto" in name]


def test_a_recorded_condition_is_asked_for_in_the_same_words():
    app = RecordingApp(stored("footers.enc-get-if-match#2"))
    given = {"If-Match": ETAG, "X-Backend-Etag-Is-At": "x-object-sysmeta-slo-etag"}
    send(encrypting(app), "GET", SECRET, headers=given)
    asked = headers_of(LINES["footers.enc-get-if-match#2"]["request"])
    assert app.last["HTTP_IF_MATCH"] == asked["If-Match"]
    assert app.last["HTTP_X_BACKEND_ETAG_IS_AT"] == asked["X-Backend-Etag-Is-At"]


def test_a_recorded_listing_is_read_in_the_clear():
    line = LINES["footers.enc-list#2"]["response"]
    app = RecordingApp(Response(200, dict(line["headers"]), body_of(line)))
    answer = send(encrypting(app), "GET", "/v1/AUTH_wire/encd", query="format=json")
    recorded_answer = LINES["footers.enc-list#1"]["response"]["body"]
    assert json.loads(answer.body) == json.loads(recorded_answer)
    assert answer.headers["content-length"] == str(len(answer.body))


class Upload(RecordingApp):
    """Reads a body and asks for its footers, as the proxy does."""

    def __call__(self, environ, start_response):
        body = super().__call__(environ, start_response)
        source = environ.get("objstore.upload_footers")
        self.footers = dict(source.footers()) if source is not None else None
        return body


@pytest.mark.parametrize(
    "line, plain",
    [("footers.enc-put#2", PLAIN), ("footers.enc-put-chunked#2", b"abcdefg"), ("footers.enc-put-zero#2", b"")],
    ids=["known length", "chunked", "empty"],
)
def test_what_is_written_has_the_form_that_was_recorded(line, plain):
    line = LINES[line]
    _, wanted = footers_of(line)
    app = Upload(Response(201, {"etag": "of the encrypted bytes"}))
    path = "/v1/AUTH_wire" + line["request"]["path"].partition("/AUTH_wire")[2]
    headers = {"X-Object-Meta-Who": "me"} if "enc-put#" in line["id"] else {}
    extra = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": IteratorInput([plain] if plain else [])}
    send(encrypting(app), "PUT", path, headers=headers, **extra)
    wanted.pop("Etag", None)
    assert list(app.footers) == list(wanted)
    sent = [(name, value) for name, value in line["request"]["headers"] if "Crypto" in name]
    for name, value in [*wanted.items(), *sent]:
        written = app.footers.get(name) or app.last["HTTP_" + name.upper().replace("-", "_")]
        assert shape(written) == shape(value), name
    assert len(app.bodies[-1]) == len(plain) and (not plain or app.bodies[-1] != plain)


def shape(text):
    """A text with what is random in it left out."""
    return re.sub(r"[A-Za-z0-9+/]+={0,2}(?=; swift_meta=|\Z)|(?<=%3A\+%22)[A-Za-z0-9%]+%3D(?=%22)", "?", text)
