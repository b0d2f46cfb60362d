"""runtime/pid_files.py and process_table.py: which processes are ours, and that no other one gets a signal."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from objstore.runtime.pid_files import PidFile, pids_in
from objstore.runtime.process_table import OurProcess, indexed, look, ours, root_of

TITLED = (
    "import sys; from setproctitle import setproctitle; setproctitle(sys.argv[1]); print(flush=True); sys.stdin.read()"
)


@contextmanager
def process(title):
    """A process with a title, until its standard input ends."""
    child = subprocess.Popen([sys.executable, "-c", TITLED, title], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        yield child
    finally:
        child.communicate()


@pytest.fixture
def file(tmp_path):
    return PidFile(tmp_path / "object-server.pid", "object-server", Path("/etc/a b/object-server.conf"))


@pytest.mark.parametrize(
    "title, is_meant",
    [
        ("objstore object-server - /etc/a b/object-server.conf", True),
        ("objstore object-server - /etc/a b/object-server.conf once", True),
        ("objstore object-server - /etc/a b/object-server.conf.d", False),
        ("objstore object-updater - /etc/a b/object-server.conf", False),
        ("objstore object-server n1 /etc/a b/object-server.conf", False),
        ("vi objstore object-server - /etc/a b/object-server.conf", False),
    ],
)
def test_only_the_process_that_was_started_gets_a_signal(file, title, is_meant):
    with process(title) as child:
        file.write(child.pid)
        assert (file.process() is not None) is is_meant
        assert file.send(signal.SIGTERM) is is_meant
        if is_meant:
            assert child.wait(30) == -signal.SIGTERM
            assert file.process() is None
            assert not file.send(signal.SIGTERM)
        else:
            assert child.poll() is None


def test_what_pid_files_say(tmp_path, file):
    file.write(7)
    (tmp_path / "object-updater").mkdir()
    (tmp_path / "object-updater" / "1.pid").write_text("8\n")
    (tmp_path / "x.pid").write_text("nonsense")
    assert sorted(pids_in(tmp_path)) == [7, 8]
    file.remove()
    file.remove()
    assert file.process() is None


def test_a_process_as_it_is():
    me = look(os.getpid())
    assert me is not None and me.parent_pid == os.getppid() and me.age_s >= 0
    assert look(1 << 22) is None


def test_our_processes_are_found_by_their_titles():
    with process("objstore object-auditor - /etc/x.conf") as child, process("something objstore") as other:
        found = indexed(ours())
        assert found[child.pid].role == "object-auditor"
        assert other.pid not in found


def test_one_that_has_ended_and_was_not_waited_for_is_gone(file):
    with process("objstore object-server - /etc/a b/object-server.conf") as child:
        file.write(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert file.process() is None


def test_a_worker_belongs_to_the_process_it_descends_from():
    table = indexed(OurProcess(pid, parent, 0.0, ("objstore", "x")) for pid, parent in ((5, 1), (6, 5), (7, 6), (9, 9)))
    assert [root_of(table[pid], table).pid for pid in (5, 6, 7, 9)] == [5, 5, 5, 9]
