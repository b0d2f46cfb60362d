"""middleware/recon.py: what a storage server says of itself, against recorded answers (vectors/wire/recon.jsonl)."""

import json
import os
import shutil
from pathlib import Path

import pytest

from objstore import __version__
from objstore.middleware.recon import filter_factory
from tests.support.pipeline import RecordingApp, send

VECTORS = Path(__file__).parents[2] / "vectors"
RECORDS = [json.loads(line) for line in (VECTORS / "wire" / "recon.jsonl").read_text().splitlines()]
OURS = {"recon.object-version#1": {"version": __version__}, "recon.post#1": {"version": __version__}}
LOOKED_UP = {"ringmd5", "swiftconfmd5", "quarantined"}


@pytest.fixture
def node(tmp_path):
    for name in ("devices", "swift", "cache"):
        (tmp_path / name).mkdir()
    for device in ("sdb1", "sdb2"):
        (tmp_path / "devices" / device).mkdir()
    return tmp_path


def make(node, **options):
    conf = {"swift_dir": str(node / "swift"), "devices": str(node / "devices"), "mount_check": "no"}
    return filter_factory(conf, recon_cache_path=str(node / "cache"), **options)(RecordingApp())


def ask(node, what, **options):
    reply = send(make(node, **options), path=f"/recon/{what}")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    return json.loads(reply.body)


def kinds_of(value):
    """The types of a JSON value, as the recording has them."""
    if isinstance(value, dict):
        return {key: kinds_of(each) for key, each in value.items()}
    return [kinds_of(value[0])] if isinstance(value, list) and value else type(value).__name__


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["id"])
def test_recorded_answers(node, record):
    server = record["to"].rstrip("1")
    wanted = record["response"]
    what = record["request"]["path"].removeprefix("/recon/").split("/")[0]
    if "decoded" in wanted and what not in LOOKED_UP | {"version"}:
        kept = {key: value for key, value in wanted["decoded"].items() if value is not None}
        file = {"relinker": "relinker", "driveaudit": "drive"}.get(what, server)
        (node / "cache" / f"{file}.recon").write_text(json.dumps(kept))
    reply = send(make(node), record["request"]["method"], record["request"]["path"])
    assert reply.status == wanted["status"]
    assert reply.headers["content-type"] == dict(wanted["headers"])["Content-Type"]
    if wanted["status"] != 200:
        assert len(reply.body) == wanted["body"]["length"]
    elif what in LOOKED_UP - {"quarantined"}:
        assert json.loads(reply.body) == {}
    elif "decoded" in wanted:
        assert json.loads(reply.body) == OURS.get(record["id"], wanted["decoded"])


@pytest.mark.parametrize("what", ["mem", "load", "sockstat", "mounted", "time"])
def test_what_the_machine_says_has_the_recorded_types(node, what):
    (record,) = (r for r in RECORDS if r["id"] == f"recon.object-{what}#1")
    wanted = record["response"]["body"]["shape"]
    found = ask(node, what)
    if isinstance(wanted, dict):
        found = {key: found[key] for key in wanted}
    assert kinds_of(found) == wanted


def test_rings_and_swift_conf_are_known_by_their_digests(node):
    for ring in (VECTORS / "rings").glob("*.ring.gz"):
        shutil.copy(ring, node / "swift")
    (node / "swift" / "swift.conf").write_bytes(b"")
    rings = ask(node, "ringmd5")
    assert rings and set(rings) == {str(path) for path in (node / "swift").glob("*.ring.gz")}
    assert ask(node, "swiftconfmd5") == {str(node / "swift" / "swift.conf"): "d41d8cd98f00b204e9800998ecf8427e"}


def test_disks(node):
    shutil.rmtree(node / "devices" / "sdb2")
    (node / "devices" / "sdb2").write_text("a file in the place of a device")
    devices = str(node / "devices")
    assert ask(node, "devices") == {devices: ["sdb1", "sdb2"]}
    assert ask(node, "unmounted") == [{"device": "sdb2", "mounted": False}]
    whole, broken = ask(node, "diskusage")
    assert whole["mounted"] and whole["size"] >= whole["used"] + whole["avail"] > 0
    assert broken == {"device": "sdb2", "mounted": False, "size": "", "used": "", "avail": ""}


def test_a_directory_is_no_mount_point_where_that_is_checked(node):
    app = filter_factory({"devices": str(node / "devices"), "mount_check": "yes"})(RecordingApp())
    found = json.loads(send(app, path="/recon/unmounted").body)
    assert [each["device"] for each in found] == ["sdb1", "sdb2"]


def test_quarantine_is_counted(node):
    for path in ("sdb1/quarantined/objects/a", "sdb1/quarantined/objects-2/b", "sdb2/quarantined/objects-2/c",
                 "sdb2/quarantined/containers/d", "sdb2/quarantined/strange/e"):  # fmt: skip
        (node / "devices" / path).mkdir(parents=True)
    assert ask(node, "quarantined") == {
        "objects": 3,
        "containers": 1,
        "accounts": 0,
        "policies": {"0": {"objects": 1}, "2": {"objects": 2}},
    }


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"async_pending": 3'])
def test_a_damaged_cache_file_says_nothing(node, content):
    (node / "cache" / "object.recon").write_bytes(content)
    assert ask(node, "async") == {"async_pending": None, "async_pending_last": None}


def test_what_cannot_be_looked_up_is_an_error(node, caplog):
    os.rmdir(node / "devices" / "sdb1")
    os.rmdir(node / "devices" / "sdb2")
    os.rmdir(node / "devices")
    assert send(make(node), path="/recon/devices").status == 500
    assert "recon cannot tell" in caplog.text


@pytest.mark.parametrize("path", ["/recont", "/", "/sdb1/1/AUTH_a", "/v1/recon/version"])
def test_other_paths_go_on(node, path):
    assert send(make(node), path=path).body == b"inside"
