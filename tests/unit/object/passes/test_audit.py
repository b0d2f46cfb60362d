"""The object auditor over real files: what is damaged is found and set aside, what cannot be told is left alone."""

import errno
import json
import os
import time

import pytest

from objstore.daemon.pass_ import EVERYTHING, Scope
from objstore.object.passes.audit_settings import ObjectAuditorSettings
from objstore.runtime.fs import Fs
from objstore.storage.engine import Absent
from tests.support.auditing import AT, audit, make_auditor
from tests.support.clock import SimClock
from tests.support.objects import directory_of, make_address, make_disk_engine, names_of, put, ts


def data_file(root, address):
    return next(path for path in directory_of(root, address).iterdir() if path.suffix == ".data")


def flip_a_bit(root, address):
    path = data_file(root, address)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_a_bit_of_metadata(root, address):
    path = data_file(root, address)
    blob = bytearray(os.getxattr(path, "user.swift.metadata"))
    blob[-5] ^= 1
    os.setxattr(path, "user.swift.metadata", bytes(blob))


def cut_short(root, address):
    os.truncate(data_file(root, address), 3)


def lose_all_bytes(root, address):
    os.truncate(data_file(root, address), 0)


def lose_the_metadata(root, address):
    path = data_file(root, address)
    for name in os.listxattr(path):
        os.removexattr(path, name)


def lose_the_posted_metadata(root, address):
    engine = make_disk_engine(root)
    engine.post(address, ts(AT + 1), {"x-object-meta-a": "b"}, None)
    path = next(path for path in directory_of(root, address).iterdir() if path.suffix == ".meta")
    os.setxattr(path, "user.swift.metadata", b"no pickle")


def put_under_another_name(root, address):
    other = make_address("elsewhere", policy_index=address.policy_index)
    put(make_disk_engine(root), other)
    directory = directory_of(root, other)
    os.replace(data_file(root, other), data_file(root, address))
    directory.rmdir()


def write_an_unreadable_expiry(root, address):
    put(make_disk_engine(root), address, at=AT + 1, x_delete_at="tomorrow")


DAMAGES = [
    flip_a_bit, flip_a_bit_of_metadata, cut_short, lose_all_bytes, lose_the_metadata, lose_the_posted_metadata,
    put_under_another_name, write_an_unreadable_expiry,
]  # fmt: skip


class TestDamage:
    @pytest.mark.parametrize("policy_index", [0, 1])
    @pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
    def test_is_found_and_quarantined(self, tmp_path, clock, engine, damage, policy_index):
        address = make_address(policy_index=policy_index)
        put(engine, address)
        damage(tmp_path, address)
        counts, recon = audit(make_auditor(tmp_path, clock))
        assert counts["quarantined"] == 1
        assert engine.open(address) == Absent(None)
        top = "objects" if policy_index == 0 else "objects-1"
        assert os.listdir(tmp_path / "sda" / "quarantined" / top) == [address.hash_hex]
        assert sum(stats["quarantined"] for stats in recon.values()) == 1

    def test_of_the_crc_alone_is_found(self, tmp_path, clock, engine):
        # No ETag to compare with: what is left is our own checksum.
        address = make_address()
        put(engine, address, etag="")
        flip_a_bit(tmp_path, address)
        assert audit(make_auditor(tmp_path, clock))[0]["quarantined"] == 1

    def test_of_one_object_leaves_its_neighbours_alone(self, tmp_path, clock, engine):
        addresses = [make_address(f"o{number}") for number in range(8)]
        for address in addresses:
            put(engine, address)
        flip_a_bit(tmp_path, addresses[3])
        counts, recon = audit(make_auditor(tmp_path, clock))
        assert (counts["quarantined"], counts["passes"]) == (1, 7)
        assert recon["object_auditor_stats_ALL"] == {
            "audit_time": 1.5, "bytes_processed": 40, "errors": 0, "passes": 7, "quarantined": 1, "start_time": AT,
        }  # fmt: skip
        assert [address for address in addresses if not names_of(tmp_path, address)] == [addresses[3]]

    def test_invalidates_the_suffix_for_replication(self, tmp_path, clock, engine):
        address = make_address()
        put(engine, address)
        before = engine.hashes("sda", 0, "5")
        flip_a_bit(tmp_path, address)
        audit(make_auditor(tmp_path, clock))
        assert engine.hashes("sda", 0, "5") != before

    def test_of_an_empty_file_is_found_by_the_fast_part_before_anything_is_read(self, tmp_path, clock, engine):
        for name in ("a", "b"):
            put(engine, make_address(name))
        lose_all_bytes(tmp_path, make_address("a"))
        auditor = make_auditor(tmp_path, clock)
        jobs = list(auditor.jobs(EVERYTHING))
        assert [job.mode.value for job in jobs] == ["ZBF", "ALL"]
        assert auditor.run(jobs[0])["quarantined"] == 1
        assert auditor.run(jobs[1])["passes"] == 1


