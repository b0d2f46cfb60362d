import logging
import multiprocessing

import pytest

from objstore.runtime.logs import RotatedFile


@pytest.fixture
def logger():
    it = logging.getLogger("tests.logs")
    it.setLevel(logging.INFO)
    it.propagate = False
    yield it
    for handler in list(it.handlers):
        it.removeHandler(handler)
        handler.close()


def lines(path):
    return path.read_text().splitlines()


def test_an_event_is_one_line_with_time_level_and_pid(logger, tmp_path):
    logger.addHandler(RotatedFile(tmp_path / "a.log"))
    logger.warning("device gone device=%s", "d1")
    (line,) = lines(tmp_path / "a.log")
    moment, level, name, pid, text = line.split(" ", 4)
    assert (len(moment), level, name, text) == (24, "warning", "tests.logs", "device gone device=d1")
    assert pid.isdigit()


def test_a_line_break_in_a_name_cannot_forge_a_line(logger, tmp_path):
    logger.addHandler(RotatedFile(tmp_path / "a.log"))
    logger.info("put name=%s", "x\n2026-01-01T00:00:00.000Z info forged\r\x85\u2028")
    (line,) = lines(tmp_path / "a.log")
    assert line.endswith(r"name=x\n2026-01-01T00:00:00.000Z info forged\r\x85\u2028")


def test_a_traceback_stays_on_the_line_of_its_event(logger, tmp_path):
    logger.addHandler(RotatedFile(tmp_path / "a.log"))
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("failed")
    (line,) = lines(tmp_path / "a.log")
    assert r"ValueError: why" in line


def test_a_name_that_is_not_utf_8_is_logged_and_not_lost(logger, tmp_path):
    logger.addHandler(RotatedFile(tmp_path / "a.log"))
    logger.info("put name=%s", "\udcff")
    assert r"name=\udcff" in lines(tmp_path / "a.log")[0]


def test_a_full_file_is_moved_aside_and_the_oldest_is_lost(logger, tmp_path):
    handler = RotatedFile(tmp_path / "a.log", size_limit=200, kept=2)
    handler._checked_at = float("-inf")
    logger.addHandler(handler)
    for number in range(40):
        handler._checked_at = float("-inf")
        logger.info("event number=%d", number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    kept = [line.rpartition("=")[2] for name in ("a.log.2", "a.log.1", "a.log") for line in lines(tmp_path / name)]
    assert kept == [str(number) for number in range(40 - len(kept), 40)]


def test_a_file_that_somebody_moved_is_opened_again(logger, tmp_path):
    handler = RotatedFile(tmp_path / "a.log")
    logger.addHandler(handler)
    logger.info("one")
    (tmp_path / "a.log").rename(tmp_path / "moved")
    handler._checked_at = float("-inf")
    logger.info("two")
    assert "two" in (tmp_path / "a.log").read_text()


def _write(path, name):
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = RotatedFile(path, size_limit=4000, kept=100)
    logger.addHandler(handler)
    for number in range(500):
        handler._checked_at = float("-inf")
        logger.info("event number=%d", number)


def test_processes_that_rotate_one_file_lose_and_tear_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path / "a.log", f"w{n}")) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = [tuple(line.split()[2::3]) for path in tmp_path.iterdir() for line in lines(path)]
    expected = sorted((f"w{n}", f"number={number}") for n in range(3) for number in range(500))
    assert sorted((name, text) for name, text in found) == expected
