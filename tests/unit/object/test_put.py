"""object/handlers/put.py: what a PUT stores, refuses and tells."""

import errno
import hashlib
import json
import os

import pytest

from objstore.core import pickles
from objstore.runtime.checksum import crc32c, crc_text
from objstore.runtime.devices import Devices
from objstore.storage import pending
from objstore.storage.disk import DiskEngine
from tests.support.clock import SimClock
from tests.support.object_server import SECRETS, FakeBody, ObjectNode
from tests.support.recording_fs import RecordingFs

PATH = "/sdb1/5/AUTH_a/c/o"
CONTAINER = {"X-Container-Host": "127.0.0.1:6201", "X-Container-Device": "sdc", "X-Container-Partition": "9"}
BOUNDARY = "b" * 64


@pytest.fixture
def node(tmp_path):
    return ObjectNode(tmp_path)


def mime(body, footers, *, md5=None, commit=False, boundary=BOUNDARY):
    document = json.dumps(footers).encode()
    digest = md5 or hashlib.md5(document).hexdigest()
    line = b"--" + boundary.encode()
    return (
        line + b"\r\nX-Document: object body\r\n\r\n" + body + b"\r\n" + line
        + b"\r\nX-Document: object metadata\r\nContent-MD5: " + digest.encode() + b"\r\n\r\n" + document
        + b"\r\n" + line + (b"\r\n" if commit else b"--\r\n")
    )  # fmt: skip


def put_with_footers(node, body, footers, *, headers=None, raw=None, piece=1 << 30, more=(), cut=False):
    lines = {
        "x-timestamp": "1795238400.00000", "content-type": "text/plain", "transfer-encoding": "chunked",
        "x-backend-obj-metadata-footer": "yes", "x-backend-obj-multipart-mime-boundary": BOUNDARY, **(headers or {}),
    }  # fmt: skip
    source = FakeBody([raw if raw is not None else mime(body, footers), *more], piece=piece, cut=cut)
    return node.call("PUT", PATH, lines, source)


def stored(node):
    return node.call("GET", PATH)


