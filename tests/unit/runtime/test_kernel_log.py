"""runtime/kernel_log.py: when lines were written, and files read from their end."""

from datetime import UTC, datetime, timedelta

import pytest

from objstore.runtime.kernel_log import lines_backwards, recent_lines, time_of

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
BOOTED = NOW - timedelta(days=1)


@pytest.mark.parametrize(
    "line, expected",
    [
        ("Jan  2 11:59:00 host kernel: x", datetime(2026, 1, 2, 11, 59, tzinfo=UTC)),
        ("Dec 31 23:00:00 host kernel: x", datetime(2025, 12, 31, 23, 0, tzinfo=UTC)),
        ("Jan  2 12:30:00 host kernel: x", datetime(2026, 1, 2, 12, 30, tzinfo=UTC)),
        ("Feb 29 12:30:00 host kernel: x", None),
        ("Xyz  2 12:30:00 host kernel: x", None),
        ("2026-01-02T13:59:00.5+02:00 host kernel: x", datetime(2026, 1, 2, 11, 59, 0, 500000, tzinfo=UTC)),
        ("2026-01-02T11:59:00 host kernel: x", datetime(2026, 1, 2, 11, 59, tzinfo=UTC)),
        ("2026-13-02T11:59:00 host kernel: x", None),
        ("[86390.5] x", datetime(2026, 1, 2, 11, 59, 50, 500000, tzinfo=UTC)),
        ("[ 0.000000] x", BOOTED),
        ("no time at all", None),
        ("", None),
    ],
)
def test_when_a_line_was_written(line, expected):
    assert time_of(line, NOW, BOOTED) == expected


@pytest.mark.parametrize("count", [0, 1, 3, 5000])
@pytest.mark.parametrize("end", ["", "\n"])
def test_lines_come_from_the_end(tmp_path, count, end):
    lines = [f"line {number} {'x' * (number % 60)}" for number in range(count)]
    (tmp_path / "log").write_text("\n".join(lines) + end * bool(lines))
    assert list(lines_backwards(tmp_path / "log")) == lines[::-1]


def test_of_a_large_file_only_the_end_is_read(tmp_path):
    (tmp_path / "log").write_bytes(b"".join(b"%06d\n" % number for number in range(30_000)))
    found = list(lines_backwards(tmp_path / "log", bytes_max=70_000))
    assert (found[0], found[-1], len(found)) == ("029999", "020000", 10_000)
    (tmp_path / "log").write_bytes(b"x" * 1_000_000 + b"\xff\nlast\n")
    assert [line[-4:] for line in lines_backwards(tmp_path / "log")] == ["last", "xxx\ufffd"]


def test_old_lines_end_the_reading_and_those_without_a_time_go_with_the_next(tmp_path):
    (tmp_path / "log").write_text(
        "Jan  2 09:00:00 h old\nJan  2 11:10:00 h recent\n continued\nJan  2 11:50:00 h last\n"
    )
    found = list(recent_lines(tmp_path / "log", NOW - timedelta(hours=1), NOW, BOOTED))
    assert [line.split()[-1] for line in found] == ["last", "continued", "recent"]