class TestAbsenceOfEvidence:
    def test_good_objects_tombstones_and_strangers_stay(self, tmp_path, clock, engine):
        good, gone, odd, empty = (make_address(name) for name in ("good", "gone", "odd", "empty"))
        put(engine, good)
        engine.post(good, ts(AT + 1), {"x-object-meta-a": "b"}, None)
        put(engine, empty, b"", etag="d41d8cd98f00b204e9800998ecf8427e")
        engine.delete(gone, ts(AT))
        put(engine, odd)
        (directory_of(tmp_path, odd) / "notes.txt").write_text("mine")
        (directory_of(tmp_path, odd) / "1400000000.00000#2#d.data").write_text("a fragment")
        counts, _ = audit(make_auditor(tmp_path, clock))
        assert counts["quarantined"] == 0 if "quarantined" in counts else True
        assert not (tmp_path / "sda" / "quarantined").exists()
        assert sorted(names_of(tmp_path, odd)) == ["1400000000.00000#2#d.data", f"{ts(AT).internal}.data", "notes.txt"]
        assert names_of(tmp_path, gone) == [f"{ts(AT).internal}.ts"]

    def test_an_object_without_etag_and_checksum_passes(self, tmp_path, clock, engine):
        address = make_address()
        put(engine, address, etag="")
        counts, _ = audit(make_auditor(tmp_path, clock))
        assert counts["passes"] == 1

    @pytest.mark.parametrize("call", ["get_attribute", "open_read"])
    def test_a_disk_that_does_not_answer_is_counted_and_left_alone(self, tmp_path, clock, engine, call):
        put(engine, make_address())
        counts, recon = audit(make_auditor(tmp_path, clock, fs=BrokenFs(call)))
        assert (counts["errors"], counts["failures"]) == (1, 1)
        assert "quarantined" not in counts
        assert recon["object_auditor_stats_ALL"]["errors"] == 1
        assert names_of(tmp_path, make_address())

    def test_a_bad_sector_under_the_body_is_counted_and_left_alone(self, tmp_path, clock, engine, monkeypatch):
        put(engine, make_address())

        def pread(fd, count, offset):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr("objstore.storage.reader.os.pread", pread)
        counts, _ = audit(make_auditor(tmp_path, clock))
        assert counts["errors"] == 1 and "quarantined" not in counts
        assert names_of(tmp_path, make_address())

    def test_a_write_that_lands_while_its_predecessor_is_judged_stays(self, tmp_path, clock, engine):
        address = make_address()
        put(engine, address)
        flip_a_bit(tmp_path, address)
        newer = NewerWrite(lambda: put(engine, address, b"HELLO", at=AT + 1, etag=""))
        counts, _ = audit(make_auditor(tmp_path, clock, fs=newer))
        assert newer.has_written and "quarantined" not in counts
        with engine.open(address) as stored:
            assert stored.data_timestamp == ts(AT + 1)

    def test_a_device_that_went_away_fails_its_jobs_only(self, tmp_path, clock, engine):
        put(engine, make_address())
        auditor = make_auditor(tmp_path, clock)
        jobs = list(auditor.jobs(EVERYTHING))
        (tmp_path / "sda").rename(tmp_path / "away")
        assert [auditor.run(job)["failures"] for job in jobs] == [1, 1]


class BrokenFs(Fs):
    """A disk on which one call fails with EIO for objects' files."""

    def __init__(self, call):
        super().__init__()
        if call == "get_attribute":
            self.get_attribute = self._fail
        else:
            self.open_read = self._fail

    def _fail(self, *_):
        raise OSError(errno.EIO, "Input/output error")


