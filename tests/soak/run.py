"""The phases of a soak: clients and faults for some time, then no faults, then everything as clients were told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.soak import clients, history
from tests.soak.clients import CONTAINERS, OBJECTS, SEGMENTS, Client, Gate, Journal, Key
from tests.soak.faults import Faults, Splitting, Target
from tests.support.final_check import ABSENT, FinalCheck, Problem, counted
from tests.support.healing import Site

CLIENTS = 4
QUIET_S = 600.0
"""How long the cluster may take to come to rest on a machine that is busy with other things."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """problems: none if all is well. report: for people."""

    problems: list[str]
    report: str


def soak(
    site: Site,
    target: Target,
    ask: clients.Ask,
    *,
    seconds: float,
    seed: int,
    splitting: Splitting | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """site, target: the same running cluster, with its daemons. ask: as a client does."""
    journal, gate = Journal(), Gate()
    for container in (*CONTAINERS, SEGMENTS):
        status, _, body = site.request("PUT", f"/{container}")
        assert status in (201, 202), (status, body)

    def problems() -> list[Problem]:
        disks = site.disks()
        try:
            check = FinalCheck(disks, site.ask_proxy, site.ask_place, joined=journal.joined())
            return check.problems(_expected(journal))
        except OSError as error:
            return [Problem("read", f"somebody does not answer: {error}")]

    faults = Faults(target, seed, gate, lambda: not problems(), splitting, say)
    is_over = threading.Event()
    threads = [_Thread(Client(number, seed, ask, journal, gate).run, is_over) for number in range(CLIENTS)]
    faulty = _Thread(faults.run, is_over)
    began_s = time.monotonic()
    for thread in (*threads, faulty):
        thread.start()
    # Time in which nobody may write does not count.
    while (time.monotonic() - began_s - faults.calm_s) < seconds and not any(map(_has_failed, (*threads, faulty))):
        time.sleep(0.1)
    is_over.set()
    for thread in (*threads, faulty):
        thread.join()
    say(f"{sum(journal.answers.values())} requests, {len(faults.log)} lines of faults; now it comes to rest")
    left = _at_rest(problems, say)
    found = [*(f"it broke off: {thread.error!r}" for thread in (*threads, faulty) if thread.error)]
    found += [f"wrong answer: {text}" for text in journal.wrong]
    found += [f"wrong read of {'/'.join(key)}: {read}" for key, read in _wrong_reads(journal)]
    found += [str(problem) for problem in left]
    found += _wrong_metadata(journal, site) if not left else []
    return Outcome(found, _report(seed, found, left, journal, faults.log))


class _Thread(threading.Thread):
    """One whose exception is a finding."""

    def __init__(self, function: Callable[[threading.Event], None], is_over: threading.Event) -> None:
        super().__init__()
        self._function = function
        self._is_over = is_over
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._function(self._is_over)
        except BaseException as error:
            self.error = error


def _has_failed(thread: _Thread) -> bool:
    return thread.error is not None


def _expected(journal: Journal) -> dict[str, dict[str, frozenset[str]]]:
    names = {container: {f"o{number}" for number in range(OBJECTS)} for container in CONTAINERS}
    names[SEGMENTS] = journal.segment_names()
    return {
        container: {name: history.allowed_at_end(journal.writes[container, name]) for name in sorted(of_container)}
        for container, of_container in names.items()
    }


def _at_rest(problems: Callable[[], list[Problem]], say: Callable[[str], None]) -> list[Problem]:
    """What is wrong when the daemons have had their time: nothing, if all is well."""
    began_s = told_s = time.monotonic()
    while True:
        left = problems()
        if left and time.monotonic() - told_s > 10:
            told_s = time.monotonic()
            say(f"{told_s - began_s:.0f} s: {counted(left)}, {left[0]}")
        if not left or time.monotonic() - began_s > QUIET_S:
            say(f"after {time.monotonic() - began_s:.1f} s: {counted(left) or 'all counts zero'}")
            return left
        time.sleep(0.5)


def _wrong_reads(journal: Journal) -> Iterator[tuple[Key, history.Read]]:
    for key, reads in journal.reads.items():
        for read in history.wrong_reads(journal.writes[key], reads):
            yield key, read


def _wrong_metadata(journal: Journal, site: Site) -> list[str]:
    """Every copy has the same files by now: any answer will do."""
    found = []
    for container, names in _expected(journal).items():
        for name, allowed in names.items():
            status, headers, _ = site.request("HEAD", f"/{container}/{name}")
            if status == 200:
                metas = history.allowed_meta(journal.writes[container, name], headers["etag"].strip('"'))
                if headers.get("x-object-meta-soak") not in metas:
                    found.append(
                        f"metadata of {container}/{name}: {headers.get('x-object-meta-soak')}, not {set(metas)}"
                    )
            elif ABSENT not in allowed:
                found.append(f"read: {container}/{name} answers {status}")
    return found


def _report(seed: int, found: Sequence[str], left: Sequence[Problem], journal: Journal, faults: Sequence[str]) -> str:
    lines = [f"seed {seed}: {len(found)} problems {counted(left)}", *found[:40]]
    lines += [f"{count:6} {what}" for what, count in sorted(journal.answers.items())]
    if found:
        keys = [key for key in journal.writes if any("/".join(key) in text for text in found)]
        for key in keys[:5]:
            events = [*journal.writes[key], *journal.reads[key]]
            lines += [f"history of {'/'.join(key)}:", *map(str, sorted(events, key=lambda each: each.start_s)[-60:])]
        lines += ["faults:", *faults]
    return "\n".join(lines)
