"""middleware/formpost*.py: feature A5.3."""

import hmac

import pytest

from objstore.core.errors import ClientDisconnected
from objstore.core.info import AccountInfo, ContainerInfo
from objstore.http.environ import AUTHORIZE, INFO
from objstore.http.request import Request
from objstore.http.response import Response
from objstore.middleware.formpost import Formpost, FormpostSettings
from tests.support.infos import FixedInfos
from tests.support.pipeline import send
from tests.support.wsgi import MemoryBody

NOW = 1_800_000_000
PATH = "/v1/a/c/pre_"
FIELDS = {"redirect": "", "max_file_size": "100", "max_file_count": "2", "expires": str(NOW + 10)}
INFOS = FixedInfos(
    {"a": AccountInfo(204, meta={"temp-url-key": "key"})},
    {("a", "c"): ContainerInfo(204, meta={"temp-url-key": "ckey"})},
)


class Slow(MemoryBody):
    """Gives a few bytes at a time, so that every boundary is cut somewhere."""

    step = 7

    def read_some(self, size):
        return self._file.read(min(size, self.step))


class Store:
    def __init__(self, status=201):
        self.status = status
        self.seen, self.bodies = [], []

    def __call__(self, environ, start_response):
        self.seen.append(environ)
        try:
            self.bodies.append(environ["wsgi.input"].read())
        except ClientDisconnected:
            return Response(499)(environ, start_response)
        refused = environ[AUTHORIZE](Request(environ)) if AUTHORIZE in environ else None
        return (refused or Response(self.status))(environ, start_response)


def signed(path=PATH, key="key", algorithm="sha256", **fields):
    fields = {**FIELDS, **fields}
    text = "\n".join([path, *(fields[name] for name in ("redirect", "max_file_size", "max_file_count", "expires"))])
    return {**fields, "signature": hmac.digest(key.encode(), text.encode(), algorithm).hex()}


def encoded(fields, files, boundary="bound"):
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    for name, content, *headers in files:
        head = "".join(f"{header}\r\n" for header in headers)
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n{head}\r\n{content}\r\n'
        )
    return ("".join(parts) + f"--{boundary}--\r\n").encode()


def post(store, fields, files, path=PATH, body=None, type_="multipart/form-data; boundary=bound", **conf):
    settings, problems = FormpostSettings.from_pairs(conf)
    assert not problems
    body = encoded(fields, files) if body is None else body
    app = Formpost(store, settings, now=lambda: NOW)
    return send(
        app,
        "POST",
        path,
        headers={"Content-Type": type_},
        **{"wsgi.input": Slow(body), INFO: INFOS, "CONTENT_LENGTH": str(len(body))},
    )


def test_files_become_objects():
    store = Store()
    files = [("one", "1" * 50, "Content-Type: image/png"), ("\u00e9 2", "--bound", "Content-Encoding: gzip")]
    reply = post(store, signed(), files)
    assert reply.status == 201
    assert [environ["PATH_INFO"] for environ in store.seen] == ["/v1/a/c/pre_one", "/v1/a/c/pre_\xc3\xa9 2"]
    assert store.bodies == [b"1" * 50, b"--bound"]
    first, second = store.seen
    assert first["REQUEST_METHOD"] == "PUT" and first["CONTENT_TYPE"] == "image/png"
    assert first["HTTP_TRANSFER_ENCODING"] == "chunked" and "CONTENT_LENGTH" not in first
    assert second["HTTP_CONTENT_ENCODING"] == "gzip" and "CONTENT_TYPE" not in second


@pytest.mark.parametrize(
    ("path", "name"), [("/v1/a/c", "/v1/a/c/f"), ("/v1/a/c/", "/v1/a/c/f"), ("/v1/a/c/d/", "/v1/a/c/d/f")]
)
def test_where_files_go(path, name):
    store = Store()
    assert post(store, signed(path), [("f", "1")], path).status == 201
    assert store.seen[0]["PATH_INFO"] == name


@pytest.mark.parametrize("key", ["key", "ckey"])
def test_keys_of_account_and_container_count(key):
    assert post(Store(), signed(key=key), [("f", "1")]).status == 201


@pytest.mark.parametrize(
    "change",
    [
        {"max_file_size": "101"},
        {"max_file_count": "3"},
        {"redirect": "http://evil"},
        {"expires": str(NOW + 11)},
        {"signature": "0" * 64},
        {"signature": ""},
        {"signature": "x"},
    ],
)
def test_a_changed_form_is_refused_and_never_redirected(change):
    store = Store()
    reply = post(store, {**signed(), **change}, [("f", "1")])
    assert reply.status == 401 and "location" not in reply.headers and not store.seen


