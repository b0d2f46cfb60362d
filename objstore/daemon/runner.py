"""Runs a Pass: once, or again and again. The only place of looping, intervals, pacing, back-off and reports.

Jobs are drawn in a native thread, some at a time, so that walking a disk stops nobody; `concurrency` green threads run
them. Between two passes lies the rest of the interval, give or take a tenth, so that the nodes of a cluster do not walk
in step. A pass that failed wholly is tried again later and later, at most BACK_OFF_MAX_S later.

After every pass the recon file of the daemon's kind gets what the pass says of itself, and daemons.recon an entry of
ours under the daemon's name (`objstore status` reads it):
    {"state": "waiting", "started": 1795238410.2, "elapsed": 0.5, "jobs": 12, "failures": 0, "is_complete": true,
     "counts": {"success": 12}, "passes": 7, "failed_passes": 0, "interval": 30.0, "pid": 4711}
state: "running" (the other values are then those of the pass before; "done": jobs so far) or "waiting". Where several
processes do the pass, each has an entry, NAME #0 and so on.
"""

from __future__ import annotations

import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from objstore.daemon import recon
from objstore.daemon.backlog import Backlog
from objstore.daemon.metric_names import job_metrics
from objstore.daemon.pace import Pace
from objstore.daemon.pass_ import EVERYTHING, FAILURES, Counts, Job, Pass, PassReport, Scope
from objstore.daemon.settings import Rate, kind_of
from objstore.daemon.worker_share import WorkerShare, forgotten, merged_report
from objstore.runtime import green
from objstore.runtime.clock import Clock
from objstore.runtime.metrics import Statsd

DRAWN_AT_ONCE = 64
DRAWN_FOR_S = 0.05
"""A thread that draws hands over what it has after so long."""
BACKLOG = 512
BACK_OFF_MAX_S = 600.0
FIRST_PASS_MAX_S = 10.0
"""The first pass begins at a random moment before this, or within the interval if that is shorter."""
PROGRESS_INTERVAL_S = 10.0
PAUSE_MIN_S = 0.05
TELL_AGAIN_S = 5.0
"""What the recon files did not take (somebody held the lock, the disk was full) is told again after so long."""
STOP_GRACE_S = 0.8
"""Jobs under way get so long to end when the daemon is told to stop; then they are cut off (pass_.py, rule 1)."""

