"""Encryption over real storage servers: what is read is what was written, and disks hold none of it."""

import base64
import hashlib
import json
import logging
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objstore.core.errors import ClientDisconnected
from objstore.core.headers import title
from objstore.http.subrequest import BytesInput
from tests.support.encryption import RECORDED_SECRET, encrypting
from tests.support.storage_nodes import ProxyClient, StorageNodes

CONTAINER = "/v1/AUTH_enc/c"
NEW_SECRET = bytes(range(100, 132))
OLD_AND_NEW = {None: RECORDED_SECRET, "2026": NEW_SECRET}
LARGE = 200_000
"""More than goes into one send."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with StorageNodes(tmp_path_factory.mktemp("enc"), nodes=3) as nodes:
        assert nodes.proxy().put(CONTAINER).status == 201
        yield nodes


@pytest.fixture(scope="module")
def bare(nodes):
    """The proxy alone."""
    return nodes.proxy()


@pytest.fixture(scope="module")
def client(bare):
    return ProxyClient(encrypting(bare.app))


def md5(data):
    return hashlib.md5(data).hexdigest()


def rows(client, path=CONTAINER):
    return {row["name"]: row for row in json.loads(client.get(path, query="format=json").body)}


def on_disk(nodes):
    """Everything that the nodes have, names of files left out."""
    return b"\0".join(
        path.read_bytes()
        for node in range(nodes.node_count)
        for path in sorted(nodes.device_root(node).rglob("*"))
        if path.is_file()
    )


def xattrs(nodes):
    import os

    return b"\0".join(
        os.getxattr(path, name)
        for node in range(nodes.node_count)
        for path in nodes.device_root(node).rglob("*.*")
        if path.is_file()
        for name in os.listxattr(path)
    )


@pytest.mark.parametrize("size", [1, 15, 16, 65536, 65537, LARGE])
@pytest.mark.parametrize("form", ["length", "chunked"])
def test_what_is_read_is_what_was_written(client, bare, size, form):
    body = random.Random(size).randbytes(size)
    path = f"{CONTAINER}/{form}-{size}"
    options = {"body": body} if form == "length" else {"chunks": [body[:7], body[7:]]}
    put = client.put(path, {"X-Object-Meta-Color": "blue", "Etag": f'"{md5(body)}"'}, **options)
    assert (put.status, put.headers["etag"]) == (201, md5(body))
    read = client.get(path)
    assert (read.status, read.body, read.headers["etag"]) == (200, body, md5(body))
    assert read.headers["x-object-meta-color"] == "blue"
    head = client.head(path)
    assert (head.headers["content-length"], head.headers["etag"]) == (str(size), md5(body))
    stored = bare.get(path)
    assert stored.headers["etag"] == md5(stored.body)
    assert stored.body != body or size == 1  # One byte in 256 is encrypted to itself.
    assert "x-object-meta-color" not in stored.headers
    assert rows(client)[f"{form}-{size}"]["hash"] == md5(body)
    assert md5(body) not in rows(bare)[f"{form}-{size}"]["hash"]


TEXT = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x24F, exclude_characters="\x7f"), min_size=1, max_size=40
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_part_of_any_object_reads_as_it_was_written(client, data):
    size = data.draw(st.sampled_from([1, 16, 100, 4096, 70_000]))
    body = random.Random(data.draw(st.integers(0, 1 << 30))).randbytes(size)
    name = data.draw(st.text(st.characters(codec="utf-8", exclude_characters="\0/\n"), min_size=1, max_size=20))
    value = data.draw(TEXT).strip() or "x"
    path = f"{CONTAINER}/" + f"any-{name}".encode().decode("latin-1")
    wire_value = value.encode().decode("latin-1")
    assert client.put(path, {"X-Object-Meta-Any": wire_value}, body=body).status == 201
    spans = data.draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), min_size=1, max_size=2))
    spans = [(min(pair), max(pair)) for pair in spans]
    header = "bytes=" + ",".join(f"{first}-{last}" for first, last in spans)
    answer = client.get(path, {"Range": header})
    assert answer.headers["x-object-meta-any"] == wire_value
    assert answer.status == 206
    if len(spans) == 1:
        assert answer.body == body[spans[0][0] : spans[0][1] + 1]
    else:
        for first, last in spans:
            part = b"Content-Range: bytes %d-%d/%d\r\n\r\n" % (first, last, size) + body[first : last + 1] + b"\r\n--"
            assert part in answer.body
        assert str(len(answer.body)) == answer.headers["content-length"]


@pytest.mark.parametrize("size", [500, LARGE])
def test_disks_hold_nothing_of_what_was_written(client, nodes, size):
    body = b"".join(b"planted-%06d " % index for index in range(size // 15))
    planted = b"a planted piece of metadata"
    path = f"{CONTAINER}/planted-{size}"
    assert client.put(path, {"X-Object-Meta-Planted": planted.decode()}, body=body).status == 201
    found = on_disk(nodes) + xattrs(nodes)
    for what in (b"planted-0000", planted, md5(body).encode(), base64.b64encode(hashlib.md5(body).digest())[:20]):
        assert what not in found
    assert client.get(path).body == body


@pytest.mark.parametrize("options", [{"body": b""}, {"chunks": []}], ids=["length", "chunked"])
def test_an_empty_body_is_stored_as_it_is_and_its_metadata_is_not(client, bare, options):
    path = f"{CONTAINER}/empty-{len(options)}{'chunks' in options}"
    assert client.put(path, {"X-Object-Meta-A": "secret"}, **options).headers["etag"] == md5(b"")
    stored = bare.head(path)
    assert stored.headers["etag"] == md5(b"") and "x-object-sysmeta-crypto-body-meta" not in stored.headers
    assert "x-object-meta-a" not in stored.headers
    assert client.head(path).headers["x-object-meta-a"] == "secret"


@pytest.mark.parametrize("size", [100, LARGE])
def test_a_body_that_is_not_the_one_that_was_meant_is_refused(client, size):
    path = f"{CONTAINER}/wrong-{size}"
    assert client.put(path, {"Etag": "0" * 32}, body=b"x" * size).status == 422
    assert client.get(path).status == 404


@pytest.mark.parametrize("name", ["Größe", "É", "with_underscore", "UPPER"])
def test_names_of_metadata_come_back_as_they_do_without_encryption(client, bare, name):
    header = f"X-Object-Meta-{name}".encode().decode("latin-1")
    shown = []
    for who, path in ((client, f"{CONTAINER}/named"), (bare, f"{CONTAINER}/named-plain")):
        assert who.put(path, {header: "1"}, body=b"x").status == 201
        answer = who.open("HEAD", path)
        shown.append([name for name, value in answer.header_list if "meta" in name.lower() and value == "1"])
        answer.close()
    assert shown[0] == shown[1] == [title(header.replace("_", "-"))]


def test_a_script_may_read_the_metadata_that_it_might_without_encryption(client, bare):
    exposed = []
    container = "/v1/AUTH_enc/cors"
    bare.put(container, {"X-Container-Meta-Access-Control-Allow-Origin": "*"})
    for who, path in ((client, f"{container}/o"), (bare, f"{container}/plain")):
        who.put(path, {"X-Object-Meta-Color": "blue", "X-Object-Meta-Shape": "round"}, body=b"x")
        answer = who.get(path, {"Origin": "http://page.example"})
        exposed.append(sorted(answer.headers["access-control-expose-headers"].split(", ")))
    assert exposed[0] == exposed[1] and "x-object-meta-color" in exposed[0]


def test_a_post_replaces_metadata_and_leaves_the_rest(client, bare):
    path = f"{CONTAINER}/posted"
    client.put(path, {"X-Object-Meta-Old": "1"}, body=b"body")
    assert client.post(path, {"X-Object-Meta-New": "2", "Content-Type": "text/x-new"}).status == 202
    read = client.get(path)
    assert (read.body, read.headers.get("x-object-meta-new"), read.headers.get("x-object-meta-old")) == (
        b"body",
        "2",
        None,
    )
    assert "x-object-meta-new" not in bare.get(path).headers
    assert rows(client)["posted"]["hash"] == md5(b"body")


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"If-Match": "{etag}"}, 200),
        ({"If-Match": '"{etag}"'}, 200),
        ({"If-Match": '"other", "{etag}"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": "other"}, 412),
        ({"If-Match": 'W/"{etag}"'}, 412),
        ({"If-None-Match": "{etag}"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": "other"}, 200),
        ({"Range": "bytes=1-3", "If-Range": '"{etag}"'}, 206),
        ({"Range": "bytes=1-3", "If-Range": '"other"'}, 200),
        ({"Range": "bytes=1-3", "If-Range": "Mon, 01 Jan 2001 00:00:00 GMT"}, 200),
        ({"Range": "bytes=900-", "If-Range": '"{etag}"'}, 416),
        ({"Range": "bytes=900-", "If-Range": '"other"'}, 200),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["encrypted", "old secret", "plain"])
def test_conditions_are_about_the_plain_etag(bare, headers, status, kind):
    body = b"conditional"
    client = ProxyClient(encrypting(bare.app, OLD_AND_NEW, "2026"))
    writer = {"encrypted": client, "old secret": ProxyClient(encrypting(bare.app)), "plain": bare}[kind]
    path = f"{CONTAINER}/conditional-{kind}".replace(" ", "-")
    writer.put(path, body=body)
    given = {name: value.format(etag=md5(body)) for name, value in headers.items()}
    answer = client.get(path, given)
    assert answer.status == status
    if status in (200, 206):
        assert answer.body == (body if status == 200 else body[1:4])
    if status in (200, 206, 304):
        assert answer.headers["etag"] == md5(body)


def test_more_tags_than_fit_into_a_header_are_refused(client):
    client.put(f"{CONTAINER}/tags", body=b"x")
    tags = ", ".join(f'"{index:032x}"' for index in range(200))
    answer = client.get(f"{CONTAINER}/tags", {"If-Match": tags})
    assert (answer.status, b"name fewer" in answer.body) == (400, True)


def test_what_was_stored_plain_stays_readable(client, bare):
    bare.put(f"{CONTAINER}/plain", {"X-Object-Meta-Color": "red"}, body=b"plain")
    read = client.get(f"{CONTAINER}/plain")
    assert (read.body, read.headers["etag"], read.headers["x-object-meta-color"]) == (b"plain", md5(b"plain"), "red")
    assert rows(client)["plain"]["hash"] == md5(b"plain")


def test_without_encryption_new_objects_are_plain_and_old_ones_are_read(client, bare):
    off = ProxyClient(encrypting(bare.app, encrypts=False))
    client.put(f"{CONTAINER}/before", {"X-Object-Meta-A": "1"}, body=b"before")
    off.put(f"{CONTAINER}/after", {"X-Object-Meta-A": "1"}, body=b"after")
    assert bare.get(f"{CONTAINER}/after").body == b"after"
    assert off.get(f"{CONTAINER}/before").body == b"before"
    assert off.post(f"{CONTAINER}/before", {"X-Object-Meta-B": "2"}).status == 202
    assert off.head(f"{CONTAINER}/before").headers["x-object-meta-b"] == "2"


def test_after_a_rotation_old_and_new_objects_are_read(client, bare):
    rotated = ProxyClient(encrypting(bare.app, OLD_AND_NEW, "2026"))
    client.put(f"{CONTAINER}/old", {"X-Object-Meta-A": "old"}, body=b"under the old secret")
    rotated.put(f"{CONTAINER}/new", body=b"under the new secret")
    rotated.post(f"{CONTAINER}/old", {"X-Object-Meta-A": "new"})
    assert rotated.get(f"{CONTAINER}/new").body == b"under the new secret"
    old = rotated.get(f"{CONTAINER}/old")
    assert (old.body, old.headers["x-object-meta-a"]) == (b"under the old secret", "new")
    assert rows(rotated)["old"]["hash"] == md5(old.body) and rows(rotated)["new"]["hash"] != "unknown"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "secrets, active, why",
    [
        ({"2026": NEW_SECRET}, "2026", "the root secret without an id is not configured"),
        ({None: NEW_SECRET}, None, "its root secret is not what it was"),
    ],
    ids=["missing", "another under the same id"],
)
def test_what_is_under_a_key_that_is_not_there_is_never_shown(client, bare, caplog, method, secrets, active, why):
    client.put(f"{CONTAINER}/lost", {"X-Object-Meta-A": "secret"}, body=b"cannot be read")
    other = ProxyClient(encrypting(bare.app, secrets, active))
    with caplog.at_level(logging.ERROR):
        answer = other.request(method, f"{CONTAINER}/lost")
    assert answer.status == 500
    assert not [name for name in answer.headers if name.startswith("x-object-")]
    assert bare.get(f"{CONTAINER}/lost").body not in answer.body
    assert why in caplog.text
    assert rows(other)["lost"]["hash"] == "unknown"


def test_secrets_and_keys_appear_neither_in_logs_nor_in_answers(client, bare, caplog):
    client.put(f"{CONTAINER}/logged", {"X-Object-Meta-A": "planted value"}, body=b"planted body")
    with caplog.at_level(logging.DEBUG):
        other = ProxyClient(encrypting(bare.app, {"2026": NEW_SECRET}, "2026"))
        answer = other.get(f"{CONTAINER}/logged")
        client.get(f"{CONTAINER}/logged", {"If-Match": "x"})
        other.get(CONTAINER, query="format=json")
    said = caplog.text + repr(answer) + repr(other.app)
    for secret in (RECORDED_SECRET, NEW_SECRET):
        for form in (secret.hex(), base64.b64encode(secret).decode(), repr(secret)[2:-1]):
            assert form not in said
    assert "planted" not in said


@pytest.mark.parametrize(
    "name, value",
    [
        ("X-Object-Sysmeta-Crypto-Body-Meta", "no json"),
        ("X-Object-Sysmeta-Crypto-Body-Meta", "%7B%22cipher%22%3A+%22AES_CTR_256%22%7D"),
        ("X-Object-Sysmeta-Crypto-Body-Meta", "%7B%22cipher%22%3A+%22ROT13%22%7D"),
        ("X-Object-Sysmeta-Crypto-Etag", ""),
        ("X-Object-Sysmeta-Crypto-Etag-Mac", "AAAA"),
        ("X-Object-Transient-Sysmeta-Crypto-Meta", "%5B%5D"),
        ("X-Object-Transient-Sysmeta-Crypto-Meta-A", "plain"),
    ],
    ids=str,
)
def test_broken_crypto_metadata_is_an_error_never_a_body(client, bare, name, value):
    path = f"{CONTAINER}/broken"
    client.put(path, {"X-Object-Meta-A": "1"}, body=b"whole")

    def breaking(environ, start_response):
        def start(status, headers, *exc_info):
            return start_response(status, [(key, value if key == name else kept) for key, kept in headers], *exc_info)

        return bare.app(environ, start)

    answer = ProxyClient(encrypting(breaking)).get(path)
    assert (answer.status, answer.headers.get("x-object-meta-a")) == (500, None)


def test_noise_under_a_wrong_key_is_no_header(bare):
    """User metadata of an empty object has no MAC: of many values some have a line break when the key is another."""
    other = ProxyClient(encrypting(bare.app, {None: NEW_SECRET}))
    sender = ProxyClient(encrypting(bare.app))
    metadata = {f"X-Object-Meta-{index}": "x" * 40 for index in range(60)}
    sender.put(f"{CONTAINER}/noise", metadata)
    answer = other.head(f"{CONTAINER}/noise")
    assert answer.status == 500 and not any("x-object-meta" in name for name in answer.headers)


def test_what_cannot_be_read_leaves_nothing_open(client, bare):
    class Body:
        is_closed = False

        def __iter__(self):
            return iter(())

        def close(self):
            self.is_closed = True

    body = Body()
    client.put(f"{CONTAINER}/unread", body=b"x" * LARGE)
    stored = bare.open("GET", f"{CONTAINER}/unread")
    stored.close()

    def answering(environ, start_response):
        start_response(stored.status_line, stored.header_list)
        return body

    other = ProxyClient(encrypting(answering, {"2026": NEW_SECRET}, "2026"))
    assert other.get(f"{CONTAINER}/unread").status == 500 and body.is_closed


def test_metadata_limits_count_what_the_client_sends(client):
    path = f"{CONTAINER}/limits"
    assert client.put(path, {"X-Object-Meta-A": "x" * 257}, body=b"x").status == 400
    assert client.post(path, {f"X-Object-Meta-{index}": "x" for index in range(91)}).status == 400
    most = {f"X-Object-Meta-{index:02}": "x" * 40 for index in range(90)}
    assert client.put(path, most, body=b"x").status == 201
    assert client.head(path).headers["x-object-meta-89"] == "x" * 40


def test_crypto_headers_of_a_request_are_not_believed(client, bare):
    forged = {"X-Object-Sysmeta-Crypto-Body-Meta": "forged", "X-Object-Transient-Sysmeta-Crypto-Meta-A": "forged"}
    path = f"{CONTAINER}/claimed"
    assert client.put(path, forged, body=b"mine").status == 201
    assert "forged" not in repr(bare.get(path).headers)
    assert client.get(path).body == b"mine"


@pytest.mark.parametrize("size", [100, LARGE])
@pytest.mark.parametrize("override", ["{etag}; slo_etag=x", "{etag}"])
def test_what_a_filter_says_for_the_listing_is_listed(client, bare, size, override):
    body = b"m" * size
    said = override.format(etag=md5(body))
    path = f"{CONTAINER}/override-{size}-{len(override)}"
    client.put(path, {"X-Object-Sysmeta-Container-Update-Override-Etag": said}, body=body)
    name = path.rpartition("/")[2]
    assert rows(client)[name]["hash"] == said
    assert md5(body) not in rows(bare)[name]["hash"]
    assert client.head(path).headers["x-object-sysmeta-container-update-override-etag"] == said


def test_a_client_that_goes_away_leaves_nothing(client):
    path = f"{CONTAINER}/gone"

    def pieces():
        yield b"x" * 70_000
        raise ClientDisconnected

    assert client.put(path, chunks=pieces()).status == 499
    assert client.get(path).status == 404


class NoFooters:
    """A storage server of a make that knows no footers."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        for key in ("HTTP_X_BACKEND_OBJ_METADATA_FOOTER", "HTTP_X_BACKEND_OBJSTORE_CRC"):
            environ.pop(key, None)
        return self.app(environ, start_response)