class NewerWrite(Fs):
    """Writes a newer object as soon as the old one's body has been read."""

    def __init__(self, write):
        super().__init__()
        self._write = write
        self.has_written = False

    def lock(self, path, timeout_s):
        if not self.has_written:
            self.has_written = True
            self._write()
        return super().lock(path, timeout_s)


class TestResuming:
    def state(self, root, mode="ALL"):
        return root / "sda" / "objects" / f"auditor_status_{mode}.json"

    def test_an_audit_that_was_stopped_goes_on_with_what_is_left(self, tmp_path, clock, engine):
        for partition in ("1", "2", "3"):
            put(engine, make_address(partition=partition))
        auditor = make_auditor(tmp_path, clock, zero_byte_files_per_second="0")
        jobs = auditor.jobs(EVERYTHING)
        auditor.run(next(jobs))
        clock.advance(61)
        auditor.run(next(jobs))
        assert json.loads(self.state(tmp_path).read_text()) == {"partitions": ["3"]}
        again = make_auditor(tmp_path, clock, zero_byte_files_per_second="0")
        assert [job.partition for job in again.jobs(EVERYTHING)] == ["3"]

    def test_the_state_is_emptied_at_the_end_and_the_next_pass_begins_anew(self, tmp_path, clock, engine):
        put(engine, make_address())
        auditor = make_auditor(tmp_path, clock)
        audit(auditor)
        for mode in ("ALL", "ZBF"):
            assert json.loads(self.state(tmp_path, mode).read_text()) == {"partitions": []}
        assert audit(auditor)[0]["passes"] == 1

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b'{"partitions": ["1"', b"[]", b'{"partitions": "5"}', b'{"partitions": ["../../x"]}',
         b'{"partitions": [5]}', b"\xff\x00", b"[" * 100_000],
        ids=["empty", "cut", "truncated", "list", "text", "path tricks", "number", "binary", "deep"],
    )  # fmt: skip
    def test_a_damaged_state_is_said_and_the_audit_begins_anew(self, tmp_path, clock, engine, caplog, content):
        put(engine, make_address())
        self.state(tmp_path).write_bytes(content)
        counts, _ = audit(make_auditor(tmp_path, clock, zero_byte_files_per_second="0"))
        assert counts["passes"] == 1
        assert "auditor_status_ALL.json" in caplog.text and "begins anew" in caplog.text

    def test_a_state_that_names_what_is_gone_is_no_reason_to_stop(self, tmp_path, clock, engine):
        put(engine, make_address())
        self.state(tmp_path).write_text('{"partitions": ["77"]}')
        assert audit(make_auditor(tmp_path, clock))[0]["passes"] == 1

    def test_a_partial_audit_keeps_no_place(self, tmp_path, clock, engine):
        put(engine, make_address(partition="5"))
        put(engine, make_address(partition="6"))
        counts, _ = audit(make_auditor(tmp_path, clock), Scope(partitions=frozenset({6})))
        assert counts["passes"] == 1
        assert not self.state(tmp_path).exists()


class TestHouseKeeping:
    def test_what_rsync_left_is_removed_when_it_is_old(self, tmp_path, clock, engine):
        address = make_address()
        put(engine, address)
        left = directory_of(tmp_path, address) / f".{ts(AT).internal}.data.Xa09bZ"
        left.write_bytes(b"half")
        os.utime(left, (clock.seconds - 100, clock.seconds - 100))
        audit(make_auditor(tmp_path, clock, rsync_tempfile_timeout="101"))
        assert left.exists()
        counts, _ = audit(make_auditor(tmp_path, clock, rsync_tempfile_timeout="99"))
        assert not left.exists() and counts["removed_temporaries"] == 1
        assert counts["passes"] == 1

    def test_sizes_are_counted(self, tmp_path, clock, engine):
        for name, size in (("a", 1), ("b", 10), ("c", 11), ("d", 1000)):
            put(engine, make_address(name), b"x" * size, etag="")
        counts, _ = audit(make_auditor(tmp_path, clock, object_size_stats="10, 100"))
        assert (counts["size_to_10"], counts["size_to_100"], counts["size_over"]) == (2, 1, 1)

    def test_metadata_of_an_old_release_gets_its_checksum(self, tmp_path, clock, engine):
        address = make_address()
        put(engine, address)
        path = data_file(tmp_path, address)
        checksum = os.getxattr(path, "user.swift.metadata_checksum")
        os.removexattr(path, "user.swift.metadata_checksum")
        audit(make_auditor(tmp_path, clock))
        assert os.getxattr(path, "user.swift.metadata_checksum") == checksum

    def test_only_the_devices_and_policies_asked_for_are_audited(self, tmp_path, clock, engine):
        put(engine, make_address(policy_index=0))
        put(engine, make_address(policy_index=1))
        auditor = make_auditor(tmp_path, clock)
        assert {job.policy_index for job in auditor.jobs(Scope(policies=frozenset({1})))} == {1}
        assert list(auditor.jobs(Scope(devices=frozenset({"sdb"})))) == []


