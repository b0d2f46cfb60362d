"""What `swift`, rclone and curl make of large objects, temporary URLs, metadata, copies, forms and CORS."""

import hashlib
import hmac
import json
import os
import time
import uuid

import pytest

from tests.clients.drivers import ClientFailed, Command, Rclone, Swift
from tests.clients.tools import ToolsMissing
from tests.support.packages import programs

pytestmark = pytest.mark.cluster
MIB = 1 << 20
KEY = "the key of temporary URLs"


@pytest.fixture
def swift(tools, cluster):
    return Swift(tools, cluster).command.output


@pytest.fixture
def rclone(tools, cluster):
    return Rclone(tools, cluster).command.output


@pytest.fixture
def curl():
    try:
        return Command(programs({"curl": "curl"})["curl"], {}).output
    except ToolsMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def name():
    return f"c{uuid.uuid4().hex[:10]}"


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "large"
    file.write_bytes(os.urandom(5 * MIB + 17))
    return file


def names(cluster, container):
    status, _, body = cluster.request("GET", f"/{container}")
    return body.decode().splitlines() if status in (200, 204) else status


@pytest.mark.parametrize("kind", ["slo", pytest.param("dlo", marks=pytest.mark.long)])
def test_swift_uploads_in_segments_and_deletes_them_again(swift, cluster, source, tmp_path, name, kind):
    swift([
        "--quiet", "upload", name, str(source), "--object-name", "dir/large", "--segment-size", str(MIB),
        "--use-slo" if kind == "slo" else "--use-dlo", "--header", "X-Object-Meta-Colour: blue",
    ])  # fmt: skip
    assert len(names(cluster, f"{name}_segments")) == 6
    swift(["--quiet", "download", name, "dir/large", "--output", str(tmp_path / "back")])
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    about = swift(["stat", name, "dir/large"])
    assert f"Content Length: {source.stat().st_size}" in about and "Colour: blue" in about
    status, headers, _ = cluster.request("HEAD", f"/{name}/dir/large")
    assert ("x-static-large-object" if kind == "slo" else "x-object-manifest") in headers
    swift(["--quiet", "delete", name, "dir/large"])
    assert names(cluster, name) == [] and names(cluster, f"{name}_segments") == []


@pytest.mark.long
def test_swift_skips_segments_that_are_there_already(swift, source, name):
    arguments = ["upload", name, str(source), "--object-name", "o", "--segment-size", str(MIB), "--use-slo"]
    swift(["--quiet", *arguments])
    assert "segment" not in swift([*arguments, "--skip-identical"])


@pytest.mark.long
def test_swift_sets_and_shows_metadata_and_what_the_cluster_can(swift, name, source):
    swift(["post", name, "--meta", "Owner:me", "--read-acl", ".r:*"])
    about = swift(["stat", name])
    assert "Meta Owner: me" in about and "Read ACL: .r:*" in about
    swift(["--quiet", "upload", name, str(source), "--object-name", "o"])
    swift(["post", name, "o", "--meta", "Colour:red", "--header", "X-Delete-After:3600"])
    about = swift(["stat", name, "o"])
    assert "Meta Colour: red" in about and "X-Delete-At" in about
    can = json.loads(swift(["info", "--json"]))
    assert {"slo", "tempurl", "formpost", "bulk_upload", "bulk_delete", "symlink", "staticweb"} <= can.keys()


@pytest.mark.long
def test_swift_copies_on_the_server(swift, cluster, name, source):
    swift(["--quiet", "upload", name, str(source), "--object-name", "o"])
    swift(["--quiet", "copy", name, "o", "--destination", f"/{name}-2/copied", "--meta", "From:copy"])
    status, headers, body = cluster.request("GET", f"/{name}-2/copied")
    assert status == 200 and body == source.read_bytes() and headers["x-object-meta-from"] == "copy"