J = TypeVar("J", bound=Job)
_EntriesOf = Callable[[Mapping[str, Any]], Mapping[str, object]]
_log = logging.getLogger("objstore.daemon")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When and how fast. recon_directory: None reports nowhere."""

    interval_s: float
    concurrency: int = 1
    rate: Rate = Rate()
    recon_directory: Path | None = None


class Runner(Generic[J]):
    """One pass of one process. uniform(low, high): where jitter comes from. statsd: who is told of every job.
    share: which disks are this process', where several do the pass; None for all."""

    def __init__(
        self,
        the_pass: Pass[J],
        schedule: Schedule,
        clock: Clock,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
        statsd: Statsd | None = None,
        share: WorkerShare | None = None,
    ) -> None:
        self._pass = the_pass
        self._schedule = schedule
        self._clock = clock
        self._uniform = uniform
        self._statsd = statsd
        self._share = share
        self._threads = green.ThreadPool(1)
        self._workers: list[green.Task] = []
        self._busy = 0
        self._is_stopping = False
        self._wake: green.Future | None = None
        self._pass_count = 0
        self.failed_in_a_row = 0
        self._failed_count = 0
        self._last: PassReport | None = None
        self._is_last_everything = False
        self._untold: dict[str, _EntriesOf] = {}

    @property
    def name(self) -> str:
        return self._pass.name

    def run_forever(self, scope: Scope = EVERYTHING) -> None:
        """Pass after pass until stop()."""
        self._pause(self._uniform(0.0, min(self._schedule.interval_s, FIRST_PASS_MAX_S)))
        while not self._is_stopping:
            started = self._clock.monotonic()
            self.run_once(scope)
            self._pause(
                pause_s(
                    self._schedule.interval_s,
                    self._clock.monotonic() - started,
                    self.failed_in_a_row,
                    self._uniform(0.9, 1.1),
                )
            )

    def run_once(self, scope: Scope = EVERYTHING) -> PassReport:
        """One pass over everything in scope; what came of it. Raises nothing that a pass or a job raises."""
        tally = _Tally(self._clock)
        self._tell_progress("running", tally)
        scope = self._narrowed(scope)
        is_drawn = self._run_jobs(scope, tally)
        report = tally.report(is_drawn and not self._is_stopping)
        self._ended(report, scope, has_failed_wholly=not is_drawn or tally.has_failed_wholly)
        return report

    def stop(self) -> None:
        """Start nothing more, let what runs end for a moment, then cut it off. Waits for that."""
        self._is_stopping = True
        if self._wake is not None and not self._wake.is_set:
            self._wake.set()
        deadline = self._clock.monotonic() + STOP_GRACE_S
        while self._busy and self._clock.monotonic() < deadline:
            green.sleep(0.01)
        for task in self._workers:
            task.kill()

    # One pass

    def _narrowed(self, scope: Scope) -> Scope:
        """A scope without what other processes do. None of them does a disk that cannot be listed."""
        if self._share is None:
            return scope
        try:
            return self._threads.run(self._share.of, scope)
        except OSError as error:
            _log.error("daemon=%s error=%s: the disks cannot be listed", self.name, error)
            return replace(scope, devices=frozenset())

    def _run_jobs(self, scope: Scope, tally: _Tally) -> bool:
        """Whether all jobs there are were found; each of them was run, or the runner is stopping."""
        backlog: Backlog[J] = Backlog(BACKLOG)
        pace = Pace(self._schedule.rate.per_second)
        self._workers = [green.spawn(self._work, backlog, pace, tally) for _ in range(self._schedule.concurrency)]
        try:
            is_drawn = self._draw(scope, backlog, tally)
            backlog.close()
            for task in self._workers:
                _joined(task)
        finally:
            for task in self._workers:
                task.kill()
        return is_drawn

    def _draw(self, scope: Scope, backlog: Backlog[J], tally: _Tally) -> bool:
        try:
            found = self._threads.run(lambda: iter(self._pass.jobs(scope)))
            while not self._is_stopping:
                some, end = self._threads.run(_some_of, found, self._clock.monotonic)
                for job in some:
                    backlog.put(job)
                if isinstance(end, StopIteration):
                    return True
                if end is not None:
                    raise end
                if tally.is_progress_due():
                    self._tell_progress("running", tally)
        except Exception:  # The job boundary: the pass is incomplete, and tried again.
            _log.exception("daemon=%s: the pass was broken off while it looked for work", self.name)
            tally.failed()
        return False

    def _work(self, backlog: Backlog[J], pace: Pace, tally: _Tally) -> None:
        while (job := backlog.take()) is not None:
            if not self._is_stopping:
                self._wait_for_turn(pace)
            if not self._is_stopping:
                counts = self._run_one(job)
                tally.add(counts)
                pace.charge(self._clock.monotonic(), self._units(counts))
            backlog.done(job)

    def _run_one(self, job: J) -> Counts:
        if self._statsd is None:
            return self._guarded(job)
        started = self._clock.monotonic()
        counts = self._guarded(job)
        self._statsd.event(*job_metrics(self.name, job.device, counts, self._clock.monotonic() - started))
        return counts

    def _guarded(self, job: J) -> Counts:
        self._busy += 1
        try:
            return self._pass.run(job)
        except Exception:  # The job boundary: one job's bug must not keep the others from being done.
            _log.exception("daemon=%s job=%r: failed", self.name, job.key)
            return {FAILURES: 1}
        finally:
            self._busy -= 1

    def _wait_for_turn(self, pace: Pace) -> None:
        while not self._is_stopping and (seconds := pace.wait_s(self._clock.monotonic())) > 0:
            green.sleep(min(seconds, 1.0))

    def _units(self, counts: Counts) -> float:
        name = self._schedule.rate.of
        return counts.get(name, 0) if name else 1

    # Between passes

    def _pause(self, seconds: float) -> None:
        while not self._is_stopping and seconds > 0:
            step_s = min(seconds, TELL_AGAIN_S) if self._untold else seconds
            self._wake = green.Future()
            try:
                self._wake.wait(step_s)
            except green.TimedOut:
                pass
            seconds -= step_s
            for kind, entries_of in list(self._untold.items()):
                self._change(kind, entries_of)

    def _ended(self, report: PassReport, scope: Scope, has_failed_wholly: bool) -> None:
        self._pass_count += 1
        self._last = report
        self._is_last_everything = scope.is_everything
        self.failed_in_a_row = self.failed_in_a_row + 1 if has_failed_wholly else 0
        self._failed_count += not report.is_complete
        level = logging.DEBUG if not report.job_count and report.is_complete else logging.INFO
        _log.log(
            level if report.is_complete else logging.WARNING,
            "pass ended daemon=%s jobs=%d elapsed_s=%.3f complete=%s%s",
            self.name,
            report.job_count,
            report.elapsed_s,
            "yes" if report.is_complete else "no",
            "".join(f" {name}={count}" for name, count in sorted(report.counts.items())),
        )
        try:
            entries = self._pass.finished(report)
        except Exception:  # The job boundary, as in _run_one.
            _log.exception("daemon=%s: its report failed", self.name)
            entries = {}
        if entries and scope.is_everything:
            self._change(kind_of(self.name), lambda known: self._reported(known, scope, entries))
        self._tell_progress("waiting", None)

    def _reported(self, known: Mapping[str, Any], scope: Scope, entries: Mapping[str, object]) -> Mapping[str, object]:
        """The entries to put into the recon file of our kind, which now holds `known`."""
        if self._share is None:
            return {**entries, **forgotten(self.name)}
        return merged_report(known, self.name, self._share, scope.devices or (), entries)

    def _tell_progress(self, state: str, tally: _Tally | None) -> None:
        entry: dict[str, Any] = {
            "state": state,
            "passes": self._pass_count,
            "failed_passes": self._failed_count,
            "interval": self._schedule.interval_s,
            "pid": os.getpid(),
        }
        if self._share is not None:
            entry["workers"] = self._share.count
        if tally is not None:
            entry["done"] = tally.job_count
        if self._last is not None:
            last = self._last
            entry |= {
                "started": last.started_s,
                "elapsed": round(last.elapsed_s, 3),
                "jobs": last.job_count,
                "failures": last.counts.get(FAILURES, 0),
                "is_complete": last.is_complete,
                "is_everything": self._is_last_everything,
                "counts": dict(last.counts),
            }
        self._change(recon.DAEMONS, lambda known: {**self._outdated(known), self._entry_name: entry})

    @property
    def _entry_name(self) -> str:
        return self.name if self._share is None else f"{self.name} #{self._share.index}"

    def _outdated(self, known: Mapping[str, Any]) -> dict[str, object]:
        """Entries to remove: of processes that there were when this daemon had more of them, or fewer."""
        if self._share is not None and self._share.index:
            return {}
        count = 0 if self._share is None else self._share.count
        wanted = {f"{self.name} #{index}" for index in range(count)} or {self.name}
        ours = (key for key in known if key == self.name or key.startswith(f"{self.name} #"))
        return {key: {} for key in ours if key not in wanted}

    def _change(self, kind: str, entries_of: _EntriesOf) -> None:
        directory = self._schedule.recon_directory
        if directory is None:
            return
        try:
            self._threads.run(recon.change, recon.recon_file(directory, kind), entries_of)
            self._untold.pop(kind, None)
        except OSError as error:
            # Work does not depend on who watches it.
            if kind not in self._untold:
                _log.warning("daemon=%s recon=%s/%s.recon error=%s: not reported", self.name, directory, kind, error)
            self._untold[kind] = entries_of


