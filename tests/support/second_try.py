"""Runs what failed once more, alone: python -m tests.support.second_try CACHE...

bin/runtests lets three runs share a machine that others may share, too; some tests have to wait for processes, disks
and timeouts, and of 12,000 tests one may fail that is right. A test that passes alone is unsteady: it is named, for
somebody to mend, and does not fail the run. What fails twice does. So do more failures than MOST: that is no accident.

CACHE: cache directories of the runs of pytest (-o cache_dir=CACHE). The exit code is 0 when all passed this time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MOST = 3


def main(caches: Sequence[str]) -> int:
    failed = sorted({test for cache in caches for test in _failed(Path(cache))})
    if not failed:
        return 1  # Whatever went wrong was no test.
    if len(failed) > MOST:
        print(f"== {len(failed)} tests failed: too many for accidents, they are not tried again", flush=True)
        return 1
    print(f"== once more, alone: {' '.join(failed)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *failed], check=False).returncode
    if code == 0:
        print(f"== UNSTEADY (failed beside others, passed alone; see above, and mend): {' '.join(failed)}", flush=True)
    return code


def _failed(cache: Path) -> list[str]:
    """Where pytest's cache plugin keeps them (pytest, "How to re-run failed tests": cache/lastfailed)."""
    try:
        return list(json.loads((cache / "v/cache/lastfailed").read_bytes()))
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
