"""objstore-dispersion-report: how many of the samples' copies are where the rings say (B5.7).

The samples' names come from the cluster's own listings; then every primary of each is asked, and nobody else: a copy
on a handoff is not where it belongs. What populate made is not changed. The JSON has the fields of Swift's report.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from objstore.cli.dispersion_names import PREFIX, is_container_sample, object_container
from objstore.cli.dispersion_setup import Setup, add_arguments, make
from objstore.cli.replica_survey import Survey, tool_client, where
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.client.errors import ClientError
from objstore.ring.model import Ring
from objstore.runtime import green

_EXAMPLE = """\
examples:
  objstore-dispersion-report
  objstore-dispersion-report /etc/swift/dispersion.conf -j
  objstore-dispersion-report -P silver --object-only -p

Exit codes: 0 every copy is where it belongs; 1 some are not, or there are no samples (populate first); 78 the
configuration or the rings cannot be used.
"""
ANSWER_TIMEOUT_S = 15.0
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(slots=True)
class Dispersion:
    """Of one ring. missing: partition → copies of it that were not found. overlapping: samples that share a partition
    with another; they are not counted again. errors: for --debug."""

    kind: str
    ring: Ring
    samples: int = 0
    copies_found: int = 0
    copies_expected: int = 0
    overlapping: int = 0
    missing: dict[int, int] = field(default_factory=dict)
    replicas: dict[int, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    retries: int = 0
    elapsed_s: float = 0.0

    @property
    def pct_found(self) -> float:
        return 100.0 * self.copies_found / self.copies_expected if self.copies_expected else 0.0

    @property
    def pct_sampled(self) -> float:
        return 100.0 * (self.samples - self.overlapping) / self.ring.partition_count

    @property
    def is_whole(self) -> bool:
        return self.samples > 0 and not self.missing

    def by_missing(self) -> list[tuple[str, int]]:
        """(one, two, … or all, partitions that lack so many), the most lacking last."""
        counts: Counter[int] = Counter()
        lost = 0
        for partition, lacking in self.missing.items():
            if lacking >= self.replicas[partition]:
                lost += 1
            else:
                counts[lacking] += 1
        named = [(_word(lacking), counts[lacking]) for lacking in sorted(counts)]
        return [*named, *([("all", lost)] if lost else [])]


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser("objstore-dispersion-report", "How many copies are where the rings say, by samples.", _EXAMPLE)
    add_arguments(parser)
    parser.add_argument("-d", "--debug", action="store_true", help="every copy that was not found, and where")
    parser.add_argument("-j", "--dump-json", "--json", action="store_true", help="for a script")
    parser.add_argument("-p", "--partitions", action="store_true", help="the partitions that lack copies")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    setup = make(arguments, containers="container_report", objects="object_report", with_deprecated=True)
    try:
        reports = list(_reports(setup))
    except ClientError as error:
        raise CommandError(str(error), code=FAILED) from None
    finally:
        setup.account.session.close()
    if arguments.dump_json or setup.settings.dump_json:
        terminal.say(json.dumps({each.kind: as_json(each, arguments.partitions) for each in reports}))
    for each in reports:
        if not (arguments.dump_json or setup.settings.dump_json):
            terminal.say("\n".join(lines(each, arguments.partitions)))
        for text in each.errors if arguments.debug else ():
            terminal.complain(f"ERROR: {text}")
        if not each.samples:
            terminal.complain(f"{each.kind}: there are no samples; make some: objstore-dispersion-populate")
    return OK if all(each.is_whole for each in reports) else FAILED


def _reports(setup: Setup) -> Iterator[Dispersion]:
    """Raises ClientError."""
    account = setup.account.name
    if setup.containers:
        names = [row.name for row in setup.account.containers(PREFIX) if is_container_sample(row.name)]
        yield measured("container", setup, ((account, name) for name in names), setup.ring("container"), 0)
    for policy in setup.policies if setup.objects else ():
        container = object_container(policy, setup.cluster.policies)
        names = [row.name for row in setup.account.objects(container, PREFIX, is_unseen_empty=True)]
        kind = "object" if policy is setup.policies[0] else f"object:{policy.name}"
        found = ((account, container, name) for name in names)
        yield measured(kind, setup, found, setup.ring(policy.ring_name), policy.index)


def measured(kind: str, setup: Setup, samples: Iterable[tuple[str, ...]], ring: Ring, policy_index: int) -> Dispersion:
    """Ask every primary of every sample."""
    result = Dispersion(kind, ring)
    client = tool_client("dispersion-report", ANSWER_TIMEOUT_S)
    survey = Survey(setup.cluster, client, retries=setup.settings.retries)
    work: deque[tuple[int, tuple[str, ...]]] = deque()
    for names in samples:
        partition = ring.partition(setup.cluster.secrets.digest(*names))
        result.samples += 1
        if partition in result.replicas:
            result.overlapping += 1
        else:
            result.replicas[partition] = len(ring.primaries(partition))
            work.append((partition, names))
    began = time.monotonic()

    def run() -> None:
        while work:
            _look(result, survey, *work.popleft(), policy_index)

    for task in [green.spawn(run) for _ in range(min(setup.settings.concurrency, len(work)))]:
        task.join()
    result.elapsed_s, result.retries = time.monotonic() - began, survey.retried
    return result


def _look(result: Dispersion, survey: Survey, partition: int, names: tuple[str, ...], policy_index: int) -> None:
    replies = survey.ask(names, "HEAD", policy_index=policy_index)
    found = sum(reply.is_success for reply in replies)
    result.copies_found += found
    result.copies_expected += len(replies)
    if found < len(replies):
        result.missing[partition] = len(replies) - found
    for reply in replies:
        if not reply.is_success:
            said = f"returned a {reply.status}" if reply.status else reply.problem
            result.errors.append(f"{where(reply.node)} {said}")


def as_json(found: Dispersion, with_partitions: bool) -> dict[str, object]:
    said: dict[str, object] = {
        "retries": found.retries,
        "overlapping": found.overlapping,
        "missing_one": 0,
        "missing_two": 0,
        "missing_all": 0,
        **{f"missing_{word}": count for word, count in found.by_missing()},
        "copies_found": found.copies_found,
        "copies_expected": found.copies_expected,
        "pct_found": found.pct_found,
    }
    if with_partitions:
        said["partitions"] = sorted(found.missing)
    return said


def lines(found: Dispersion, with_partitions: bool) -> Sequence[str]:
    noun = found.kind.partition(":")[0]
    said = [] if noun == found.kind else [f"Using storage policy: {found.kind.partition(':')[2]}"]
    said.append(
        f"Queried {found.samples} {noun}s for dispersion reporting, {found.elapsed_s:.0f}s, {found.retries} retries"
    )
    if found.overlapping:
        said.append(f"There were {found.overlapping} overlapping partitions")
    for word, count in found.by_missing():
        copies = "all copies" if word == "all" else "one copy" if word == "one" else f"{word} copies"
        said.append(f"{'!!! ' if word == 'all' else ''}There were {count} partitions missing {copies}.")
    said.append(f"{found.pct_found:.2f}% of {noun} copies found ({found.copies_found} of {found.copies_expected})")
    said.append(f"Sample represents {found.pct_sampled:.2f}% of the {noun} partition space")
    if with_partitions and found.missing:
        said.append(f"Missing {noun} partitions: {' '.join(map(str, sorted(found.missing)))}")
    return said


def _word(number: int) -> str:
    return _WORDS[number] if number < len(_WORDS) else str(number)


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
