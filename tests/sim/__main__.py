"""Run the simulator: python -m tests.sim --seeds 1000..3000, or --seed N to see one again. See tests/sim/__init__.py.

Exit codes: 0 every seed was fine, 1 some were not (each is told with its seed and the end of its trace).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tests.sim import host

host.install()

from tests.sim.mutations import MUTATIONS  # noqa: E402  (objstore may be imported only now)
from tests.sim.run import MEMORY, MIXES, has_attributes, run_seed  # noqa: E402

_SECONDS_PER_SEED = 40
"""Of CPU: then a run is stopped, and where it is is told."""
_TAIL = 60
perf_counter = time.perf_counter


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    seeds = [arguments.seed] if arguments.seed is not None else arguments.seeds
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.collect()
    gc.freeze()
    gc.disable()
    failed = []
    begun = perf_counter()
    for seed, outcome in _outcomes(seeds, arguments):
        if arguments.digest:
            print(f"seed {seed}: {_digest(outcome['trace'])}", flush=True)
        if outcome["problems"]:
            failed.append(seed)
            _tell(seed, outcome, arguments)
        elif arguments.trace:
            print("\n".join(outcome["trace"]))
        if len(failed) >= arguments.failures:
            break
    print(
        f"{len(seeds)} seeds, {len(failed)} failed{': ' if failed else ''}{', '.join(map(str, failed))}; "
        f"{perf_counter() - begun:.1f} s"
    )
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.sim",
        description="A cluster in one thread, with every fault there is, by seed.",
        epilog="example: python -m tests.sim --seeds 1..200     python -m tests.sim --seed 17 --trace",
    )
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--seeds", type=_range, default=range(1, 51), metavar="A..B", help="all of these")
    parser.add_argument("--trace", action="store_true", help="show everything that happened, not only the end of it")
    parser.add_argument("--digest", action="store_true", help="print a digest of each seed's trace")
    parser.add_argument(
        "--mix",
        choices=MIXES,
        default=MIXES[0],
        help="what goes wrong (deep: tests/sim/losses.py; accounts: reaped.py; rsync: rsync.py; policies: minds.py)",
    )
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), help="break something on purpose")
    parser.add_argument("--keep", action="store_true", help="leave the nodes' files where they are")
    parser.add_argument("--memory", type=Path, default=_memory(), metavar="DIR", help="where the nodes' files are")
    parser.add_argument("--failures", type=int, default=1_000_000, metavar="N", help="stop after so many failed seeds")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="seeds at once")
    return parser


def _memory() -> Path:
    """Memory where that has extended attributes (Linux 6.6), else the disk of temporary files."""
    return MEMORY if MEMORY.is_dir() and has_attributes(MEMORY) else Path(tempfile.gettempdir())


def _range(text: str) -> range:
    first, _, last = text.partition("..")
    return range(int(first), int(last or first) + 1) if last else range(1, int(first) + 1)


def _outcomes(seeds: range | list[int], arguments: argparse.Namespace) -> Iterator[tuple[int, dict]]:
    """Every seed in a child of its own, from the same memory: nothing is left of the seed before."""
    waiting = list(reversed(seeds))
    running: dict[int, tuple[int, int]] = {}
    while waiting or running:
        while waiting and len(running) < arguments.jobs:
            seed = waiting.pop()
            pid, fd = _start(seed, arguments)
            running[pid] = seed, fd
        pid = next(iter(running))
        seed, fd = running.pop(pid)
        yield seed, _result(seed, pid, fd)


def _start(seed: int, arguments: argparse.Namespace) -> tuple[int, int]:
    receiving, sending = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        os.close(sending)
        return pid, receiving
    status = 1
    try:
        os.close(receiving)
        signal.signal(signal.SIGPROF, host.out_of_time)
        signal.setitimer(signal.ITIMER_PROF, _SECONDS_PER_SEED)
        if arguments.mutation:
            MUTATIONS[arguments.mutation]()
        outcome = run_seed(seed, arguments.memory, keeps=arguments.keep, mix=arguments.mix)
        with open(sending, "wb") as file:
            file.write(json.dumps(asdict(outcome)).encode("utf-8", "backslashreplace"))
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _result(seed: int, pid: int, fd: int) -> dict:
    with open(fd, "rb") as file:
        data = file.read()
    _, status = os.waitpid(pid, 0)
    if status or not data:
        return {"problems": [f"the run ended with status {status}"], "trace": []}
    return json.loads(data)


def _digest(trace: list[str]) -> str:
    import hashlib

    return hashlib.md5("\n".join(trace).encode("utf-8", "backslashreplace")).hexdigest()


def _tell(seed: int, outcome: dict, arguments: argparse.Namespace) -> None:
    trace = outcome["trace"] if arguments.trace else outcome["trace"][-_TAIL:]
    print(f"--- seed {seed} failed; all of it: python -m tests.sim --mix {arguments.mix} --seed {seed} --trace")
    print("\n".join(trace))
    for problem in outcome["problems"]:
        print(f"seed {seed}: {problem}")
    sys.stdout.flush()


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"}
        )
    sys.exit(main())
