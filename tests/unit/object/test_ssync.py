"""object/handlers/ssync.py: what a receiver takes and refuses. What was recorded is in test_ssync_vectors.py."""

import fcntl
import hashlib
from array import array

import pytest

from objstore.ring.fileformat import save
from objstore.ring.model import HASH_BITS, Ring, RingHeader
from objstore.runtime.checksum import crc32c, crc_text
from tests.support.clock import SimClock
from tests.support.object_server import SECRETS, LineBody, ObjectNode
from tests.support.rings import make_device

NOW = 1_795_238_500.0
AT, LATER = "1795238400.00000", "1795238410.00000"
NAME = "/AUTH_wire/rep/one"
HASH = SECRETS.hash_path("AUTH_wire", "rep", "one")
PARTITION = int(HASH[:2], 16)
PATH = f"/sdb1/{PARTITION}{NAME}"
WANTS_ALL = f"\r\n:MISSING_CHECK: START\r\n{HASH} dm\r\n:MISSING_CHECK: END\r\n"
DONE = ":UPDATES: START\r\n:UPDATES: END\r\n"


@pytest.fixture
def node(tmp_path):
    rows = [array("H", [0]) * 256]
    save(Ring(RingHeader(HASH_BITS - 8), rows, [make_device(0)]), tmp_path / "object.ring.gz")
    return ObjectNode(tmp_path, clock=SimClock(NOW), replication_lock_timeout="0.05", replication_failure_threshold="2")


def say(node, updates="", offers="", *, partition=PARTITION, device="sdb1", cut=False, **headers):
    text = f":MISSING_CHECK: START\r\n{offers}:MISSING_CHECK: END\r\n:UPDATES: START\r\n{updates}:UPDATES: END\r\n"
    body = LineBody([text.encode("latin-1")], cut=cut)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return node.call("SSYNC", f"/{device}/{partition}", {"transfer-encoding": "chunked", **named}, body)


def put(body=b"hello", at=AT, name=NAME, **headers):
    lines = {"X-Timestamp": at, "Content-Length": str(len(body)), "ETag": hashlib.md5(body).hexdigest()}
    lines |= {"Content-Type": "text/plain"} | {key.replace("_", "-"): value for key, value in headers.items()}
    head = "".join(f"{key}: {value}\r\n" for key, value in lines.items() if value is not None)
    return f"PUT {name}\r\n{head}\r\n{body.decode('latin-1')}"


def request(method, at, **headers):
    head = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items())
    return f"{method} {NAME}\r\nX-Timestamp: {at}\r\n{head}\r\n"


def names(node):
    directory = node.directory(PATH)
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def test_an_object_is_stored_with_its_metadata_and_without_container_rows(node):
    answer = say(node, put(X_Object_Meta_A="1", X_Object_Sysmeta_B="2", X_Delete_At="1795239000"), f"{HASH} {AT}\r\n")
    assert answer.body.decode() == WANTS_ALL + DONE
    found = node.call("GET", PATH)
    assert found.body == b"hello"
    assert found.headers["x-object-meta-a"] == "1" and found.headers["x-object-sysmeta-b"] == "2"
    assert node.delivery.rows == []


def test_cve_2026_50221_a_peer_cannot_have_a_server_call_others(node, tmp_path):
    orders = {
        "X_Container_Host": "10.0.0.1:80", "X_Container_Device": "sda", "X_Container_Partition": "1",
        "X_Delete_At_Host": "10.0.0.1:80", "X_Delete_At_Device": "sda", "X_Delete_At_Partition": "1",
        "X_Backend_Obj_Metadata_Footer": "yes", "If_None_Match": "*", "X_Backend_Next_Part_Power": "9",
    }  # fmt: skip
    say(node, put(at=AT) + put(at=LATER, X_Delete_At="1795239000", **orders))
    assert names(node) == [f"{LATER}.data"]
    assert node.delivery.rows == [] and not (tmp_path / "sdb1" / "async_pending").exists()
    say(node, request("DELETE", "1795238430.00000", X_Container_Host="10.0.0.1:80", X_Container_Device="sda"))
    assert node.delivery.rows == [] and not (tmp_path / "sdb1" / "async_pending").exists()


def test_posts_and_deletes_are_stored(node):
    say(node, put())
    assert say(node, request("POST", LATER, X_Object_Meta_New="1")).body.decode().endswith(DONE)
    assert names(node) == [f"{AT}.data", f"{LATER}.meta"]
    assert say(node, request("DELETE", "1795238420.00000")).body.decode().endswith(DONE)
    assert names(node) == ["1795238420.00000.ts"]


def test_what_is_here_and_newer_stays_and_is_no_failure(node):
    say(node, put(b"newer", LATER))
    assert say(node, put(b"older", AT)).body.decode().endswith(DONE)
    assert say(node, request("DELETE", AT)).body.decode().endswith(DONE)
    assert names(node) == [f"{LATER}.data"]


REFUSED = {
    "another body than its ETag": put(ETag="0" * 32),
    "another body than its CRC32C": put(X_Object_Sysmeta_Objstore_Crc32c="00000001"),
    "a CRC32C without an ETag": put(ETag=None, X_Object_Sysmeta_Objstore_Crc32c=crc_text(crc32c(b"hello"))),
    "a CRC32C that is none, and another body": put(ETag="0" * 32, X_Object_Sysmeta_Objstore_Crc32c="soon"),
    "no ETag": put(ETag=None),
    "no timestamp": put(X_Timestamp=None),
    "a timestamp that is none": put(at="tomorrow"),
    "no content type": put(Content_Type=None),
    "another partition's name": put(name="/AUTH_wire/rep/other"),
    "two names only": put(name="/AUTH_wire/rep"),
    "an expiry that is no number": put(X_Delete_At="soon"),
    "a path that is no text": put(name="/AUTH_wire/rep/%ff"),
}


