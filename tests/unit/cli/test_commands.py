"""The commands that need no running cluster."""

import json
import os

import pytest

from objstore.cli.main import COMMANDS
from objstore.cli.object_server import main as object_server
from objstore.runtime.listen import listen
from tests.support.cluster import objstore


@pytest.fixture
def directory(tmp_path):
    code, _, error = objstore("init", tmp_path / "c", "--nodes", 3, "--port", 0, "--part-power", 4)
    assert code == 0, error
    return tmp_path / "c"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example(name, capsys):
    with pytest.raises(SystemExit) as raised:
        objstore(name, "--help")
    assert raised.value.code == 0
    assert f"example:\n  objstore {name}" in capsys.readouterr().out


def test_wrong_usage_is_exit_code_2(capsys):
    for arguments in (["dance"], [], ["up"]):
        with pytest.raises(SystemExit) as raised:
            objstore(*arguments)
        assert raised.value.code == 2
    assert "invalid choice: 'dance'" in capsys.readouterr().err


def test_init_makes_what_up_needs_and_keeps_keys_to_the_owner(directory):
    etc = directory / "etc"
    rings = {"account.ring.gz", "container.ring.gz", "object.ring.gz"}
    assert rings <= {path.name for path in etc.iterdir()}
    assert sorted(path.name for path in (directory / "nodes").iterdir()) == ["n1", "n2", "n3"]
    for name in ("swift.conf", "proxy-server.conf"):
        assert (etc / name).stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700


def test_init_says_no_key(tmp_path):
    _, output, error = objstore("init", tmp_path / "c", "--port", 0, "--nodes", 1)
    _, key, _ = objstore("user", "key", tmp_path / "c", "admin:admin")
    assert len(key.strip()) >= 20
    assert key.strip() not in output + error


def test_init_never_overwrites(directory):
    before = (directory / "etc" / "swift.conf").read_bytes()
    code, output, _ = objstore("init", directory, "--nodes", 7)
    assert (code, "nothing was changed" in output) == (0, True)
    assert (directory / "etc" / "swift.conf").read_bytes() == before


def test_two_clusters_have_different_secrets(directory, tmp_path):
    objstore("init", tmp_path / "d", "--port", 0, "--nodes", 1)
    for name in ("swift.conf", "proxy-server.conf"):
        assert (tmp_path / "d" / "etc" / name).read_text() != (directory / "etc" / name).read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nodes", 0], "--nodes 0: expected 1 to 1000"),
        (["--replicas", 0], "replicas 0 of policy 'default': expected 1 to 100"),
        (["--part-power", 40], "--part-power 40: expected 1 to 24"),
        (["--policy", "a", "--policy", "A"], "two storage policies share a name"),
        (["--policy", "a b"], "letters, digits and dashes"),
        (["--proxy-workers", "few"], "expected auto, or a whole number"),
        (["--bind", "192.0.2.1", "--port", "8080"], "192.0.2.1:8080"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_a_cluster_that_cannot_be_is_one_line_and_leaves_nothing(tmp_path, arguments, said):
    code, output, error = objstore(
        "init", tmp_path / "c", *([] if "--port" in arguments else ["--port", 0]), *arguments
    )
    assert (code, output, error.count("\n")) == (78, "", 1)
    assert said in error
    assert not (tmp_path / "c" / "etc").exists()


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    code, _, error = objstore("init", tmp_path / "file" / "c", "--port", 0)
    assert (code, error.count("\n")) == (78, 1)
    assert "not a directory that can be written" in error


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.isdir("/sys/kernel"), reason="needs a file system without xattrs")
def test_a_file_system_without_xattrs_or_write_access_is_one_line():
    code, _, error = objstore("init", "/sys/kernel/objstore-test", "--port", 0)
    assert (code, error.count("\n")) == (78, 1)


def test_a_taken_port_is_said_at_init(tmp_path):
    with listen(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        code, _, error = objstore("init", tmp_path / "c", "--port", port)
    assert code == 78
    assert f"--port {port}: somebody else listens on 127.0.0.1:{port}" in error


def test_policies_have_rings_of_their_own(tmp_path):
    objstore("init", tmp_path / "c", "--port", 0, "--policy", "gold", "--policy", "tin:2", "--part-power", 4)
    text = (tmp_path / "c" / "etc" / "swift.conf").read_text()
    assert "[storage-policy:1]\nname = tin\ndefault = no\n" in text
    assert (tmp_path / "c" / "etc" / "object-1.ring.gz").exists()


def test_commands_on_a_directory_without_a_cluster_say_what_to_do(tmp_path):
    for arguments in (["status"], ["down"], ["user", "list"], ["node", "stop"]):
        tail = ["n1"] if arguments[0] == "node" else []
        code, _, error = objstore(*arguments, tmp_path, *tail)
        assert (code, error) == (78, f"objstore: {tmp_path}: no cluster here; make one with: objstore up {tmp_path}\n")


def test_commands_on_a_cluster_that_is_not_running_are_exit_code_1(directory):
    for arguments in (["status", directory], ["down", directory], ["node", "start", directory, "n1"]):
        code, _, error = objstore(*arguments)
        assert (code, "not running; start it with" in error) == (1, True)


def test_config_check_is_quiet_about_a_good_cluster_and_lists_what_is_wrong(directory):
    assert objstore("config", "check", directory) == (0, f"{directory}: nothing is wrong\n", "")
    file = directory / "etc" / "n2" / "account-server.conf"
    file.write_text(file.read_text().replace("mount_check", "mount_chek"))
    code, _, error = objstore("config", "check", directory)
    assert code == 78
    assert "mount_chek = 'no': expected a known setting (did you mean 'mount_check'?)" in error


def test_config_check_of_one_file(directory):
    code, output, error = objstore("config", "check", directory / "etc" / "n1" / "object-server.conf")
    assert (code, error) == (0, "")
    assert "nothing is wrong" in output


def test_two_servers_of_one_port_are_a_problem(directory):
    first = (directory / "etc" / "n1" / "object-server.conf").read_text()
    (directory / "etc" / "n2" / "object-server.conf").write_text(first)
    code, _, error = objstore("config", "check", directory)
    assert code == 78
    assert "expected a port of its own" in error


def test_users_are_listed_without_keys(directory):
    assert objstore("user", "add", directory, "photos:bob", "--key", "geheim", "--no-groups")[0] == 0
    code, output, _ = objstore("user", "list", directory, "--json")
    assert json.loads(output) == [
        {"account": "admin", "user": "admin", "groups": [".admin"]},
        {"account": "photos", "user": "bob", "groups": []},
    ]
    assert objstore("user", "key", directory, "photos:bob") == (0, "geheim\n", "")


def test_a_made_key_is_not_written_to_a_pipe(directory):
    code, output, _ = objstore("user", "add", directory, "photos:eve")
    _, key, _ = objstore("user", "key", directory, "photos:eve")
    assert code == 0
    assert key.strip() not in output
    assert objstore("user", "passwd", directory, "photos:eve")[0] == 0
    assert objstore("user", "key", directory, "photos:eve")[1] != key
    assert objstore("user", "remove", directory, "photos:eve")[0] == 0
    assert objstore("user", "key", directory, "photos:eve")[0] == 1


def test_a_server_command_refuses_a_wrong_file_with_exit_code_78(directory, capsys):
    file = directory / "etc" / "n1" / "object-server.conf"
    file.write_text(file.read_text().replace("workers = 1", "workers = x"))
    assert object_server([str(file)]) == 78
    assert "[DEFAULT] workers = 'x': expected auto, or a whole number" in capsys.readouterr().err
