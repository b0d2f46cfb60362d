"""What a cluster costs while nobody uses it: memory (PSS) and CPU of every process.

    python -m benchmarks.idle                    starts a default cluster in a temporary directory
    python -m benchmarks.idle DIR --seconds 60   looks at one that runs
    python -m benchmarks.idle --json

PSS counts a page that N processes share as 1/N of a page for each (/proc/PID/smaps_rollup); CPU is user plus system
time (/proc/PID/stat) over the wall time of the measurement. Budgets: 700 MB and 4 % of one core, for all together, with
daemons.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from objstore.runtime import control

BUDGET_MB = 700
BUDGET_PERCENT = 4.0
_TICKS = os.sysconf("SC_CLK_TCK")
# The first seconds belong to the start: pools open, caches fill, daemons make their first pass.
_SETTLE_S = 12.0


def pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no Pss of process {pid}")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def measure(directory: Path, seconds: float) -> list[dict[str, object]]:
    """One row per process: pid, role, node, pss_mb, cpu_percent."""
    processes = control.ask(directory / "run", {"do": "status"})["processes"]
    before = {row["pid"]: cpu_s(row["pid"]) for row in processes}
    begin = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - begin
    return [
        {
            "pid": row["pid"],
            "role": row["role"],
            "node": row["node"],
            "pss_mb": round(pss_mb(row["pid"]), 1),
            "cpu_percent": round((cpu_s(row["pid"]) - before[row["pid"]]) / elapsed * 100, 3),
        }
        for row in processes
    ]


def report(rows: list[dict[str, object]], as_json: bool) -> None:
    total = {
        "pss_mb": round(sum(float(str(row["pss_mb"])) for row in rows), 1),
        "cpu_percent": round(sum(float(str(row["cpu_percent"])) for row in rows), 2),
    }
    if as_json:
        print(json.dumps({"processes": rows, "total": total, "budget": [BUDGET_MB, BUDGET_PERCENT]}, indent=2))
        return
    print(f"{'role':18} {'node':5} {'pid':>7} {'PSS MB':>8} {'CPU %':>7}")
    for row in rows:
        print(f"{row['role']:18} {row['node']:5} {row['pid']:>7} {row['pss_mb']:>8} {row['cpu_percent']:>7}")
    print(f"{'all':32} {total['pss_mb']:>8} {total['cpu_percent']:>7}   (budget {BUDGET_MB}, {BUDGET_PERCENT})")


def main() -> int:
    parser = argparse.ArgumentParser(description="memory and CPU of an idle cluster")
    parser.add_argument(
        "directory", nargs="?", type=Path, metavar="DIR", help="a running cluster; none: one is started"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to watch (%(default)s)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.directory is not None:
        report(measure(arguments.directory.resolve(), arguments.seconds), arguments.json)
        return 0
    command = [sys.executable, "-m", "objstore.cli.main"]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "cluster"
        up = [*command, "up", str(directory), "--detach", "--port", "0"]
        begin = time.monotonic()
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
        ready_s = time.monotonic() - begin
        try:
            time.sleep(_SETTLE_S)
            report(measure(directory, arguments.seconds), arguments.json)
        finally:
            subprocess.run([*command, "down", str(directory)], check=True, stdout=subprocess.DEVNULL)
    print(f"from nothing to ready: {ready_s:.2f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
