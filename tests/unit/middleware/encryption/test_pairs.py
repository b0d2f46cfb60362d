"""Encryption below the filters for copies, large objects, versions and links: none of them notices."""

import hashlib
import json

import pytest

from tests.support.encryption import RECORDED_SECRET, encrypting
from tests.support.object_filters import FilteredClient
from tests.support.storage_nodes import StorageNodes

CONTAINER = "/v1/AUTH_pairs/c"
NEW_SECRET = bytes(range(100, 132))
PIECES = [bytes([65 + index]) * 70_000 for index in range(3)]
WHOLE = b"".join(PIECES)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with StorageNodes(tmp_path_factory.mktemp("pairs"), nodes=3) as nodes:
        nodes.proxy().put(CONTAINER)
        yield nodes


@pytest.fixture
def bare(nodes):
    return nodes.proxy()


@pytest.fixture
def client(bare):
    return FilteredClient(bare, inside=encrypting)


def md5(data):
    return hashlib.md5(data).hexdigest()


def row(client, name, container=CONTAINER, query="format=json"):
    return next(row for row in json.loads(client.get(container, query=query).body) if row["name"] == name)


def put_pieces(client, kind):
    for index, piece in enumerate(PIECES):
        assert client.put(f"{CONTAINER}/{kind}-{index}", body=piece).status == 201


@pytest.mark.parametrize("size", [0, 100, 200_000])
def test_a_copy_is_encrypted_for_its_own_name(client, bare, size):
    body = b"c" * size
    client.put(f"{CONTAINER}/source", {"X-Object-Meta-A": "1"}, body=body)
    copied = client.put(f"{CONTAINER}/copy", {"X-Copy-From": "c/source", "X-Object-Meta-B": "2"})
    assert (copied.status, copied.headers["etag"]) == (201, md5(body))
    found = client.get(f"{CONTAINER}/copy")
    assert (found.body, found.headers["x-object-meta-a"], found.headers["x-object-meta-b"]) == (body, "1", "2")
    assert row(client, "copy")["hash"] == md5(body)
    if size:
        assert "copy" in bare.head(f"{CONTAINER}/copy").headers["x-object-sysmeta-crypto-body-meta"]
        assert bare.get(f"{CONTAINER}/copy").body not in (body, bare.get(f"{CONTAINER}/source").body)


def test_a_copy_onto_itself_puts_an_object_under_the_new_secret(client, bare):
    secrets = {None: RECORDED_SECRET, "new": NEW_SECRET}
    rotated = FilteredClient(bare, inside=lambda app: encrypting(app, secrets, "new"))
    after = FilteredClient(bare, inside=lambda app: encrypting(app, {"new": NEW_SECRET}, "new"))
    for name, writer in (("old", client), ("plain", bare)):
        path = f"{CONTAINER}/{name}"
        writer.put(path, {"X-Object-Meta-A": "1"}, body=b"moved on")
        assert rotated.request("COPY", path, {"Destination": f"c/{name}"}).status == 201
        found = after.get(path)
        assert (found.body, found.headers["x-object-meta-a"]) == (b"moved on", "1")
        assert bare.get(path).body != b"moved on"


def test_a_static_large_object_reads_as_its_segments(client, bare):
    put_pieces(client, "slo")
    manifest = json.dumps([{"path": f"/c/slo-{index}", "etag": md5(PIECES[index])} for index in range(3)]).encode()
    path = f"{CONTAINER}/slo"
    put = client.put(path, body=manifest, query="multipart-manifest=put")
    etag = '"' + md5("".join(map(md5, PIECES)).encode()) + '"'
    assert (put.status, put.headers["etag"]) == (201, etag)
    found = client.get(path)
    assert (found.body, found.headers["etag"]) == (WHOLE, etag)
    assert client.get(path, {"Range": "bytes=69990-140010"}).body == WHOLE[69990:140011]
    several = client.get(path, {"Range": "bytes=0-3,139999-140002"}).body
    assert b"\r\n\r\nAAAA\r\n" in several and b"\r\n\r\nBCCC\r\n" in several
    assert client.get(path, {"If-None-Match": etag}).status == 304
    assert client.get(path, {"If-Match": '"other"'}).status == 412
    listed = row(client, "slo")
    assert (listed["bytes"], listed["slo_etag"]) == (len(WHOLE), etag)
    stored = client.get(path, query="multipart-manifest=get")
    assert [segment["hash"] for segment in json.loads(stored.body)] == [md5(piece) for piece in PIECES]
    assert b"slo-0" not in bare.get(path).body


