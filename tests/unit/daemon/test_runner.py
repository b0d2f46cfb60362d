import logging
import threading

import pytest

from objstore.daemon import recon
from objstore.daemon import runner as runner_module
from objstore.daemon.backlog import Backlog
from objstore.daemon.interleave import interleaved
from objstore.daemon.pass_ import EVERYTHING, Job, Scope
from objstore.daemon.runner import BACK_OFF_MAX_S, BACKLOG, PAUSE_MIN_S, pause_s
from objstore.daemon.settings import Rate
from objstore.runtime import green
from objstore.runtime.clock import SystemClock
from objstore.runtime.metrics import Statsd
from tests.support.clock import SimClock
from tests.support.passes import ListedPass, make_runner
from tests.support.statsd import statsd_server

PATIENCE_S = 30.0


def jobs(*keys, device="sdb1"):
    return [Job(key, device) for key in keys]


def until(condition):
    with green.deadline(PATIENCE_S):
        while not condition():
            green.sleep(0.005)


def test_every_job_is_run_and_counted():
    listed = ListedPass(jobs("a", "b", "c"), lambda job: {"success": 1, "bytes": 10})
    report = make_runner(listed).run_once()
    assert listed.ran == ["a", "b", "c"]
    assert (report.job_count, report.counts, report.is_complete) == (3, {"success": 3, "bytes": 30}, True)
    assert listed.reports == [report]


def test_jobs_are_drawn_in_a_native_thread():
    listed = ListedPass(jobs(*map(str, range(200))))
    make_runner(listed).run_once()
    assert threading.main_thread().ident not in listed.drawn_by


def test_jobs_are_drawn_no_further_ahead_than_the_backlog():
    gate = green.Future()
    listed = ListedPass(jobs(*map(str, range(5000))), lambda job: gate.wait(PATIENCE_S))
    runner = make_runner(listed)
    task = green.spawn(runner.run_once)
    until(lambda: len(listed.drawn_by) > BACKLOG)
    for _ in range(20):
        green.sleep(0.001)
    assert len(listed.drawn_by) <= BACKLOG + 2 * 64 + 2
    gate.set(None)
    assert task.join().job_count == 5000


@pytest.mark.parametrize("concurrency", [1, 4])
def test_no_more_jobs_run_at_once_than_allowed(concurrency):
    listed = ListedPass(jobs(*map(str, range(50))), lambda job: green.sleep(0.001))
    make_runner(listed, concurrency=concurrency).run_once()
    assert listed.running_most == concurrency


def test_a_job_that_raises_is_logged_and_counted_and_the_others_run(caplog):
    def run(job):
        if job.key == "b":
            raise RuntimeError("boom")

    listed = ListedPass(jobs("a", "b", "c"), run)
    report = make_runner(listed).run_once()
    assert listed.ran == ["a", "c"]
    assert (report.counts["failures"], report.is_complete) == (1, False)
    assert "job='b'" in caplog.text and "boom" in caplog.text


def test_a_pass_that_breaks_while_it_looks_runs_what_it_found(caplog):
    def found():
        yield from jobs("a")
        raise OSError("the disk is gone")

    listed = ListedPass(found)
    report = make_runner(listed).run_once()
    assert listed.ran == ["a"]
    assert not report.is_complete
    assert "the disk is gone" in caplog.text


def test_failures_that_a_job_counts_make_the_pass_incomplete():
    report = make_runner(ListedPass(jobs("a"), lambda job: {"success": 5, "failures": 1})).run_once()
    assert not report.is_complete


def test_the_scope_reaches_the_pass():
    listed = ListedPass()
    make_runner(listed).run_once(Scope(devices=frozenset({"sdb1"})))
    assert listed.scopes == [Scope(devices=frozenset({"sdb1"}))]


def test_recon_gets_what_the_pass_says_and_our_own_entry(tmp_path):
    listed = ListedPass(jobs("a"), entries={"object_tester_sweep": 1.5})
    make_runner(listed, tmp_path).run_once()
    assert recon.read(tmp_path / "object.recon") == {"object_tester_sweep": 1.5}
    entry = recon.read(tmp_path / "daemons.recon")["object-tester"]
    assert (entry["state"], entry["jobs"], entry["failures"], entry["passes"]) == ("waiting", 1, 0, 1)


def test_a_pass_over_a_part_says_nothing_to_recon(tmp_path):
    listed = ListedPass(jobs("a"), entries={"object_tester_sweep": 1.5})
    make_runner(listed, tmp_path).run_once(Scope(policies=frozenset({1})))
    assert recon.read(tmp_path / "object.recon") == {}


def test_a_recon_directory_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    listed = ListedPass(jobs("a"), entries={"x": 1})
    assert make_runner(listed, tmp_path / "file").run_once().is_complete
    assert "not reported" in caplog.text