class TestFooters:
    def test_footers_are_stored_and_offered(self, node):
        answer = put_with_footers(node, b"hello", {"X-Object-Sysmeta-X": "1", "X-Object-Transient-Sysmeta-Y": "2"})
        assert answer.status == 201
        assert answer.interim == [[("X-Obj-Metadata-Footer", "yes")]]
        found = stored(node)
        assert found.body == b"hello"
        assert (found.headers["x-object-sysmeta-x"], found.headers["x-object-transient-sysmeta-y"]) == ("1", "2")

    @pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
    @pytest.mark.parametrize("says_length", [True, False])
    def test_in_pieces_of_any_size(self, node, piece, says_length):
        body = b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n" * 50 + b"x" * 300 + b"\r"
        headers = {"x-backend-obj-content-length": str(len(body))} if says_length else {}
        footers = {"Etag": hashlib.md5(body).hexdigest()}
        assert put_with_footers(node, body, footers, piece=piece, headers=headers).status == 201
        assert stored(node).body == body

    @pytest.mark.parametrize(("length", "status"), [(4, 400), (6, 400), (5000, 499)])
    def test_a_length_that_is_wrong(self, node, length, status):
        headers = {"x-backend-obj-content-length": str(length)}
        assert put_with_footers(node, b"hello", {}, headers=headers).status == status
        assert stored(node).status == 404

    def test_an_object_without_an_end(self, node):
        raw = mime(b"", {}).split(b"\r\n\r\n")[0] + b"\r\n\r\nhello"
        for tail in (b"", b"\r", b"\r\n--bb"):
            assert put_with_footers(node, b"", {}, raw=raw + tail).status == 499
        assert stored(node).status == 404

    def test_an_etag_in_the_footers_is_checked(self, node):
        assert put_with_footers(node, b"hello", {"Etag": "0" * 32}).status == 422
        assert stored(node).status == 404

    def test_footers_that_do_not_match_their_md5(self, node):
        assert put_with_footers(node, b"", {}, raw=mime(b"hello", {}, md5="0" * 32)).status == 422
        assert stored(node).status == 404

    @pytest.mark.parametrize(
        ("raw", "status"),
        [
            (b"--" + BOUNDARY.encode() + b"\r\n\r\nhello\r\n--" + BOUNDARY.encode() + b"--\r\n", 400),
            (mime(b"hello", {})[:-90], 400),
            (b"hello", 400),
            (mime(b"hello", []), 400),
            (mime(b"hello", {}).replace(b"Content-MD5", b"Content-XXX"), 400),
            (b"", 400),
            (mime(b"x" * 5000, {}, boundary="c" * 64), 400),
        ],
        ids=["no footers", "cut footers", "no mime", "a list", "no md5", "nothing", "another boundary"],
    )
    def test_broken_framing_stores_nothing(self, node, raw, status):
        assert put_with_footers(node, b"", {}, raw=raw).status == status
        assert stored(node).status == 404

    def test_a_sender_that_goes_away_in_the_middle(self, node):
        assert put_with_footers(node, b"", {}, raw=mime(b"hello" * 1000, {})[:1000], cut=True).status == 499
        assert stored(node).status == 404

    def test_the_boundary_is_required(self, node):
        answer = put_with_footers(node, b"x", {}, headers={"x-backend-obj-multipart-mime-boundary": ""})
        assert answer.status == 400

    def test_two_phases(self, node):
        commit = b"X-Document: put commit\r\n\r\nput_commit_confirmation\r\n--" + BOUNDARY.encode() + b"--"
        answer = put_with_footers(
            node, b"", {}, raw=mime(b"hello", {}, commit=True), more=[commit],
            headers={"x-backend-obj-multiphase-commit": "yes"},
        )  # fmt: skip
        assert answer.status == 201
        assert answer.interim == [[("X-Obj-Multiphase-Commit", "yes"), ("X-Obj-Metadata-Footer", "yes")]] * 2
        assert stored(node).body == b"hello"

    def test_a_commit_that_never_comes(self, node):
        headers = {"x-backend-obj-multiphase-commit": "yes"}
        answer = put_with_footers(node, b"", {}, raw=mime(b"hello", {}, commit=True), headers=headers)
        assert answer.status == 499
        assert stored(node).status == 404


class TestCrcInsteadOfMd5:
    BODY = os.urandom(300_000)
    OFFER = {"x-backend-objstore-crc": "yes"}

    def footers(self, **changes):
        return {
            "Etag": hashlib.md5(self.BODY).hexdigest(),
            "X-Objstore-Body-Crc32c": crc_text(crc32c(self.BODY)),
            **changes,
        }

    def test_is_offered_and_accepted(self, node):
        answer = put_with_footers(node, self.BODY, self.footers(), headers=self.OFFER)
        assert answer.status == 201
        assert {("X-Objstore-Crc", "yes"), ("X-Objstore-Targets", "yes")} <= set(answer.interim[0])
        assert answer.headers["etag"] == f'"{hashlib.md5(self.BODY).hexdigest()}"'
        found = stored(node)
        assert found.body == self.BODY
        assert not any("crc" in name for name in found.headers), "an inner matter"

    def test_the_sender_is_believed_about_the_etag(self, node):
        """That is the point: MD5 is computed once, at the proxy."""
        footers = self.footers(Etag="1" * 32)
        assert put_with_footers(node, self.BODY, footers, headers=self.OFFER).status == 201
        assert stored(node).headers["etag"] == '"' + "1" * 32 + '"'

    @pytest.mark.parametrize(
        "changes", [{"X-Objstore-Body-Crc32c": "00000000"}, {"X-Objstore-Body-Crc32c": "junk"}, {"Etag": ""}]
    )
    def test_a_wrong_checksum_is_refused(self, node, changes):
        assert put_with_footers(node, self.BODY, self.footers(**changes), headers=self.OFFER).status == 422
        assert stored(node).status == 404

    def test_is_not_offered_unasked(self, node):
        answer = put_with_footers(node, b"hello", {})
        assert answer.interim[0] == [("X-Obj-Metadata-Footer", "yes")], "a foreign proxy sees nothing of ours"

    def test_the_stored_checksum_cannot_be_forged(self, node):
        forged = {"x-object-sysmeta-objstore-crc32c": "00000000"}
        node.call("PUT", PATH, {"x-timestamp": "1", "content-type": "a/b", "content-length": "5", **forged}, b"hello")
        assert stored(node).body == b"hello"