def test_a_signature_is_for_one_path():
    assert post(Store(), signed("/v1/a/c/other"), [("f", "1")]).status == 401


def test_digests():
    assert post(Store(), signed(algorithm="sha1"), [("f", "1")]).status == 201
    assert post(Store(), signed(algorithm="sha1"), [("f", "1")], allowed_digests="sha256").status == 401


def test_an_expired_form():
    reply = post(Store(), signed(expires=str(NOW - 1)), [("f", "1")])
    assert reply.status == 401 and b"Form Expired" in reply.body


@pytest.mark.parametrize("name", ["max_file_size", "max_file_count", "expires"])
@pytest.mark.parametrize("value", [None, "", "x", "-1", "1e3", "\u0661"])
def test_fields_that_must_be_numbers(name, value):
    fields = signed()
    if value is None:
        del fields[name]
    else:
        fields[name] = value
    is_unsigned = value is None and name != "max_file_count"
    assert post(Store(), fields, [("f", "1")]).status == (401 if is_unsigned else 400)


def test_a_form_goes_to_a_container():
    reply = post(Store(), signed("/v1/a"), [("f", "1")], "/v1/a")
    assert reply.status == 401 and reply.headers["www-authenticate"] == 'Swift realm="unknown"'


def test_too_many_files():
    store = Store()
    reply = post(store, signed(), [("1", ""), ("2", ""), ("", ""), ("3", "")])
    assert reply.status == 400 and b"max file count exceeded" in reply.body and len(store.bodies) == 2


def test_a_file_that_is_too_large_is_not_stored():
    store = Store()
    reply = post(store, signed(), [("f", "x" * 101)])
    assert reply.status == 400 and b"max_file_size exceeded" in reply.body and not store.bodies


@pytest.mark.parametrize("files", [[], [("", "")]])
def test_no_files(files):
    reply = post(Store(), signed(), files)
    assert reply.status == 400 and b"no files to process" in reply.body


@pytest.mark.parametrize(
    ("status", "files", "location"),
    [
        (201, [("f", "1")], "https://here/?a=b&status=201&message="),
        (507, [("f", "1")], "https://here/?a=b&status=507&message=Insufficient+Storage"),
        (201, [], "https://here/?a=b&status=400&message=no+files+to+process"),
        (201, [("f", "x" * 101)], "https://here/?a=b&status=400&message=max_file_size+exceeded"),
    ],
)
def test_a_signed_form_redirects(status, files, location):
    reply = post(Store(status), signed(redirect="https://here/?a=b"), files)
    assert reply.status == 303 and reply.headers["location"] == location


def test_a_redirect_cannot_end_its_header():
    reply = post(Store(), signed(redirect="http://x/\u00e9 "), [("f", "1")])
    assert reply.headers["location"] == "http://x/%C3%A9%20?status=201&message="


def test_the_life_of_uploads():
    store = Store()
    post(store, {**signed(), "x_delete_after": "60"}, [("f", "1")])
    assert store.seen[0]["HTTP_X_DELETE_AFTER"] == "60"
    assert post(Store(), {**signed(), "x_delete_at": "soon"}, [("f", "1")]).status == 400


def test_fields_behind_a_file_do_not_count():
    body = encoded({}, [("f", "1")])[: -len("--bound--\r\n")] + encoded(signed(), [])
    assert post(Store(), {}, [], body=body).status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        encoded(signed(), [("f", "1")])[:-12],
        encoded({**signed(), "x": "y" * 9000}, [("f", "1")]),
        b"--bound\r\nno header\r\n\r\nx\r\n--bound--\r\n",
        b"--bound\r\n" + b"A: b\r\n" * 50 + b"\r\nx\r\n--bound--\r\n",
        encoded(dict.fromkeys((f"f{number}" for number in range(200)), ""), []),
    ],
)
def test_what_is_no_form(body):
    store = Store()
    assert post(store, {}, [], body=body).status == 400 and not store.bodies


@pytest.mark.parametrize("type_", ["multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 100])
def test_a_form_needs_a_boundary(type_):
    assert post(Store(), signed(), [("f", "1")], type_=type_).status == 400


@pytest.mark.parametrize(("path", "type_"), [(PATH, "multipart/form-data"), (PATH, "text/plain")])
def test_other_posts_pass(path, type_):
    store = Store(204)
    assert post(store, {}, [], path, b"x", type_).status == 204 and store.seen[0]["REQUEST_METHOD"] == "POST"