def test_what_recon_did_not_take_is_told_while_the_next_pass_is_waited_for(tmp_path, monkeypatch, caplog):
    """Somebody held the lock too long, say: with a long interval nobody would hear of the pass for hours."""
    monkeypatch.setattr(runner_module, "TELL_AGAIN_S", 0.01)
    (tmp_path / "recon").write_text("in the way of the directory")
    listed = ListedPass(jobs("a"), entries={"object_tester_sweep": 1.5})
    runner = make_runner(listed, tmp_path / "recon", interval_s=3600.0)
    monkeypatch.setattr(runner_module, "FIRST_PASS_MAX_S", 0.0)
    task = green.spawn(runner.run_forever)
    # One for each file: both have failed before the way is free.
    until(lambda: listed.reports and caplog.text.count("not reported") == 2)
    (tmp_path / "recon").unlink()
    until(lambda: recon.read(tmp_path / "recon" / "object.recon") == {"object_tester_sweep": 1.5})
    until(lambda: recon.read(tmp_path / "recon" / "daemons.recon").get("object-tester", {}).get("passes") == 1)
    assert caplog.text.count("not reported") == 2, "attempts after the first are not complained of"
    runner.stop()
    with green.deadline(PATIENCE_S):
        task.join()


def test_it_goes_round_until_it_is_stopped():
    listed = ListedPass(jobs("a"))
    runner = make_runner(listed)
    task = green.spawn(runner.run_forever)
    until(lambda: len(listed.reports) >= 3)
    runner.stop()
    with green.deadline(PATIENCE_S):
        task.join()


def test_stopping_wakes_it_out_of_its_interval():
    listed = ListedPass()
    runner = make_runner(listed, interval_s=3600.0)
    task = green.spawn(runner.run_forever)
    green.sleep(0)
    runner.stop()
    with green.deadline(PATIENCE_S):
        task.join()
    assert listed.scopes == []


def test_stopping_cuts_off_a_job_that_does_not_end():
    never = green.Future()
    listed = ListedPass(jobs("a", "b"), lambda job: never.wait())
    runner = make_runner(listed)
    task = green.spawn(runner.run_forever)
    until(lambda: listed.running_most == 1)
    runner.stop()
    with green.deadline(PATIENCE_S):
        task.join()
    assert listed.ran == []


def test_stopping_lets_a_job_that_is_nearly_done_end():
    listed = ListedPass(jobs("a", "b", "c"), lambda job: green.sleep(0.05))
    # A clock that stands still: the moment never ends, however busy the machine is.
    runner = make_runner(listed, clock=SimClock())
    green.spawn(runner.run_forever)
    until(lambda: listed.running_most == 1)
    runner.stop()
    assert listed.ran == ["a"]


def test_a_rate_of_jobs_is_kept():
    clock = SystemClock()
    listed = ListedPass(jobs(*map(str, range(100))))
    started = clock.monotonic()
    make_runner(listed, rate=Rate(100.0)).run_once()
    # Half a second's worth goes at once; before the last one goes, the 49 after those have had their time.
    assert clock.monotonic() - started >= 0.49
    assert len(listed.ran) == 100


def test_a_rate_may_count_what_jobs_did():
    clock = SystemClock()
    listed = ListedPass(jobs("a", "b", "c"), lambda job: {"rows": 200})
    started = clock.monotonic()
    make_runner(listed, rate=Rate(500.0, "rows")).run_once()
    # 400 rows have gone before the last job's turn comes.
    assert clock.monotonic() - started >= 0.3
    assert listed.ran == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("interval_s", "elapsed_s", "failed", "expected"),
    [
        (30, 0, 0, 30),
        (30, 10, 0, 20),
        (30, 100, 0, PAUSE_MIN_S),
        (30, 0, 1, 60),
        (30, 0, 3, 240),
        (30, 0, 50, BACK_OFF_MAX_S),
        (0, 0, 1, 2),
        (3600, 0, 5, 3600),
    ],
)
def test_the_pause_is_the_rest_of_the_interval_and_grows_after_failures(interval_s, elapsed_s, failed, expected):
    assert pause_s(interval_s, elapsed_s, failed, 1.0) == pytest.approx(expected)


def test_passes_that_fail_wholly_are_tried_later_and_later():
    listed = ListedPass(jobs("a"), lambda job: {"failures": 1})
    runner = make_runner(listed)
    runner.run_once()
    runner.run_once()
    assert runner.failed_in_a_row == 2
    listed = ListedPass(jobs("a", "b"), lambda job: {"failures": 1} if job.key == "a" else {"success": 1})
    runner = make_runner(listed)
    runner.run_once()
    assert runner.failed_in_a_row == 0


def test_an_idle_pass_is_no_news(caplog):
    with caplog.at_level(logging.INFO):
        make_runner(ListedPass()).run_once(EVERYTHING)
    assert caplog.text == ""


def test_the_backlog_gives_work_to_every_device():
    backlog = Backlog(100)
    for job in [*jobs("a1", "a2", "a3"), *jobs("b1", device="sdb2"), *jobs("c1", device="sdb3")]:
        backlog.put(job)
    backlog.close()
    taken = [backlog.take() for _ in range(4)]
    assert [job.key for job in taken] == ["a1", "b1", "c1", "a2"]
    backlog.done(taken[0])
    assert backlog.take().key == "a3"
    assert backlog.take() is None and backlog.take() is None


def test_interleaved_sources_take_turns():
    assert "".join(interleaved(["abc", "", "d", "ef"])) == "adebfc"


def test_every_job_is_told_to_statsd():
    with statsd_server() as server:
        listed = ListedPass(jobs("a", "b"), lambda job: {"success": 2})
        listed.name = "container-updater"
        make_runner(listed, statsd=Statsd("127.0.0.1", server.port)).run_once()
        heard = [server.event(), server.event()]
    assert [event["container-updater.successes"] for event in heard] == ["2|c", "2|c"]
    assert all("container-updater.timing" in event for event in heard)