def test_servers_that_take_no_footers_get_no_encrypted_object(tmp_path):
    from objstore.object.app import app_factory

    with StorageNodes(tmp_path, nodes=3) as nodes:
        bare = nodes.proxy(error_suppression_limit="1000")
        client = ProxyClient(encrypting(bare.app))
        bare.put(CONTAINER)
        for node in range(3):
            conf = {"devices": str(nodes.device_root(node)), "mount_check": "no", "fallocate_reserve": "0"}
            nodes.replace(node, "object", NoFooters(app_factory({"swift_dir": str(tmp_path)}, **conf)))
        assert client.put(f"{CONTAINER}/o", body=b"x" * LARGE).status == 503
        assert bare.put(f"{CONTAINER}/o", body=b"x" * LARGE).status == 201
        assert client.put(f"{CONTAINER}/small", body=b"x").status == 201
        assert client.get(f"{CONTAINER}/small").body == b"x"


def test_a_pipeline_without_a_keymaster_serves_nothing(bare):
    from objstore.core.limits import Limits
    from objstore.middleware.encryption.filter import Encryption

    client = ProxyClient(Encryption(bare.app, Limits()))
    assert client.put(f"{CONTAINER}/unkeyed", body=b"x").status == 500
    assert client.request("PUT", f"{CONTAINER}/unkeyed", environ={"wsgi.input": BytesInput()}).status == 500