def test_a_dynamic_large_object_reads_as_its_segments(client):
    put_pieces(client, "dlo")
    path = f"{CONTAINER}/manifest"
    assert client.put(path, {"X-Object-Manifest": "c/dlo-"}).status == 201
    found = client.get(path)
    assert (found.body, found.headers["etag"].strip('"')) == (WHOLE, md5("".join(map(md5, PIECES)).encode()))
    assert client.get(path, {"Range": "bytes=-10"}).body == WHOLE[-10:]


@pytest.mark.parametrize("size", [100, 200_000])
def test_versions_are_kept_and_read(client, size):
    container = f"/v1/AUTH_pairs/versions-{size}"
    first, second = b"1" * size, b"2" * size
    client.put(container)
    client.put(f"{container}/o", {"X-Object-Meta-A": "1"}, body=first)
    assert client.post(container, {"X-Versions-Enabled": "true"}).status == 204
    client.put(f"{container}/o", body=second)
    found = client.get(f"{container}/o")
    assert (found.body, found.headers["etag"].strip('"')) == (second, md5(second))
    listed = json.loads(client.get(container, query="versions&format=json").body)
    assert [(each["hash"], each["bytes"]) for each in listed] == [(md5(second), size), (md5(first), size)]
    old = client.get(f"{container}/o", query=f"version-id={listed[1]['version_id']}")
    assert (old.body, old.headers["x-object-meta-a"]) == (first, "1")
    part = client.get(f"{container}/o", {"Range": "bytes=17-40"}, query=f"version-id={listed[0]['version_id']}")
    assert part.body == second[17:41]
    assert row(client, "o", container)["hash"] == md5(second)


def test_legacy_versions_come_back(client):
    container, archive = "/v1/AUTH_pairs/stack", "/v1/AUTH_pairs/archive"
    client.put(archive)
    assert client.put(container, {"X-Versions-Location": "archive"}).status == 201
    for body in (b"first", b"second"):
        client.put(f"{container}/o", {"X-Object-Meta-Body": body.decode()}, body=body)
    assert [each["hash"] for each in json.loads(client.get(archive, query="format=json").body)] == [md5(b"first")]
    assert client.delete(f"{container}/o").status == 204
    found = client.get(f"{container}/o")
    assert (found.body, found.headers["x-object-meta-body"], found.headers["etag"]) == (
        b"first",
        "first",
        md5(b"first"),
    )


@pytest.mark.parametrize("is_static", [True, False])
def test_links_lead_to_what_is_encrypted(client, is_static):
    client.put(f"{CONTAINER}/target", body=b"target")
    static = {"X-Symlink-Target-Etag": md5(b"target")} if is_static else {}
    path = f"{CONTAINER}/link-{is_static}"
    assert client.put(path, {"X-Symlink-Target": "c/target", "X-Object-Meta-A": "1", **static}).status == 201
    assert client.get(path).body == b"target"
    assert client.get(path, {"If-Match": md5(b"target")}).status == 200
    listed = row(client, f"link-{is_static}")
    assert listed["symlink_path"].endswith("/c/target") and (listed.get("symlink_etag") == md5(b"target")) == is_static
    assert client.head(path, query="symlink=get").headers["x-object-meta-a"] == "1"
    wrong = {"X-Symlink-Target": "c/target", "X-Symlink-Target-Etag": "0" * 32}
    assert client.put(f"{CONTAINER}/wrong", wrong).status == 409
