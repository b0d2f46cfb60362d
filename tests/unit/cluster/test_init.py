import errno
import os

import pytest

from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.init import InitError, InitPlan, check_directory, initialise
from objstore.config.cluster import load_cluster
from objstore.ring.fileformat import load
from objstore.runtime.fs import Fs


class FailingFs(Fs):
    """Fails one of its methods with an errno."""

    def __init__(self, method, code):
        super().__init__()
        self._code = code
        setattr(self, method, self._fail)

    def _fail(self, *_, **__):
        raise OSError(self._code, os.strerror(self._code))


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EPERM], ids=errno.errorcode.get)
def test_a_file_system_without_xattrs_is_refused_and_nothing_is_left(tmp_path, code):
    with pytest.raises(InitError, match="keeps no extended attributes of users; use one that does"):
        check_directory(tmp_path, FailingFs("set_attributes", code))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_refuses_files_is_refused(tmp_path):
    with pytest.raises(InitError, match=r"not a directory that can be written \(Read-only file system\)"):
        check_directory(tmp_path, FailingFs("open_temporary", errno.EROFS))


def test_a_crash_before_the_last_step_leaves_no_cluster_and_can_be_repeated(tmp_path):
    directory = ClusterDirectory(tmp_path)
    plan = InitPlan(nodes=2, replicas=2, part_power=4, port=0)
    with pytest.raises(OSError):
        initialise(directory, plan, FailingFs("rename_durable", errno.EIO))
    assert not directory.exists
    initialise(directory, plan, Fs())
    assert load_cluster(directory.etc).policies.default.name == "default"
    assert load(directory.etc / "object.ring.gz").replica_count == 2


def test_every_node_is_a_zone_with_ports_of_its_own(tmp_path):
    directory = ClusterDirectory(tmp_path)
    initialise(directory, InitPlan(nodes=11, replicas=2.5, part_power=4, port=0), Fs())
    ring = load(directory.etc / "account.ring.gz")
    assert sorted(device.zone for device in ring.devices) == list(range(1, 12))
    assert len({device.port for device in ring.devices}) == 11
    assert ring.replica_count == 2.5
    assert directory.node_names()[-2:] == ["n10", "n11"]
