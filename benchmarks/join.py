"""From nothing to a write that a quorum of three machines has: `python -m benchmarks.join`.

Each machine is a directory on a loopback address of its own. The clock starts before the first `objstore init` and
stops when a PUT through the last machine's proxy is acknowledged; every process starts in between.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.support.cluster import until
from tests.support.machines import Machines


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="objstore-join-") as directory, Machines(Path(directory)) as machines:
        started_s = time.monotonic()
        for number in (1, 2, 3):
            machines.add()
            print(f"node {number} serves after {time.monotonic() - started_s:5.1f} s", flush=True)
        last = machines.all[-1]
        until(lambda: last.request("PUT", "/c")[0] in (201, 202), "a container is made")
        until(lambda: last.request("PUT", "/c/o", b"x")[0] == 201, "an object is stored")
        print(f"first PUT acknowledged after {time.monotonic() - started_s:5.1f} s (at most 60 s are wanted)")


if __name__ == "__main__":
    main()
