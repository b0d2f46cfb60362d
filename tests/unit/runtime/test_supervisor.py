"""The supervisor with real processes: tests/support/supervised.py is what it supervises."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from objstore.runtime.control import NotRunning, ask
from objstore.runtime.listen import listen

PATIENCE_S = 15.0


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {PATIENCE_S:g} s: {what}")


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # The second: it has gone since the file was opened.
        return False


def free_ports(count):
    socks = [listen(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


class Supervised:
    def __init__(self, directory):
        self.directory = directory
        self.web, self.store = free_ports(2)
        (directory / "ports").write_text(f"{self.web} {self.store}")
        (directory / "setting").write_text("old")
        self.process = None

    def start(self):
        self.output = open(self.directory / "output", "wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.supervised", str(self.directory)], stdout=self.output, cwd=os.getcwd()
        )
        return self

    def ready(self):
        until(lambda: "ready\n" in self.said() or self.process.poll() is not None, "ready")
        assert self.process.poll() is None, self.said()
        return self

    def said(self):
        return (self.directory / "output").read_text()

    def status(self):
        return ask(self.directory, {"do": "status"})["processes"]

    def pids(self):
        return [row["pid"] for row in self.status()]

    def talk(self, port):
        """role, node, index, pid, setting of whoever answers; None when nobody does."""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                return sock.recv(1000).decode().split() or None
        except OSError:
            return None

    def close(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.output.close()


@pytest.fixture
def supervised(tmp_path):
    # A name so long that the control socket's address would not fit.
    directory = tmp_path / ("d" * 100)
    directory.mkdir()
    it = Supervised(directory)
    yield it
    it.close()


def test_every_process_is_listed_with_pid_role_node_device_and_ports(supervised):
    rows = supervised.start().ready().status()
    assert [(row["role"], row["node"], row["device"], row["ports"]) for row in rows] == [
        ("supervisor", "-", "", []),
        ("web", "-", "", [supervised.web]),
        ("web", "-", "", [supervised.web]),
        ("store", "n1", "d1", [supervised.store]),
    ]
    assert all(is_alive(row["pid"]) for row in rows)
    with open(f"/proc/{rows[3]['pid']}/cmdline") as file:
        assert file.read().rstrip("\0") == f"objstore store n1 {supervised.directory}"


def test_the_control_socket_is_for_its_owner_alone(supervised):
    supervised.start().ready()
    assert (supervised.directory / "control.sock").stat().st_mode & 0o777 == 0o600


def test_a_worker_that_dies_is_started_again_and_said_so(supervised):
    pid = supervised.start().ready().pids()[3]
    os.kill(pid, signal.SIGKILL)
    until(lambda: "store n1: running again" in supervised.said(), "restart")
    assert f"store n1: pid {pid} died (killed by SIGKILL)" in supervised.said()
    assert supervised.talk(supervised.store)[3] == str(supervised.pids()[3]) != str(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_even_a_frozen_process(supervised, number):
    pids = supervised.start().ready().pids()
    os.kill(pids[3], signal.SIGSTOP)
    os.kill(pids[0], number)
    assert supervised.process.wait(timeout=PATIENCE_S) == 0
    assert not any(is_alive(pid) for pid in pids)
    with pytest.raises(NotRunning):
        supervised.status()


def test_no_process_outlives_a_supervisor_killed_with_9(supervised):
    pids = supervised.start().ready().pids()
    os.kill(pids[3], signal.SIGSTOP)
    os.kill(pids[0], signal.SIGKILL)
    supervised.process.wait()
    until(lambda: not any(is_alive(pid) for pid in pids), "all gone")


def test_reload_brings_new_workers_and_drains_the_old(supervised):
    old = supervised.start().ready().pids()
    (supervised.directory / "setting").write_text("new")
    os.kill(old[0], signal.SIGHUP)
    until(lambda: not any(is_alive(pid) for pid in old[1:]), "old workers gone")
    assert supervised.talk(supervised.web)[4] == "new"
    assert len(supervised.pids()) == 4


def test_no_connection_is_refused_while_reloading(supervised):
    old = supervised.start().ready().pids()
    os.kill(old[0], signal.SIGHUP)
    answers = []

    def replaced():
        answers.append(supervised.talk(supervised.web))
        return not any(is_alive(pid) for pid in old[1:])

    until(replaced, "old workers gone")
    assert None not in answers


def test_a_reload_of_one_node_leaves_the_others_alone(supervised):
    old = supervised.start().ready().pids()
    assert ask(supervised.directory, {"do": "reload", "node": "-"}) == {"ok": True}
    until(lambda: not any(is_alive(pid) for pid in old[1:3]), "old web workers gone")
    until(lambda: len(supervised.pids()) == 4, "new web workers")
    assert old[3] in supervised.pids()


def test_a_reload_of_a_wrong_configuration_changes_nothing(supervised):
    old = supervised.start().ready().pids()
    (supervised.directory / "broken").touch()
    assert ask(supervised.directory, {"do": "reload"}) == {"ok": False, "error": "broken on purpose"}
    assert "reload refused: broken on purpose" in supervised.said()
    assert supervised.pids() == old


def test_a_node_held_down_refuses_connections_until_it_is_started(supervised):
    pid = supervised.start().ready().pids()[3]
    reply = ask(supervised.directory, {"do": "stop-node", "node": "n1", "kill": True})
    assert reply == {"ok": True, "pids": [pid]}
    until(lambda: not is_alive(pid), "killed")
    assert supervised.talk(supervised.store) is None
    assert supervised.status()[3]["state"] == "held"
    until(lambda: ask(supervised.directory, {"do": "start-node", "node": "n1"})["ok"], "started")
    assert until(lambda: supervised.talk(supervised.store), "answers")[:2] == ["store", "n1"]


def test_what_is_asked_wrongly_is_refused_with_a_reason(supervised):
    supervised.start().ready()
    assert "no node 'n9'; there are n1" in ask(supervised.directory, {"do": "stop-node", "node": "n9"})["error"]
    assert "expected one of status" in ask(supervised.directory, {"do": "dance"})["error"]


def test_a_taken_port_is_said_with_the_setting_it_came_from(supervised):
    with listen(("127.0.0.1", supervised.store)):
        assert supervised.start().process.wait(timeout=PATIENCE_S) == 78
    assert supervised.said() == (f"n1: cannot listen on 127.0.0.1:{supervised.store}: somebody else listens there\n")


def test_a_program_that_refuses_its_configuration_ends_the_first_start(supervised):
    (supervised.directory / "setting").write_text("wrong")
    assert supervised.start().process.wait(timeout=PATIENCE_S) == 78
    assert supervised.said() == "the setting is wrong\nvery wrong\n"


def test_a_program_that_refuses_its_configuration_ends_a_reload(supervised):
    old = supervised.start().ready().pids()
    (supervised.directory / "setting").write_text("wrong")
    os.kill(old[0], signal.SIGHUP)
    until(lambda: "reload refused: very wrong" in supervised.said(), "refused")
    until(lambda: supervised.pids() == old, "the new processes are gone")


def test_a_process_that_dies_at_every_start_is_tried_ever_more_slowly(supervised):
    supervised.start().ready()
    (supervised.directory / "die").touch()
    os.kill(supervised.pids()[3], signal.SIGKILL)
    until(lambda: "starting it again in 0.4 s" in supervised.said(), "third pause")
    (supervised.directory / "die").unlink()
    until(lambda: "store n1: running again" in supervised.said(), "running")
