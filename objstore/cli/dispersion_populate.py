"""objstore-dispersion-populate: containers and objects on a sample of all partitions, for the report to find (B5.7).

Nothing that is there is changed: a name that exists is put again with the same empty or short body.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from objstore.cli.dispersion_names import PREFIX, is_container_sample, object_container, sample_names, wanted_count
from objstore.cli.dispersion_setup import Setup, add_arguments, make
from objstore.cli.terminal import FAILED, OK, CommandError, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.client.errors import ClientError
from objstore.ring.model import Ring

_EXAMPLE = """\
example:
  objstore-dispersion-populate /etc/swift/dispersion.conf      then, as often as you like: objstore-dispersion-report

Exit codes: 0 all are there; 1 some could not be made; 78 the configuration or the rings cannot be used.
"""
_PROGRESS_S = 1.0


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(
        "objstore-dispersion-populate", "Put samples on partitions, for a dispersion report.", _EXAMPLE
    )
    add_arguments(parser)
    parser.add_argument(
        "--container-suffix-start", type=int, default=0, metavar="N", help="first container's number (0)"
    )
    parser.add_argument("--object-suffix-start", type=int, default=0, metavar="N", help="first object's number (0)")
    parser.add_argument("--no-overlap", action="store_true", help="only add to partitions that have no sample yet")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    setup = make(arguments, containers="container_populate", objects="object_populate", with_deprecated=False)
    try:
        failures = _populate(setup, arguments, terminal)
    except ClientError as error:
        raise CommandError(str(error), code=FAILED) from None
    finally:
        setup.account.session.close()
    return FAILED if failures else OK


def _populate(setup: Setup, arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Make all samples; how many could not be made. Raises ClientError."""
    account, failures = setup.account.name, 0
    if setup.containers:
        place = _Place(setup, setup.ring("container"), (account,))
        there = [row.name for row in setup.account.containers(PREFIX) if is_container_sample(row.name)]
        names = _names(setup, place, there, arguments, arguments.container_suffix_start)
        failures += _put("containers", [(f"/{name}", b"") for name in names], setup, terminal)
    for policy in setup.policies if setup.objects else ():
        if len(setup.policies) > 1:
            terminal.say(f"Using storage policy: {policy.name}")
        container = object_container(policy, setup.cluster.policies)
        setup.account.put(f"/{container}", headers={"X-Storage-Policy": policy.name})
        place = _Place(setup, setup.ring(policy.ring_name), (account, container))
        there = [row.name for row in setup.account.objects(container, PREFIX, is_unseen_empty=True)]
        names = _names(setup, place, there, arguments, arguments.object_suffix_start)
        failures += _put("objects", [(f"/{container}/{name}", name.encode()) for name in names], setup, terminal)
    return failures


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a name falls. above: the account, or account and container."""

    setup: Setup
    ring: Ring
    above: tuple[str, ...]

    def __call__(self, name: str) -> int:
        names = (*self.above, name)
        return self.ring.partition(self.setup.cluster.secrets.digest(*names))


def _names(setup: Setup, place: _Place, there: Sequence[str], arguments: argparse.Namespace, start: int) -> list[str]:
    """there: samples that exist."""
    wanted = wanted_count(place.ring.partition_count, setup.settings.dispersion_coverage)
    if not arguments.no_overlap:
        return list(sample_names(place, wanted, start))
    taken = {place(name) for name in there}
    return list(sample_names(place, wanted - len(taken), start, taken))


def _put(what: str, items: Sequence[tuple[str, bytes]], setup: Setup, terminal: Terminal) -> int:
    """PUT all items; how many of them failed."""
    began, done, failures, told = time.monotonic(), 0, 0, 0.0
    before = setup.account.session.retried
    with ThreadPoolExecutor(setup.settings.concurrency) as pool:
        futures = [pool.submit(setup.account.put, path, body) for path, body in items]
        for future in as_completed(futures):
            error = future.exception()
            if isinstance(error, ClientError):
                failures += 1
                terminal.complain(str(error))
            elif error is not None:
                raise error
            done += 1
            now = time.monotonic()
            if terminal.stderr.isatty() and now - told > _PROGRESS_S:
                told = now
                left_s = (now - began) / done * (len(items) - done)
                terminal.stderr.write(f"\r{what}: {done} of {len(items)}, {left_s:.0f} s left \x1b[K")
    if told:
        terminal.stderr.write("\r\x1b[K")
    elapsed_s, retried = time.monotonic() - began, setup.account.session.retried - before
    terminal.say(f"Created {done - failures} {what} for dispersion reporting, {elapsed_s:.0f}s, {retried} retries")
    return failures


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
