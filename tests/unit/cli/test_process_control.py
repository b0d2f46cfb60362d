"""objstore-init: what words mean, which configurations there are, what it refuses. Real processes: tests/cluster."""

import importlib.util
import io
import os
from pathlib import Path

import pytest

from objstore.cli.control_targets import UnknownServer, Wanted, configurations, daemon_names, main_servers, wanted
from objstore.cli.process_control import main
from objstore.cli.reload import main as reload_main
from objstore.runtime.pid_files import module_of


@pytest.mark.parametrize(
    "words, expected, is_by_name",
    [
        (["object"], [("object-server", "")], True),
        (["object-server.2", "proxy"], [("object-server", "2"), ("proxy-server", "")], True),
        (["object-replicator.1"], [("object-replicator", "1")], True),
        (["account-a*"], [("account-auditor", "")], False),
        (["main"], [(name, "") for name in main_servers()], False),
        (["rest"], [(name, "") for name in daemon_names()], False),
        (["all", "object"], [(name, "") for name in (*main_servers(), *daemon_names())], False),
    ],
)
def test_what_words_mean(words, expected, is_by_name):
    assert wanted(words) == ([Wanted(*each) for each in expected], is_by_name)


@pytest.mark.parametrize("word", ["nonsense", "nonsense-*", "", "object-servers", ".1"])
def test_words_that_mean_nothing(word):
    with pytest.raises(UnknownServer):
        wanted([word])


@pytest.mark.parametrize(
    "there, server, expected",
    [
        (["object-server.conf"], "object-updater", [("", "object-server.conf")]),
        (["object-server.conf.d/a.conf"], "object-server", [("", "object-server.conf.d")]),
        (["object-server.conf", "object-server/1.conf"], "object-server", [("", "object-server.conf")]),
        (
            ["object-server/10.conf", "object-server/2.conf.d/x.conf", "object-server/README"],
            "object-auditor",
            [("2", "object-server/2.conf.d"), ("10", "object-server/10.conf")],
        ),
        (["object-expirer.conf", "object-server.conf"], "object-expirer", [("", "object-expirer.conf")]),
        (["container-server.conf"], "container-reconciler", [("", "container-server.conf")]),
        (["object-server.conf"], "account-server", []),
    ],
)
def test_which_configurations_there_are(tmp_path, there, server, expected):
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [(number, str(path.relative_to(tmp_path))) for number, path in configurations(server, tmp_path)] == expected


def run(directory, *words):
    out, err = io.StringIO(), io.StringIO()
    where = ["-r", str(directory / "run"), "-d", str(directory / "swift")]
    code = main([*words, *where], stdout=out, stderr=err, environ={})
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "swift").mkdir()
    (tmp_path / "swift" / "object-server.conf").touch()
    return tmp_path


@pytest.mark.parametrize(
    "words, code, expected",
    [
        (["nonsense", "start"], 2, "expected all, main, rest, or one of"),
        (["object.7", "start"], 1, "no configuration number 7"),
        (["proxy", "object-updater", "status"], 1, "proxy-server: no configuration in"),
        (["main", "stop", "--strict"], 1, "proxy-server: no configuration in"),
        (["container-*", "stop"], 1, "no configuration of what was asked for"),
    ],
)
def test_what_is_wrong_is_said(directory, words, code, expected):
    found, _, error = run(directory, *words)
    assert (found, expected in error) == (code, True), error


@pytest.mark.parametrize("words", [["proxy", "object", "stop", "--non-strict"], ["main", "stop"], ["object", "kill"]])
def test_what_does_not_run_is_stopped_already(directory, words):
    code, output, _ = run(directory, *words)
    assert (code, output) == (0, f"object-server: not running ({directory}/swift/object-server.conf)\n")


def test_a_server_has_no_single_pass(directory):
    code, output, _ = run(directory, "object", "once")
    assert (code, output) == (0, "object-server: a server has no single pass; left out\n")


def test_a_run_directory_that_cannot_be_made_is_said(directory):
    (directory / "run").touch()
    code, _, error = run(directory, "object", "start")
    assert (code, "cannot be used for pid files" in error) == (78, True)


@pytest.mark.parametrize(
    "words", [["all", "dance"], ["all", "start", "-c", "0"], ["all", "stop", "-k", "-1"], ["start"]]
)
def test_usage(directory, words, capsys):
    with pytest.raises(SystemExit) as ended:
        run(directory, *words)
    assert ended.value.code == 2


def test_a_pid_file_beside_nothing_changes_nothing(directory):
    (directory / "run").mkdir()
    file = Path(directory / "run" / "object-server.pid")
    for text in ("1", "0", "-1", "99999999999", "nonsense", "\u00b2", ""):
        file.write_text(text)
        assert "not running" in run(directory, "object", "kill")[1]
        assert not file.exists()


@pytest.mark.parametrize("pid", [1, os.getpid(), 1 << 22])
def test_only_servers_are_reloaded(pid):
    err = io.StringIO()
    assert reload_main([str(pid)], stdout=io.StringIO(), stderr=err, environ={}) == 1
    assert "not a server or daemon that was started by its command" in err.getvalue()


@pytest.mark.parametrize("name", [*main_servers(), *daemon_names()])
def test_everything_it_starts_is_a_module(name):
    assert importlib.util.find_spec(module_of(name)) is not None