class TestInBlocks:
    """Uploads longer than one block go to disk while they come."""

    @pytest.fixture
    def node(self, tmp_path):
        return ObjectNode(tmp_path, network_chunk_size="4096")

    @pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 8192, 50_000])
    @pytest.mark.parametrize("says_length", [True, False])
    @pytest.mark.parametrize("piece", [1000, 1 << 20])
    def test_every_byte_arrives_in_order(self, node, size, says_length, piece):
        body = os.urandom(size)
        lines = {"x-timestamp": "1", "content-type": "a/b", "etag": hashlib.md5(body).hexdigest()}
        framing = {"content-length": str(size)} if says_length else {"transfer-encoding": "chunked"}
        assert node.call("PUT", PATH, lines | framing, FakeBody([body], piece=piece)).status == 201
        assert stored(node).body == body

    def test_with_footers(self, node):
        body = os.urandom(50_000)
        footers = {"Etag": hashlib.md5(body).hexdigest(), "X-Objstore-Body-Crc32c": crc_text(crc32c(body))}
        assert put_with_footers(node, body, footers, headers={"x-backend-objstore-crc": "yes"}).status == 201
        assert stored(node).body == body

    def test_a_sender_that_goes_away_leaves_nothing_open(self, node):
        before = len(os.listdir("/proc/self/fd"))
        lines = {"x-timestamp": "1", "content-type": "a/b", "content-length": "60000"}
        for _ in range(3):
            assert node.call("PUT", PATH, lines, FakeBody([b"x" * 50_000], piece=3000, cut=True)).status == 499
        assert stored(node).status == 404
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_disk_that_fills_up_in_the_middle(self, tmp_path):
        engine = DiskEngine(
            Devices(tmp_path, mount_check=False), SECRETS, SimClock(),
            fs=RecordingFs(fail={"write": OSError(errno.ENOSPC, "full")}),
        )  # fmt: skip
        node = ObjectNode(tmp_path, engine=engine, network_chunk_size="4096")
        assert node.put(PATH, b"x" * 50_000).status == 507
        assert node.put(PATH, b"x").status == 507
        assert stored(node).status == 404


class TestRefusals:
    def test_threat_max_upload_time_a_slow_upload_ends(self, tmp_path):
        node = ObjectNode(tmp_path, max_upload_time="10")
        source = FakeBody([b"x" * 100], piece=10)
        original = source.readinto

        def slow(buffer):
            node.clock.advance(3)
            return original(buffer)

        source.readinto = slow
        lines = {"x-timestamp": "1", "content-type": "a/b", "transfer-encoding": "chunked"}
        assert node.call("PUT", PATH, lines, source).status == 408
        assert stored(node).status == 404

    def test_a_body_shorter_than_it_says(self, node):
        lines = {"x-timestamp": "1", "content-type": "a/b", "content-length": "10"}
        assert node.call("PUT", PATH, lines, b"short").status == 499
        assert stored(node).status == 404

    def test_a_body_longer_than_the_proxy_said(self, node):
        lines = {"x-timestamp": "1", "content-type": "a/b", "transfer-encoding": "chunked"}
        answer = node.call("PUT", PATH, {**lines, "x-backend-obj-content-length": "3"}, b"longer")
        assert answer.status == 413

    def test_conflicts_come_before_the_body_is_read(self, node):
        node.put(PATH, b"new", "1795238400.00000")
        source = FakeBody([b"old"])
        lines = {"x-timestamp": "1795238399.00000", "content-type": "a/b", "content-length": "3"}
        answer = node.call("PUT", PATH, lines, source)
        assert (answer.status, answer.headers["x-backend-timestamp"]) == (409, "1795238400.00000")
        assert not source.was_read

    def test_a_full_disk_refuses_writes_and_still_deletes(self, tmp_path):
        node = ObjectNode(tmp_path)
        node.put(PATH, b"x", "1795238400.00000")
        full = ObjectNode(tmp_path, fallocate_reserve="100%")
        assert full.put(PATH, b"new", "1795238401.00000").status == 507
        assert full.call("DELETE", PATH, {"x-timestamp": "1795238402.00000"}).status == 204
        assert stored(full).status == 404

    def test_a_partition_that_is_no_number_makes_no_directory(self, node):
        assert node.put("/sdb1/x/AUTH_a/c/o", b"").status == 400
        assert not (node.root / "sdb1" / "objects").exists()

    def test_an_expired_object_does_not_stop_if_none_match(self, node):
        node.put(PATH, b"x", "1795238400.00000", x_delete_at="1795238450")
        assert node.put(PATH, b"y", "1795238401.00000", if_none_match="*").status == 412
        node.clock.seconds = 1_795_238_451.0
        assert node.put(PATH, b"y", "1795238452.00000", if_none_match="*").status == 201


