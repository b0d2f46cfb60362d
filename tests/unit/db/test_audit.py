"""Databases looked over: damage is found, counts follow the rows."""

from pathlib import Path

import pytest

from objstore.daemon.db_audit import DatabaseAuditor
from objstore.daemon.pass_ import EVERYTHING, FAILURES, PassReport, Scope
from objstore.db.audit import audit
from objstore.db.merge import ContainerRow
from objstore.runtime.devices import Devices
from tests.support.databases import LOGGER, make_account, make_container, row, time_of


def audited(broker, tmp_path, scope=EVERYTHING):
    """The counts of every job of a pass."""
    the_pass = DatabaseAuditor("x-auditor", broker.database.shared, Devices(tmp_path, False), LOGGER)
    return [the_pass.run(job) for job in the_pass.jobs(scope)]


def full_container(tmp_path):
    broker = make_container(tmp_path)
    broker.add_many([row(f"o{number:04}", size=3, policy=number % 2) for number in range(500)])
    broker.add_many([row("o0000", 5, deleted=1)])
    broker.database.flush()
    return broker


def full_account(tmp_path):
    broker = make_account(tmp_path)
    for number in range(4):
        broker.report(ContainerRow(f"c{number}", time_of(1).internal, "0", number, 10, 0, number % 2))
    broker.report(ContainerRow("c0", time_of(1).internal, time_of(2).internal, 0, 0, 1, 0))
    broker.database.flush()
    return broker


@pytest.mark.parametrize("make", [full_container, full_account, make_container, make_account])
def test_a_sound_database_passes(tmp_path, make):
    assert audited(make(tmp_path), tmp_path) == [{"passed": 1}]


@pytest.mark.parametrize("damage", ["cut short", "zeroed page", "emptied", "no stat row", "no table"])
def test_a_damaged_database_goes_to_quarantine(tmp_path, damage):
    broker = full_container(tmp_path)
    path = Path(broker.database.location.current())
    data = path.read_bytes()
    match damage:
        case "cut short":
            path.write_bytes(data[: len(data) // 2])
        case "zeroed page":
            path.write_bytes(data[:-8192] + bytes(4096) + data[-4096:])
        case "emptied":
            path.write_bytes(b"")
        case "no stat row":
            broker.database.write(lambda connection: connection.execute("DELETE FROM container_info"))
        case "no table":
            broker.database.write(lambda connection: connection.execute("DROP TABLE policy_stat"))
    assert audited(broker, tmp_path) == [{"quarantined": 1, FAILURES: 1}]
    assert not path.exists()
    assert list((tmp_path / "sda1" / "quarantined" / "containers").iterdir())


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (full_container, "UPDATE policy_stat SET object_count = object_count + 1"),
        (full_container, "UPDATE policy_stat SET bytes_used = 0 WHERE storage_policy_index = 1"),
        (full_container, "DELETE FROM policy_stat WHERE storage_policy_index = 1"),
        (full_container, "INSERT INTO policy_stat VALUES (9, 1, 1)"),
        (full_account, "UPDATE policy_stat SET container_count = 7"),
        (full_account, "UPDATE account_stat SET bytes_used = bytes_used - 1"),
    ],
)
def test_counts_are_made_to_follow_the_rows(tmp_path, make, wrong):
    broker = make(tmp_path)
    before = broker.info()
    broker.database.write(lambda connection: connection.execute(wrong))
    assert audited(broker, tmp_path) == [{"recounted": 1, FAILURES: 1}]
    assert broker.info() == before
    assert audited(broker, tmp_path) == [{"passed": 1}]


def test_rows_still_pending_are_counted(tmp_path):
    broker = make_container(tmp_path)
    broker.add_many([row("a")])
    assert audited(broker, tmp_path) == [{"passed": 1}]


def test_an_audit_changes_no_byte(tmp_path):
    path = Path(full_container(tmp_path).database.location.current())
    before = path.read_bytes()
    assert not audit(str(path), "containers").damage
    assert path.read_bytes() == before


def test_scope_narrows_the_jobs(tmp_path):
    broker = make_container(tmp_path)
    assert len(audited(broker, tmp_path, Scope(partitions=frozenset({7})))) == 1
    assert not audited(broker, tmp_path, Scope(partitions=frozenset({8})))
    assert not audited(broker, tmp_path, Scope(devices=frozenset({"sdz"})))


def test_a_device_that_cannot_be_read_is_a_failure(tmp_path):
    broker = make_container(tmp_path)
    (tmp_path / "sdb1").mkdir()
    (tmp_path / "sdb1" / "containers").symlink_to("containers")
    assert audited(broker, tmp_path) == [{"passed": 1}, {FAILURES: 1}]


def test_recon_hears_of_the_pass(tmp_path):
    broker = make_container(tmp_path)
    the_pass = DatabaseAuditor("container-auditor", broker.database.shared, Devices(tmp_path, False), LOGGER)
    entries = the_pass.finished(PassReport(5.0, 2.0, 3, {"passed": 2, FAILURES: 1}))
    assert entries == {
        "container_auditor_pass_completed": 2.0,
        "container_audits_since": 5.0,
        "container_audits_passed": 2,
        "container_audits_failed": 1,
    }