class TestPace:
    def test_bytes_and_files_are_paced(self, tmp_path, clock, engine, monkeypatch):
        waits = []
        monkeypatch.setattr("objstore.object.passes.audit.green.sleep", lambda seconds: waits.append(seconds))
        for name in ("a", "b", "c", "d"):
            put(engine, make_address(name), b"x" * 1000, etag="")
        audit(make_auditor(tmp_path, clock, bytes_per_second="1000", zero_byte_files_per_second="0"))
        # 4000 bytes at 1000 a second, on a clock that stands still: the waits grow by a second each.
        assert waits == pytest.approx([0.5, 1.5, 2.5, 3.5])


class TestSweeping:
    """Files in tmp/ that nobody has touched for a day go; a clock that runs ahead stands for the day."""

    DAY_S = 86_400.0

    def auditor(self, root, ahead_s, **settings):
        return make_auditor(root, SimClock(time.time() + ahead_s), **settings)

    @pytest.fixture
    def leftover(self, tmp_path):
        (tmp_path / "sda" / "tmp-1").mkdir(parents=True)
        path = tmp_path / "sda" / "tmp-1" / "cut-off"
        path.write_bytes(b"half an upload")
        return path

    def test_removes_what_was_cut_off_long_ago(self, tmp_path, leftover):
        counts, _ = audit(self.auditor(tmp_path, self.DAY_S + 60))
        assert counts == {"swept_temporaries": 1} and not leftover.exists()

    def test_leaves_an_upload_that_may_be_running(self, tmp_path, leftover):
        counts, _ = audit(self.auditor(tmp_path, self.DAY_S - 60))
        assert counts == {} and leftover.exists()

    def test_goes_by_when_the_file_was_changed_and_not_by_what_it_says(self, tmp_path, leftover):
        """rsync gives what it brings the times of the original: a database may be old, its copy is not."""
        os.utime(leftover, (1.0, 1.0))
        audit(self.auditor(tmp_path, 60))
        assert leftover.exists()

    def test_looks_again_before_it_removes(self, tmp_path, leftover):
        auditor = self.auditor(tmp_path, self.DAY_S + 60)
        (job,) = auditor.jobs(EVERYTHING)
        later = time.time() + 2 * self.DAY_S
        os.utime(leftover, (later, later))  # Somebody writes.
        assert auditor.run(job) == {"swept_temporaries": 0} and leftover.exists()

    def test_leaves_what_is_no_plain_file(self, tmp_path, leftover):
        leftover.unlink()
        leftover.mkdir()
        os.symlink(tmp_path, leftover.with_name("link"))
        assert audit(self.auditor(tmp_path, self.DAY_S + 60))[0] == {}
        assert len(list(leftover.parent.iterdir())) == 2

    @pytest.mark.parametrize("age, is_there", [("0", True), ("3600", False)])
    def test_goes_by_the_setting(self, tmp_path, leftover, age, is_there):
        audit(self.auditor(tmp_path, 7200, temporary_age=age))
        assert leftover.exists() == is_there

    def test_is_refused_an_age_that_uploads_may_have(self):
        _, problems = ObjectAuditorSettings.from_pairs({"temporary_age": "60"})
        assert [problem.key for problem in problems] == ["temporary_age"]

    def test_a_disk_that_cannot_be_read_is_a_failure(self, tmp_path, leftover, monkeypatch):
        listdir = os.listdir

        def fails(path):
            if str(path).endswith("/tmp-1"):
                raise OSError(errno.EIO, "Input/output error", str(path))
            return listdir(path)

        monkeypatch.setattr(os, "listdir", fails)
        assert audit(self.auditor(tmp_path, self.DAY_S + 60))[0] == {"failures": 1}
        assert leftover.exists()
