"""tests/support/no_orphans.py: whatever ends a run of the tests, none of its processes goes on."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.cluster import is_alive, until

ROOT = Path(__file__).parents[2]
# A server in a session of its own, as tests start them, whose number stands in a file.
SERVER = """
import os, subprocess, sys
server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(server.pid))
os.rename(sys.argv[1] + ".new", sys.argv[1])
"""
FOREVER = "import time\ntime.sleep(1000)\n"
TIDY = """
import sys
try:
{body}
finally:
    open(sys.argv[1] + ".tidied", "w").close()
"""
DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


@pytest.fixture
def start(tmp_path):
    started = []

    def start_one(program):
        """(the process that runs it, the number of its server)"""
        told = tmp_path / "pid"
        command = [sys.executable, "-m", "tests.support.no_orphans", sys.executable, "-c", program, str(told)]
        with open(tmp_path / "stderr", "w") as stderr:
            started.append(subprocess.Popen(command, cwd=ROOT, stderr=stderr))
        until(told.exists, "the server runs")
        return started[-1], int(told.read_text())

    yield start_one
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("end", "code"), [("", 0), ("sys.exit(7)", 7), ("os.kill(os.getpid(), 9)", 128 + 9)])
def test_what_a_command_leaves_behind_is_ended_and_told(start, tmp_path, end, code):
    process, server = start(SERVER + end)
    assert process.wait() == code
    assert f"pid {server}: " in (tmp_path / "stderr").read_text()
    assert not is_alive(server)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_has_the_command_tidy_up(start, tmp_path, number):
    process, server = start(TIDY.format(body=textwrap.indent(SERVER + FOREVER, "    ")))
    process.send_signal(number)
    process.wait()
    assert (tmp_path / "pid.tidied").exists() and not is_alive(server)


def test_the_second_ctrl_c_kills(start):
    process, server = start(DEAF + SERVER + FOREVER)

    def is_ended_by_ctrl_c():
        process.send_signal(signal.SIGINT)
        return process.poll() is not None

    until(is_ended_by_ctrl_c, "it is killed")
    assert process.returncode == 128 + signal.SIGKILL and not is_alive(server)


def test_processes_of_others_go_on(start):
    other = subprocess.Popen([sys.executable, "-c", FOREVER])
    try:
        process, _ = start(SERVER)
        process.wait()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
