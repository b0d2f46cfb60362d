"""Passes for tests of what runs them, and the runner as tests want it: no jitter, a recon directory of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from objstore.daemon.pass_ import Counts, Job, PassReport, Scope
from objstore.daemon.runner import Runner, Schedule
from objstore.daemon.worker_share import WorkerShare
from objstore.runtime import green
from objstore.runtime.clock import SystemClock
from objstore.runtime.metrics import Statsd


class ListedPass:
    """Jobs that are given, and what running one does. What happened is in drawn_by, ran, running_most and reports."""

    name = "object-tester"

    def __init__(
        self,
        jobs: Callable[[], Iterable[Job]] | Iterable[Job] = (),
        run: Callable[[Job], Counts | None] = lambda job: None,
        entries: Mapping[str, object] | None = None,
    ) -> None:
        self._jobs = jobs if callable(jobs) else lambda: jobs
        self._run = run
        self._entries = entries or {}
        self._running = 0
        self.running_most = 0
        self.drawn_by: list[int] = []
        self.scopes: list[Scope] = []
        self.ran: list[str] = []
        self.reports: list[PassReport] = []

    def jobs(self, scope: Scope) -> Iterator[Job]:
        self.scopes.append(scope)
        for job in self._jobs():
            self.drawn_by.append(threading.get_ident())
            yield job

    def run(self, job: Job) -> Counts:
        assert threading.get_ident() == threading.main_thread().ident
        self._running += 1
        self.running_most = max(self.running_most, self._running)
        try:
            counts = self._run(job)
            green.sleep(0)
            self.ran.append(job.key)
            return {"success": 1} if counts is None else counts
        finally:
            self._running -= 1

    def finished(self, report: PassReport) -> Mapping[str, object]:
        self.reports.append(report)
        return self._entries


def make_runner(
    the_pass: ListedPass,
    directory: Path | None = None,
    clock: object = None,
    statsd: Statsd | None = None,
    share: WorkerShare | None = None,
    **schedule: object,
) -> Runner:
    options = {"interval_s": 0.0, "recon_directory": directory, **schedule}
    return Runner(
        the_pass,
        Schedule(**options),
        clock or SystemClock(),
        uniform=lambda low, high: (low + high) / 2,
        statsd=statsd,
        share=share,
    )
