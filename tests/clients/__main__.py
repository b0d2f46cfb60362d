"""`python -m tests.clients [--files 3000] [--large-mib 1024]`: installs the clients and runs the scenario."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.clients.scenario import FULL, Amount, run
from tests.clients.tools import ToolsMissing, install


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.clients", description="swift and rclone, with a node killed."
    )
    parser.add_argument("--files", type=int, default=FULL.files)
    parser.add_argument("--large-mib", type=int, default=FULL.large_mib)
    parser.add_argument("--dir", type=Path, help="where temporary files go (three times the amount, four times over)")
    options = parser.parse_args(argv)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    try:
        tools = install()
    except ToolsMissing as error:
        print(f"clients: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="clients-", dir=options.dir) as folder:
        run(tools, Path(folder), Amount(options.files, options.large_mib), say)
    say("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