class TestWhatIsKept:
    def test_only_allowed_headers_are_stored(self, node):
        """The proxy forwards every header of the client (formats 6.4)."""
        node.put(
            PATH, b"x", x_auth_token="secret", x_object_meta_a="1", content_encoding="gzip", x_newest="1",
            x_backend_replication_headers="X-Special X-Other", x_special="kept",
        )  # fmt: skip
        headers = stored(node).headers
        assert headers["x-object-meta-a"] == "1"
        assert headers["content-encoding"] == "gzip"
        assert headers["x-special"] == "kept"
        assert not {"x-auth-token", "x-newest"} & set(headers)

    def test_container_update_overrides(self, node):
        override = "x-backend-container-update-override-"
        footers = {override + "etag": "e" * 32, override + "size": "99"}
        put_with_footers(node, b"hello", footers, headers=CONTAINER)
        (_, row, _) = node.delivery.rows[0]
        assert (row.etag, row.size, row.content_type) == ("e" * 32, 99, "text/plain")
        sysmeta = {"x-object-sysmeta-container-update-override-etag": "s" * 32, **CONTAINER}
        put_with_footers(node, b"hello", footers, headers={**sysmeta, "x-timestamp": "1795238401.00000"})
        assert node.delivery.rows[1][1].etag == "s" * 32, "the stored override wins"
        assert override + "etag" not in stored(node).headers


def deferred(node, device="sdb1"):
    paths = sorted((node.root / device).glob("async_pending/*/*"))
    return [(path, pending.decode(path.read_bytes())) for path in paths]