@pytest.mark.long
def test_swift_deletes_a_container_in_bulk(swift, cluster, tmp_path, name):
    tree = tmp_path / "tree"
    tree.mkdir()
    for index in range(30):
        (tree / f"ü {index}").write_text("x")
    swift(["--quiet", "upload", name, str(tree), "--object-name", ""])
    assert len(names(cluster, name)) == 30
    swift(["--quiet", "delete", name])
    assert names(cluster, name) == 404


def test_a_temporary_url_made_by_swift_serves_curl(swift, curl, cluster, name, source, tmp_path):
    swift(["post", "--meta", f"Temp-URL-Key:{KEY}"])
    swift(["--quiet", "upload", name, str(source), "--object-name", "o"])
    account = cluster.login().path
    link = swift(["tempurl", "GET", "600", f"{account}/{name}/o", KEY]).strip()
    curl(["-sS", "--fail", "-o", str(tmp_path / "got"), cluster.endpoint + link])
    assert (tmp_path / "got").read_bytes() == source.read_bytes()
    put = swift(["tempurl", "PUT", "600", f"{account}/{name}/there", KEY]).strip()
    curl(["-sS", "--fail", "-T", str(source), cluster.endpoint + put])
    assert cluster.request("GET", f"/{name}/there")[2] == source.read_bytes()
    with pytest.raises(ClientFailed, match="401"):
        curl(["-sS", "--fail", "-T", str(source), cluster.endpoint + link])


def test_curl_sends_a_form(swift, curl, cluster, name, tmp_path):
    swift(["post", "--meta", f"Temp-URL-Key:{KEY}"])
    cluster.request("PUT", f"/{name}")
    path = f"{cluster.login().path}/{name}/from-form-"
    expires = int(time.time()) + 600
    fields = {"redirect": "", "max_file_size": 1000, "max_file_count": 2, "expires": expires}
    text = "\n".join([path, *map(str, fields.values())])
    fields["signature"] = hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
    arguments = [part for field, value in fields.items() for part in ("-F", f"{field}={value}")]
    for number in ("1", "2"):
        (tmp_path / f"{number}.txt").write_text(number * 10)
        arguments += ["-F", f"file{number}=@{tmp_path}/{number}.txt;type=text/x-test"]
    curl(["-sS", "--fail", *arguments, cluster.endpoint + path])
    assert names(cluster, name) == ["from-form-1.txt", "from-form-2.txt"]
    _, headers, body = cluster.request("GET", f"/{name}/from-form-2.txt")
    assert body == b"2" * 10 and headers["content-type"] == "text/x-test"


def test_curl_asks_what_another_origin_may(curl, cluster, name):
    cluster.request("PUT", f"/{name}", headers={"X-Container-Meta-Access-Control-Allow-Origin": "http://a.example"})
    url = f"{cluster.endpoint}{cluster.login().path}/{name}/o"
    ask = ["-sS", "-i", "-X", "OPTIONS", "-H", "Access-Control-Request-Method: GET", url]
    assert "access-control-allow-origin: http://a.example" in curl(["-H", "Origin: http://a.example", *ask]).lower()
    assert " 401 " in curl(["-H", "Origin: http://b.example", *ask]).splitlines()[0]


def test_rclone_uploads_large_files_in_chunks(rclone, cluster, source, tmp_path, name):
    chunks = ["--swift-chunk-size", "1Mi"]
    rclone(["copyto", *chunks, str(source), f"here:{name}/dir/large"])
    assert cluster.request("GET", f"/{name}/dir/large")[2] == source.read_bytes()
    assert len(names(cluster, f"{name}_segments")) == 6
    rclone(["check", "--download", str(source.parent), f"here:{name}/dir"])
    rclone(["moveto", *chunks, f"here:{name}/dir/large", f"here:{name}/moved"])
    assert names(cluster, name) == ["moved"]
    rclone(["copyto", f"here:{name}/moved", str(tmp_path / "back")])
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    rclone(["purge", f"here:{name}"])
    assert names(cluster, name) == 404 and names(cluster, f"{name}_segments") in ([], 404)