def pause_s(interval_s: float, elapsed_s: float, failed_in_a_row: int, jitter: float) -> float:
    """Seconds from the end of a pass to the start of the next. failed_in_a_row: passes that failed wholly, this one
    included; each doubles the interval, up to BACK_OFF_MAX_S (or the interval, if that is longer). jitter: about 1."""
    if failed_in_a_row:
        longest = max(interval_s, BACK_OFF_MAX_S)
        interval_s = min(longest, max(interval_s, 1.0) * 2.0 ** min(failed_in_a_row, 16))
    return max(PAUSE_MIN_S, interval_s * jitter - elapsed_s)


class _Tally:
    """What a pass has done so far."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_s = clock.now().seconds
        self._started = self._told = clock.monotonic()
        self._counts: Counter[str] = Counter()
        self._failed_jobs = 0
        self.job_count = 0

    def add(self, counts: Counts) -> None:
        self.job_count += 1
        self._counts.update(counts)
        self._failed_jobs += bool(counts.get(FAILURES)) and not any(
            count for name, count in counts.items() if name != FAILURES
        )

    def failed(self) -> None:
        self._counts[FAILURES] += 1

    @property
    def has_failed_wholly(self) -> bool:
        """There were jobs, and every one of them did nothing but fail."""
        return 0 < self.job_count == self._failed_jobs

    def is_progress_due(self) -> bool:
        now = self._clock.monotonic()
        if now - self._told < PROGRESS_INTERVAL_S:
            return False
        self._told = now
        return True

    def report(self, is_whole: bool) -> PassReport:
        return PassReport(
            self._started_s,
            self._clock.monotonic() - self._started,
            self.job_count,
            dict(self._counts),
            is_whole and not self._counts[FAILURES],
        )


def _some_of(found: Iterator[J], monotonic: Callable[[], float]) -> tuple[list[J], Exception | None]:
    """(the next jobs, what ended the search or None): at most DRAWN_AT_ONCE, and what comes within DRAWN_FOR_S. In a
    native thread. An error does not lose the jobs that were found before it."""
    some: list[J] = []
    until = monotonic() + DRAWN_FOR_S
    try:
        while len(some) < DRAWN_AT_ONCE and monotonic() <= until:
            some.append(next(found))
    except Exception as end:  # Carried to _draw(), whatever it is.
        return some, end
    return some, None


def _joined(task: green.Task) -> None:
    """Wait for a worker; one that stop() has killed is done as well."""
    try:
        task.join()
    except green.GreenletExit:
        return