class TestRows:
    def test_every_target_gets_the_row(self, node):
        headers = {
            "x_container_host": "127.0.0.1:1,[::1]:2", "x_container_device": "sda,sdb", "x_container_partition": "9",
            "x_trans_id": "tx1",
        }  # fmt: skip
        node.put(PATH, b"hello", **headers)
        assert sorted((t.host, t.port, t.path) for t, _, _ in node.delivery.rows) == [
            ("127.0.0.1", 1, "/sda/9/AUTH_a/c"), ("::1", 2, "/sdb/9/AUTH_a/c"),
        ]  # fmt: skip
        row = node.delivery.rows[0][1]
        assert row.headers() == {
            "x-timestamp": "1795238400.00000", "x-size": "5", "x-content-type": "text/plain",
            "x-etag": hashlib.md5(b"hello").hexdigest(), "x-trans-id": "tx1",
            "referer": "PUT http:///sdb1/5/AUTH_a/c/o", "x-backend-storage-policy-index": "0",
        }  # fmt: skip
        assert deferred(node) == []

    def test_a_row_that_was_not_taken_is_kept(self, tmp_path):
        node = ObjectNode(tmp_path, accepts_rows=False)
        headers = {name.replace("-", "_"): value for name, value in CONTAINER.items()}
        assert node.put(PATH, b"hello", x_container_root_db_state="unsharded", **headers).status == 201
        ((path, update),) = deferred(node)
        digest = node.secrets.hash_path("AUTH_a", "c", "o")
        assert path.name == f"{digest}-1795238400.00000" and path.parent.name == digest[-3:]
        assert (update.op, update.account, update.container, update.obj) == ("PUT", "AUTH_a", "c", "o")
        assert update.headers["x-size"] == "5" and update.db_state == "unsharded"
        raw = pickles.loads(path.read_bytes())
        assert raw["headers"]["X-Etag"] == hashlib.md5(b"hello").hexdigest()

    def test_targets_that_make_no_sense_leave_the_row_to_the_updater(self, node):
        node.put(PATH, b"x", x_container_host="127.0.0.1:1,127.0.0.1:2", x_container_device="sda",
                 x_container_partition="1")  # fmt: skip
        assert node.delivery.rows == []
        assert len(deferred(node)) == 1

    def test_a_shard_gets_the_row_of_its_root_alone(self, tmp_path):
        node = ObjectNode(tmp_path, accepts_rows=False)
        headers = {name.replace("-", "_"): value for name, value in CONTAINER.items()}
        node.put(PATH, b"x", x_backend_quoted_container_path=".shards_AUTH_a/c%20x-1", **headers)
        target, row, alone = node.delivery.rows[0]
        assert (target.path, row.container, alone) == ("/sdc/9/.shards_AUTH_a/c x-1", "c", True)
        ((_, update),) = deferred(node)
        assert (update.container, update.container_path) == ("c", ".shards_AUTH_a/c x-1")

    def test_expiry_is_queued_and_the_old_entry_is_left_to_the_updater(self, node):
        expiry = {
            "x_delete_at_host": "127.0.0.1:3", "x_delete_at_device": "sdd", "x_delete_at_partition": "7",
            "x_delete_at_container": "1795305597",
        }  # fmt: skip
        node.put(PATH, b"hello", "1795238400.00000", x_delete_at="1795328378", **expiry)
        target, row, _ = node.delivery.rows[0]
        assert (target.path, row.obj) == ("/sdd/7/.expiring_objects/1795305597", "1795328378-AUTH_a/c/o")
        assert row.headers()["x-content-type"] == "text/plain;swift_expirer_bytes=5"
        assert row.headers()["x-content-type-timestamp"] == "1795238400.00000"
        assert deferred(node) == []
        node.put(PATH, b"hello", "1795238401.00000", x_backend_clean_expiring_object_queue="f")
        assert deferred(node) == []
        node.put(PATH, b"hello", "1795238402.00000", x_delete_at="1795328400", **expiry)
        node.call("DELETE", PATH, {"x-timestamp": "1795238403.00000"})
        ((_, update),) = deferred(node)
        assert (update.op, update.account, update.obj) == (
            "DELETE", ".expiring_objects", "1795328400-AUTH_a/c/o",
        )  # fmt: skip

    def test_footers_name_more_targets(self, node):
        """Those of an object server that was lost in the middle of the body (proxy/orphans.py)."""
        footers = {
            "X-Objstore-Container-Partition": "9", "X-Objstore-Container-Host": "127.0.0.1:7,127.0.0.1:8",
            "X-Objstore-Container-Device": "sdx,sdy",
        }  # fmt: skip
        assert put_with_footers(node, b"hello", footers, headers=CONTAINER).status == 201
        own = [t.path for t, _, _ in node.delivery.rows if t.port not in (7, 8)]
        more = [(t.port, t.path) for t, _, _ in node.delivery.rows if t.port in (7, 8)]
        assert len(own) == 1
        assert more == [(7, "/sdx/9/AUTH_a/c"), (8, "/sdy/9/AUTH_a/c")]
        assert not any("objstore" in name for name in stored(node).headers)

    def test_a_server_without_targets_of_its_own_tells_those_of_the_footers(self, node):
        footers = {
            "X-Objstore-Container-Partition": "9", "X-Objstore-Container-Host": "127.0.0.1:7",
            "X-Objstore-Container-Device": "sdx",
        }  # fmt: skip
        put_with_footers(node, b"hello", footers)
        assert [t.path for t, _, _ in node.delivery.rows] == ["/sdx/9/AUTH_a/c"]

    def test_a_target_that_head_and_footers_name_is_told_once(self, node):
        footers = {name.replace("x-container", "x-objstore-container"): value for name, value in CONTAINER.items()}
        put_with_footers(node, b"hello", footers, headers=CONTAINER)
        assert len(node.delivery.rows) == 1

    def test_footers_that_make_no_sense_leave_the_row_to_the_updater(self, node):
        footers = {"X-Objstore-Container-Host": "127.0.0.1:7,127.0.0.1:8", "X-Objstore-Container-Device": "sdx"}
        assert put_with_footers(node, b"hello", footers, headers=CONTAINER).status == 201
        assert len(node.delivery.rows) == 1
        assert len(deferred(node)) == 1

    def test_footers_name_more_targets_of_the_expiry_queue(self, node):
        expiry = {"x-delete-at": "1795328378", "x-delete-at-container": "1795305597"}
        footers = {
            "X-Objstore-Delete-At-Partition": "7", "X-Objstore-Delete-At-Host": "127.0.0.1:3",
            "X-Objstore-Delete-At-Device": "sdd",
        }  # fmt: skip
        put_with_footers(node, b"hello", footers, headers=expiry)
        assert [t.path for t, _, _ in node.delivery.rows] == ["/sdd/7/.expiring_objects/1795305597"]

    def test_a_put_of_the_very_object_that_is_there_tells_the_targets_it_names(self, node):
        """Those of a server that was lost before its answer (proxy/orphans.py): it sends no body, but the ETag."""
        node.put(PATH, b"hello", x_object_sysmeta_container_update_override_etag="f" * 32)
        again = {"etag": hashlib.md5(b"hello").hexdigest(), "content-length": "0", "content-type": "text/plain"}
        answer = node.call("PUT", PATH, {**CONTAINER, **again, "x-timestamp": "1795238400.00000"})
        assert answer.status == 409
        ((target, row, _),) = node.delivery.rows
        assert target.path == "/sdc/9/AUTH_a/c"
        assert (row.timestamp.internal, row.size, row.etag) == ("1795238400.00000", 5, "f" * 32)
        assert row.content_type == "text/plain"
        assert stored(node).body == b"hello"

    @pytest.mark.parametrize(("moment", "rows"), [("1795238401.00000", 2), ("1795238400.50000", 1)])
    def test_the_very_delete_that_was_done_tells_the_targets_it_names(self, node, moment, rows):
        node.put(PATH, b"hello", "1795238400.00000")
        node.call("DELETE", PATH, {**CONTAINER, "x-timestamp": "1795238401.00000"})
        assert node.call("DELETE", PATH, {**CONTAINER, "x-timestamp": moment}).status == 404
        assert [row.op for _, row, _ in node.delivery.rows] == ["DELETE"] * rows

    @pytest.mark.parametrize("moment", ["1795238399.00000", "1795238401.00000"], ids=["older", "newer"])
    def test_a_put_without_a_body_of_another_time_tells_nobody_and_changes_nothing(self, node, moment):
        node.put(PATH, b"hello")
        again = {"etag": hashlib.md5(b"other").hexdigest(), "content-length": "0", "content-type": "text/plain"}
        assert node.call("PUT", PATH, {**CONTAINER, **again, "x-timestamp": moment}).status in (409, 422)
        assert node.delivery.rows == []
        assert stored(node).body == b"hello"

    def test_a_replicator_queues_nothing(self, node):
        node.put(PATH, b"x", x_delete_at="1", x_backend_replication="True", x_delete_at_host="127.0.0.1:3",
                 x_delete_at_device="sdd", x_delete_at_partition="7")  # fmt: skip
        assert node.delivery.rows == []


def test_a_ring_that_grows_gets_a_second_name(node):
    node.put(PATH, b"x", x_backend_next_part_power="10")
    address = node.address(PATH)
    new = str(int(address.hash_hex[:8], 16) >> 22)
    twin = node.root / "sdb1" / "objects" / new / address.suffix / address.hash_hex / "1795238400.00000.data"
    assert twin.stat().st_ino == (node.directory(PATH) / "1795238400.00000.data").stat().st_ino
    node.call("DELETE", PATH, {"x-timestamp": "1795238401.00000", "x-backend-next-part-power": "10"})
    assert [path.name for path in twin.parent.iterdir()] == ["1795238401.00000.ts"]
