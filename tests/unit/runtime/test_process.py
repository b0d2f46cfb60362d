import os
import socket

import pytest

from objstore.runtime import lock, process
from objstore.runtime.detach import detach


def test_a_service_manager_is_told(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        process.notify_systemd("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_a_service_manager_that_is_gone_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nothing"))
    process.notify_systemd("READY=1")


def test_a_user_that_does_not_exist_cannot_be_become():
    with pytest.raises(process.CannotBecome, match="nobody-of-that-name"):
        process.become("nobody-of-that-name")


def test_the_foreground_hears_lines_and_the_exit_code(tmp_path):
    def run(voice):
        voice.say("two\nlines")
        voice.done(7)
        return 0

    heard = []
    assert detach(run, heard.append, tmp_path / "stderr") == 7
    assert heard == ["two lines"]
    os.wait()


def test_a_background_that_raises_is_heard(tmp_path):
    heard = []

    def run(voice):
        raise RuntimeError("broken")

    assert detach(run, heard.append, tmp_path / "stderr") == 1
    assert heard == ["RuntimeError: broken"]
    os.wait()


def test_a_background_that_is_killed_is_noticed(tmp_path):
    heard = []
    assert detach(lambda voice: os.kill(os.getpid(), 9), heard.append, tmp_path / "stderr") == 1
    assert heard == ["the supervisor died before it was ready"]
    os.wait()


def test_a_lock_is_held_against_other_processes_and_not_by_children(tmp_path):
    held = lock.take(tmp_path)
    read_fd, write_fd = os.pipe()
    pid = process.fork()
    if pid == 0:
        os.write(write_fd, b"held" if lock.is_held(tmp_path) else b"free")
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read_fd, 10) == b"held"
    for fd in (held, read_fd, write_fd):
        os.close(fd)
    assert not lock.is_held(tmp_path)