@pytest.mark.parametrize("update", REFUSED.values(), ids=REFUSED)
def test_an_object_that_cannot_be_stored_is_said_to_the_sender(node, update):
    answer = say(node, update)
    said = answer.body.decode("latin-1")
    assert ":ERROR: 500" in said and DONE not in said
    assert not any(name.endswith(".data") for name in names(node))


def test_a_body_that_has_the_crc32c_of_its_metadata_is_stored_with_it(node):
    crc = crc_text(crc32c(b"hello"))
    assert say(node, put(X_Object_Sysmeta_Objstore_Crc32c=crc)).body.decode().endswith(DONE)
    assert names(node) == [f"{AT}.data"]


def test_others_are_stored_beside_one_that_is_refused(node):
    answer = say(node, put(ETag="0" * 32) + put(b"right", LATER))
    assert ":ERROR: 500" in answer.body.decode()
    assert names(node) == [f"{LATER}.data"]


def test_too_many_failures_end_a_conversation_early(node):
    answer = say(node, put(ETag="0" * 32) * 2 + put(b"right", LATER))
    assert "too many failures" in answer.body.decode()
    assert names(node) == []


BROKEN = {
    "another method": f"GET {NAME}\r\n\r\n",
    "no path": "PUT\r\n\r\n",
    "a path with a blank": f"PUT {NAME} x\r\n\r\n",
    "no length": put(Content_Length=None),
    "a length that is none": put(Content_Length="5x"),
    "a negative length": put(Content_Length="-5"),
    "a DELETE with a body": request("DELETE", AT, Content_Length="1") + "x",
    "a header without a colon": f"PUT {NAME}\r\nX-Timestamp\r\n\r\n",
    "a header with a NUL": f"PUT {NAME}\r\nX-Object-Meta-A: a\0b\r\n\r\n",
    "a header that is folded": f"PUT {NAME}\r\nX-Timestamp: {AT}\r\n more\r\n\r\n",
    "headers without end": f"PUT {NAME}\r\n" + "X-Object-Meta-A: b\r\n" * 1001 + "\r\n",
    "a line without end": f"PUT {NAME}\r\nX-Object-Meta-A: {'x' * 70000}\r\n\r\n",
}


@pytest.mark.parametrize("update", BROKEN.values(), ids=BROKEN)
def test_what_is_no_request_ends_the_conversation(node, update):
    answer = say(node, update)
    assert ":ERROR: 0" in answer.body.decode()
    assert answer.broke is not None, "the connection must be closed"
    assert names(node) == []


def test_a_body_that_is_cut_short_stores_nothing(node):
    text = f":MISSING_CHECK: START\r\n:MISSING_CHECK: END\r\n:UPDATES: START\r\n{put(b'hello')}"[:-2]
    answer = node.call("SSYNC", f"/sdb1/{PARTITION}", {}, LineBody([text.encode()], cut=True))
    assert answer.broke is not None
    assert not any(name.endswith(".data") for name in names(node))


@pytest.mark.parametrize("offer", [f"{'0' * 32} {AT}", f"../../../../etc/passwd {AT}", "x" * 5000, f"{HASH} {AT} m:zz"])
def test_an_offer_that_is_none_or_belongs_elsewhere_is_refused(node, offer):
    answer = say(node, offers=f"{offer}\r\n")
    assert ":ERROR: 0" in answer.body.decode() and answer.broke is not None


@pytest.mark.parametrize("device", ["..", "sdz9", "%2e%2e"])
def test_devices_that_are_none_are_refused_up_front(node, device):
    assert say(node, device=device).status in (400, 507)


def test_a_conversation_about_a_partition_that_is_none_stores_nothing(node, tmp_path):
    before = sorted(path.name for path in (tmp_path / "sdb1").iterdir())
    answer = say(node, put(), partition="abc")
    assert ":ERROR:" in answer.body.decode()
    assert sorted(path.name for path in (tmp_path / "sdb1").iterdir() if path.name != ".lock") == before


def test_a_partition_is_replicated_by_one_at_a_time(node):
    say(node, put())
    lock = node.directory(PATH).parents[1] / ".lock-replication"
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert ":ERROR: 0" in say(node, put(at=LATER)).body.decode()
    assert names(node) == [f"{AT}.data"]


CONFIRM = {"x_backend_objstore_confirm": "yes"}


def test_a_whole_object_is_confirmed(node):
    say(node, put())
    assert "dm" not in say(node, offers=f"{HASH} {AT}\r\n", **CONFIRM).body.decode()


def test_a_damaged_object_is_set_aside_and_wanted_again(node, tmp_path):
    say(node, put())
    (node.directory(PATH) / f"{AT}.data").write_bytes(b"hel")
    assert "dm" not in say(node, offers=f"{HASH} {AT}\r\n").body.decode()
    assert f"{HASH} dm" in say(node, offers=f"{HASH} {AT}\r\n", **CONFIRM).body.decode()
    assert names(node) == []
    assert list((tmp_path / "sdb1" / "quarantined" / "objects").iterdir())
