"""python -m tests.soak [--seconds N] [--seed S] [--[no-]namespaces]: exit code 0 when all counts are zero."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.soak.on_cluster import soak_on_loopback
from tests.soak.on_network import soak_on_network
from tests.support.namespaces import why_not


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of clients and faults (30)")
    parser.add_argument("--seed", type=int, default=None, help="what is done to whom (the clock's)")
    parser.add_argument("--directory", type=Path, default=None, help="where the cluster lies (a temporary one)")
    parser.add_argument(
        "--namespaces",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="machines with links that are cut, or all on loopback (links, where root may make them)",
    )
    arguments = parser.parse_args(argv)
    reason = why_not()
    if arguments.namespaces and reason:
        parser.error(f"--namespaces: {reason}")
    has_links = not reason if arguments.namespaces is None else arguments.namespaces
    begin = soak_on_network if has_links else soak_on_loopback
    seed = int(time.time()) if arguments.seed is None else arguments.seed
    print(f"seed {seed}, {'on a network whose links are cut' if has_links else 'on loopback'}", flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        outcome = begin(Path(directory), arguments.seconds, seed, lambda text: print(text, flush=True))
    print(outcome.report)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
