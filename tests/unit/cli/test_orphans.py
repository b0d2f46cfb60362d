"""objstore-oldies and objstore-orphans: who counts as old, and who as nobody's."""

import io
import json
import signal
import subprocess
import sys

import pytest
import setproctitle

from objstore.cli import oldies
from objstore.cli import orphans as command
from objstore.cli.orphans import orphans
from objstore.runtime.process_table import OurProcess

DAY_S = 86_400.0


def process(pid, parent=1, age_s=DAY_S * 2, title="objstore object-server - /etc/x.conf", unit=""):
    return OurProcess(pid, parent, age_s, (title,), unit)


@pytest.mark.parametrize(
    "processes, managed, expected",
    [
        ([process(5)], set(), [5]),
        ([process(5), process(6, 5)], {5}, []),
        ([process(5), process(6, 5), process(7)], {5}, [7]),
        ([process(5, title="objstore supervisor - /dir"), process(6, 5)], set(), []),
        ([process(5, unit="objstore-object-server.service"), process(6, 5)], set(), []),
        ([process(5, unit="session-1.service")], set(), [5]),
        ([process(5, title="objstore object-auditor - /x once"), process(6, 5)], set(), []),
        ([process(5, age_s=DAY_S / 2)], set(), []),
        ([process(6, 5)], {5}, [6]),
    ],
    ids=["alone", "pid file", "another", "up", "systemd", "a session", "once", "young", "parent gone"],
)
def test_who_is_nobodys(processes, managed, expected):
    assert [each.pid for each in orphans(processes, managed, DAY_S)] == expected


def run(main, *words):
    out, err = io.StringIO(), io.StringIO()
    code = main(list(words), stdout=out, stderr=err, environ={})
    return code, out.getvalue(), err.getvalue()


TITLED = (
    "import sys; from setproctitle import setproctitle; setproctitle(sys.argv[1]); print(flush=True); sys.stdin.read()"
)


@pytest.fixture
def no_supervisor():
    """This process is not called one, though tests that ran before may have named it so."""
    before = setproctitle.getproctitle()
    setproctitle.setproctitle("pytest")
    yield
    setproctitle.setproctitle(before)


def test_both_list_a_process_that_is_there(tmp_path, no_supervisor):
    title = f"objstore object-server - {tmp_path}/{'x' * 80}.conf"
    child = subprocess.Popen([sys.executable, "-c", TITLED, title], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        code, output, _ = run(oldies.main, "-a", "0", "--json")
        assert (code, child.pid in {row["pid"] for row in json.loads(output)}) == (0, True)
        assert title in run(oldies.main, "-a", "0")[1]
        assert title not in run(oldies.main, "-a", "24")[1]
        assert title in run(command.main, "-a", "0", "-w", "-r", str(tmp_path))[1]
        assert all(len(line) <= 80 for line in run(command.main, "-a", "0", "-r", str(tmp_path))[1].splitlines())
        (tmp_path / "object-server.pid").write_text(str(child.pid))
        assert title not in run(command.main, "-a", "0", "-w", "-r", str(tmp_path))[1]
        assert child.poll() is None
    finally:
        child.communicate()


@pytest.mark.parametrize("text, number", [("TERM", signal.SIGTERM), ("sighup", signal.SIGHUP), ("9", signal.SIGKILL)])
def test_signals_by_name_and_number(text, number):
    assert command._signal(text) is number


@pytest.mark.parametrize("words", [["-k", "NONSENSE"], ["-k", "999"], ["-a", "-1"], ["-a", "x"]])
def test_usage(words, capsys):
    with pytest.raises(SystemExit) as ended:
        run(command.main, *words)
    assert ended.value.code == 2
